#include "hf/prompt.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>

void hf_prompter_finish(struct hf_prompter *p)
{
    hf_chat_template_destroy(p->chat);
    *p = (struct hf_prompter){0};
}

// ---- one prompt ----

static const struct hf_chat_template *chat_template(struct hf_prompter *p)
{
    if (p->chat) return p->chat;
    const char *source = hf_tokenizer_chat_template(p->tokenizer);
    if (!source) {
        err_user("%s has no chat template (chat_template in tokenizer_config.json, or "
                 "chat_template.jinja)",
                 p->dir);
        return NULL;
    }
    p->chat = hf_chat_template_parse(source);
    if (!p->chat) err_context("%s: chat template", p->dir);
    return p->chat;
}

static bool encode(const struct hf_prompter *p, const char *text, size_t len, bool special,
                   struct hf_ids *ids)
{
    size_t before = ids->count;
    if (!hf_tokenizer_encode(p->tokenizer, text, len, special, ids)) return false;
    if (ids->count > before) return true;
    int32_t bos = hf_tokenizer_bos(p->tokenizer);
    if (bos < 0) return err_user("the prompt is empty, and the tokenizer has no BOS token");
    ARRAY_PUSH(ids, bos);
    return true;
}

bool hf_prompt_messages(struct hf_prompter *p, const cJSON *messages, struct hf_ids *ids)
{
    const struct hf_chat_template *chat = chat_template(p);
    struct str text = {0};
    // The template writes the special tokens itself.
    bool ok = chat &&
              hf_chat_template_render(chat, messages, hf_tokenizer_bos_text(p->tokenizer),
                                      hf_tokenizer_eos_text(p->tokenizer), true, &text) &&
              encode(p, str_text(&text), text.len, false, ids);
    str_finish(&text);
    return ok;
}

bool hf_prompt_text(struct hf_prompter *p, const char *text, size_t len, bool chat,
                    struct hf_ids *ids)
{
    if (!chat) return encode(p, text, len, true, ids);
    if (!str_utf8_valid(text, len, NULL)) return err_user("the prompt is not valid UTF-8");
    char *content = mem_strndup(text, len);
    cJSON *messages = cJSON_CreateArray(), *message = cJSON_CreateObject();
    cJSON_AddStringToObject(message, "role", "user");
    cJSON_AddStringToObject(message, "content", content);
    cJSON_AddItemToArray(messages, message);
    bool ok = hf_prompt_messages(p, messages, ids);
    cJSON_Delete(messages);
    mem_free(content);
    return ok;
}

// ---- several ----

void hf_prompts_finish(struct hf_prompts *prompts)
{
    for (size_t i = 0; i < prompts->ids.count; i++) {
        ARRAY_FREE(&prompts->ids.items[i]);
        mem_free(prompts->shown.items[i]);
    }
    ARRAY_FREE(&prompts->ids);
    ARRAY_FREE(&prompts->shown);
}

static struct hf_ids *add(struct hf_prompts *prompts, char *shown)
{
    ARRAY_PUSH(&prompts->shown, shown);
    ARRAY_PUSH(&prompts->ids, (struct hf_ids){0});
    return &prompts->ids.items[prompts->ids.count - 1];
}

bool hf_prompts_add_text(struct hf_prompts *prompts, struct hf_prompter *p, const char *text,
                         size_t len, bool chat)
{
    struct str shown = {0};
    json_append_string(&shown, text, len);
    return hf_prompt_text(p, text, len, chat, add(prompts, str_take(&shown)));
}

// A file of plain texts is the likely mistake.
static bool line_fault(void)
{
    char *why = mem_strdup(err_message());
    err_user("%s (a line of prompts is an object: {\"prompt\": \"...\"})", why);
    mem_free(why);
    return false;
}

static bool add_line(struct hf_prompts *prompts, struct hf_prompter *p, const char *line,
                     size_t len, const char *where, bool chat)
{
    cJSON *object = json_parse(line, len, where);
    if (!object) return line_fault();
    const cJSON *prompt = json_get(object, "prompt");
    bool ok;
    if (cJSON_IsString(prompt))
        ok = hf_prompts_add_text(prompts, p, prompt->valuestring, strlen(prompt->valuestring),
                                 chat) ||
             err_context("%s", where);
    else if (cJSON_IsArray(prompt))
        ok = hf_prompt_messages(p, prompt, add(prompts, json_print(prompt, false))) ||
             err_context("%s", where);
    else
        ok = err_user("%s: expected an object with \"prompt\": a text, or a list of messages",
                      where);
    cJSON_Delete(object);
    return ok;
}

bool hf_prompts_read(struct hf_prompts *prompts, struct hf_prompter *p, const char *path, bool chat)
{
    struct file_lines lines;
    const char *line;
    size_t len, before = prompts->ids.count;
    if (!file_lines_open(&lines, path)) return false;
    bool ok;
    while ((ok = file_lines_next(&lines, &line, &len)) && line) {
        if (!len) continue;
        char *where = str_format("%s: line %zu", path, lines.number);
        ok = add_line(prompts, p, line, len, where, chat);
        mem_free(where);
        if (!ok) break;
    }
    file_lines_close(&lines);
    if (ok && prompts->ids.count == before) return err_user("%s: no prompts in it", path);
    return ok;
}
