#include "hf/folder.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "hf/json_edit.h"

#include <string.h>

static const char *const tokenizer_files[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
};

static const char *config_name(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_F16:
        return "float16";
    case DTYPE_BF16:
        return "bfloat16";
    case DTYPE_F32:
    case DTYPE_U8: // of codes, not of models
        break;
    }
    return "float32";
}

// True if `path` holds exactly these bytes.
static bool file_holds(const char *path, const void *bytes, size_t len)
{
    struct file_map map = {0};
    bool same = file_exists(path) && file_size(path) == len && file_map_open(&map, path) &&
                map.size == len && memcmp(map.data, bytes, len) == 0;
    file_map_close(&map);
    return same;
}

// Copies a file unless the target holds the same bytes.
static bool copy_file(const char *from, const char *to)
{
    struct file_map map = {0};
    if (!file_map_open(&map, from)) return false;
    bool same = file_holds(to, map.data, map.size);
    file_map_close(&map);
    return same || file_copy(from, to);
}

// Copies DIR/name to TARGET/name; a file that is not there is passed over unless it is required.
static bool copy_member(const char *dir, const char *target, const char *name, bool required)
{
    char *from = file_join(dir, name), *to = file_join(target, name);
    bool ok = true;
    if (required || file_exists(from)) ok = copy_file(from, to);
    mem_free(from);
    mem_free(to);
    return ok;
}

static bool copy_tokenizer(const char *dir, const char *target, bool required)
{
    for (size_t i = 0; i < sizeof tokenizer_files / sizeof *tokenizer_files; i++)
        if (!copy_member(dir, target, tokenizer_files[i], required && i == 0)) return false;
    return true;
}

// The dtype that a config.json names; NULL if it names none.
static const char *named_dtype(const cJSON *json)
{
    const cJSON *item = json_get(json, "dtype");
    if (!item) item = json_get(json, "torch_dtype");
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

// Appends the text of config.json with its dtype as `want`, in the spelling that it has; where it
// has none, torch_dtype, which every version of transformers reads, is put first.
static bool edit_dtype(struct str *out, const char *text, size_t len, const char *want)
{
    struct str step = {0};
    char *value = str_format("\"%s\"", want);
    size_t found = hf_json_replace(&step, text, len, "torch_dtype", value);
    found += hf_json_replace(out, str_text(&step), step.len, "dtype", value);
    if (!found) {
        str_clear(out);
        hf_json_insert(out, text, len, "torch_dtype", value);
    }
    cJSON *json = json_parse(str_text(out), out->len, "config.json as edited");
    const char *got = json ? named_dtype(json) : NULL;
    bool ok = got && strcmp(got, want) == 0;
    if (json && !ok) err_user("its dtype cannot be set to %s; spell the key plainly", want);
    cJSON_Delete(json);
    str_finish(&step);
    mem_free(value);
    return ok;
}

// Copies a config.json to TARGET/config.json with its dtype set.
static bool copy_config(const char *path, const char *target, enum dtype dtype)
{
    const char *want = config_name(dtype);
    char *to = file_join(target, "config.json"), *text = NULL;
    struct str edited = {0};
    cJSON *json = NULL;
    size_t len;
    bool ok = false;
    if (!(text = file_read(path, 0, &len))) goto fail;
    if (!(json = json_parse(text, len, path))) goto fail;
    if (!cJSON_IsObject(json)) {
        err_user("%s: expected a JSON object", path);
        goto fail;
    }
    const char *now = named_dtype(json);
    if (strcmp(now ? now : "float32", want) == 0) {
        str_append_bytes(&edited, text, len);
    } else if (!edit_dtype(&edited, text, len, want)) {
        err_context("%s", path);
        goto fail;
    }
    ok = file_holds(to, str_text(&edited), edited.len) ||
         file_write_whole(to, str_text(&edited), edited.len);
fail:
    str_finish(&edited);
    cJSON_Delete(json);
    mem_free(text);
    mem_free(to);
    return ok;
}

bool hf_folder_copy(const char *source, const char *target, enum dtype dtype)
{
    char *config = file_join(source, "config.json");
    bool ok = copy_config(config, target, dtype) &&
              copy_member(source, target, "generation_config.json", false) &&
              copy_tokenizer(source, target, false);
    mem_free(config);
    return ok;
}

bool hf_folder_create(const char *config_path, const char *tokenizer_dir, const char *target,
                      enum dtype dtype)
{
    const char *slash = strrchr(config_path, '/');
    char *dir =
        slash ? mem_strndup(config_path, (size_t)(slash - config_path) + 1) : mem_strdup(".");
    bool ok = copy_config(config_path, target, dtype) &&
              copy_member(dir, target, "generation_config.json", false) &&
              copy_tokenizer(tokenizer_dir, target, true);
    mem_free(dir);
    return ok;
}
