#include "hf/tokenizer_config.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

#define MAX_TEMPLATE (16u << 20)

// A token as a string, or as an object that holds it (an AddedToken).
static bool read_token(const cJSON *json, const char *key, char **out)
{
    const cJSON *item = json_get(json, key);
    if (cJSON_IsObject(item)) {
        const cJSON *content = json_get(item, "content");
        if (!content) return err_user("%s: content: missing", key);
        item = content;
    }
    if (!item) return true;
    if (!cJSON_IsString(item)) return err_user("%s: expected a string or an object", key);
    *out = mem_strdup(item->valuestring);
    return true;
}

// One template, or a list of named ones, of which the one called "default" counts.
static bool read_template(const cJSON *json, char **out)
{
    const cJSON *item = json_get(json, "chat_template");
    if (!item) return true;
    if (cJSON_IsString(item)) {
        *out = mem_strdup(item->valuestring);
        return true;
    }
    if (!cJSON_IsArray(item)) return err_user("chat_template: expected a string or a list");
    for (item = item->child; item; item = item->next) {
        const char *name = NULL, *text = NULL;
        if (!cJSON_IsObject(item)) return err_user("chat_template: expected a list of objects");
        if (!json_get_string(item, "name", &name) || !json_get_string(item, "template", &text))
            return err_context("chat_template");
        if (!name || !text)
            return err_user("chat_template: expected objects with \"name\" and \"template\"");
        if (strcmp(name, "default") != 0) continue;
        mem_free(*out);
        *out = mem_strdup(text);
    }
    return true;
}

static bool read_config(struct hf_tokenizer_config *config, const char *path)
{
    cJSON *json = json_parse_file(path, 0);
    if (!json) return false;
    bool ok = cJSON_IsObject(json) ? read_token(json, "bos_token", &config->bos) &&
                                         read_token(json, "eos_token", &config->eos) &&
                                         read_token(json, "pad_token", &config->pad) &&
                                         read_template(json, &config->chat_template)
                                   : err_user("expected a JSON object");
    if (!ok) err_context("%s", path);
    cJSON_Delete(json);
    return ok;
}

// transformers prefers the file to what tokenizer_config.json has.
static bool read_jinja(struct hf_tokenizer_config *config, const char *path)
{
    size_t len, bad;
    char *text = file_read(path, MAX_TEMPLATE, &len);
    if (!text) return false;
    if (memchr(text, '\0', len) || !str_utf8_valid(text, len, &bad)) {
        mem_free(text);
        return err_user("%s: is not UTF-8 text", path);
    }
    mem_free(config->chat_template);
    config->chat_template = text;
    return true;
}

bool hf_tokenizer_config_load(struct hf_tokenizer_config *config, const char *dir)
{
    char *path = file_join(dir, "tokenizer_config.json");
    char *jinja = file_join(dir, "chat_template.jinja");
    bool ok = (!file_exists(path) || read_config(config, path)) &&
              (!file_exists(jinja) || read_jinja(config, jinja));
    mem_free(path);
    mem_free(jinja);
    return ok;
}

void hf_tokenizer_config_finish(struct hf_tokenizer_config *config)
{
    mem_free(config->bos);
    mem_free(config->eos);
    mem_free(config->pad);
    mem_free(config->chat_template);
    *config = (struct hf_tokenizer_config){0};
}
