#include "hf/chat_template.h"

#include "chat_template_run.h"

#include "base/error.h"
#include "base/mem.h"

#include <string.h>

struct hf_chat_template {
    struct jinja_arena arena;
    struct jinja_node *first;
    struct tm now; // one date for all messages of a run
};

struct hf_chat_template *hf_chat_template_parse(const char *source)
{
    size_t bad;
    if (!str_utf8_valid(source, strlen(source), &bad)) {
        err_user("chat template: invalid UTF-8 at byte %zu", bad);
        return NULL;
    }
    struct hf_chat_template *t = MEM_NEW(struct hf_chat_template);
    time_t seconds = time(NULL);
    const struct tm *local = localtime(&seconds);
    if (local) t->now = *local;
    if (jinja_parse(source, &t->arena, &t->first)) return t;
    err_context("chat template");
    hf_chat_template_destroy(t);
    return NULL;
}

void hf_chat_template_destroy(struct hf_chat_template *t)
{
    if (!t) return;
    jinja_arena_finish(&t->arena);
    mem_free(t);
}

static void set(struct jinja_run *rt, const char *name, struct jinja_value value)
{
    jinja_set_var(rt, (struct jinja_text){name, strlen(name)}, value);
}

bool hf_chat_template_render(const struct hf_chat_template *t, const cJSON *messages,
                             const char *bos_token, const char *eos_token,
                             bool add_generation_prompt, struct str *out)
{
    size_t before = out->len;
    struct jinja_run rt = {.out = out, .now = &t->now, .line = 1};
    jinja_push_scope(&rt, NULL);
    set(&rt, "messages", jinja_from_json(&rt.arena, messages));
    set(&rt, "tools", jinja_none());
    set(&rt, "documents", jinja_none());
    set(&rt, "add_generation_prompt", jinja_bool(add_generation_prompt));
    if (bos_token) set(&rt, "bos_token", jinja_literal(bos_token));
    if (eos_token) set(&rt, "eos_token", jinja_literal(eos_token));
    jinja_exec(&rt, t->first);
    jinja_arena_finish(&rt.arena);
    if (!rt.failed) return true;
    if (out->data) out->data[out->len = before] = 0;
    return err_context("chat template");
}
