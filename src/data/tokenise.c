#include "data/tokenise.h"

#include "data/truncate.h"

#include "base/error.h"
#include "base/log.h"

#include <string.h>

void data_tokeniser_init(struct data_tokeniser *t, const struct data_params *params)
{
    *t = (struct data_tokeniser){
        .tokenizer = params->tokenizer,
        .bos = hf_tokenizer_adds_bos(params->tokenizer) ? hf_tokenizer_bos(params->tokenizer) : -1,
        .max_length = params->max_length,
        .truncation = params->truncation,
        .score_prompt = params->kind == DATA_TEXTS && !params->completion_only,
        .keep_tail = params->kind == DATA_UNPAIRED && params->truncation == DATA_KEEP_START};
    const char *source = hf_tokenizer_chat_template(params->tokenizer);
    if (source) {
        t->chat = hf_chat_template_parse(source);
        if (!t->chat) {
            t->chat_error = mem_strdup(err_message());
            err_clear();
        }
    }
    if (!hf_tokenizer_eos_text(params->tokenizer))
        log_warn("the tokenizer names no eos_token: completions get no end token, so the model "
                 "does not learn to stop");
}

void data_tokeniser_finish(struct data_tokeniser *t)
{
    hf_chat_template_destroy(t->chat);
    mem_free(t->chat_error);
    *t = (struct data_tokeniser){0};
}

// ---- texts ----

// After the prompt the assistant speaks, unless it ends in the assistant's own words.
static bool ends_with_assistant(const cJSON *list)
{
    const cJSON *last = list->child ? list->child->prev : NULL; // cJSON: the first's prev is last
    const char *role = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(last, "role"));
    return role && strcmp(role, "assistant") == 0;
}

static bool render(const struct data_tokeniser *t, struct data_record *r)
{
    if (!t->chat && t->chat_error) return err_user("messages: chat template: %s", t->chat_error);
    if (!t->chat)
        return err_user("messages need a chat template, and the tokenizer has none (chat_template "
                        "in tokenizer_config.json, or chat_template.jinja)");
    const char *bos = hf_tokenizer_bos_text(t->tokenizer);
    const char *eos = hf_tokenizer_eos_text(t->tokenizer);
    if (r->prompt_list->child &&
        !hf_chat_template_render(t->chat, r->prompt_list, bos, eos,
                                 !ends_with_assistant(r->prompt_list), &r->prompt))
        return err_context("messages of the prompt");
    for (int i = 0; i < r->completions; i++)
        if (!hf_chat_template_render(t->chat, r->whole_list[i], bos, eos, false, &r->whole[i]))
            return err_context("messages");
    return true;
}

static void append_end(const struct data_tokeniser *t, struct data_record *r)
{
    const char *eos = hf_tokenizer_eos_text(t->tokenizer);
    if (!eos) return;
    size_t len = strlen(eos);
    for (int i = 0; i < r->completions; i++) {
        struct str *whole = &r->whole[i];
        // The prompt's own end does not count: an empty completion after it still lacks one.
        bool ends = whole->len >= r->prompt.len + len &&
                    memcmp(whole->data + whole->len - len, eos, len) == 0;
        if (!ends) str_append_bytes(whole, eos, len);
    }
}

// ---- ids ----

static bool encode(const struct data_tokeniser *t, const struct str *text, struct hf_ids *ids)
{
    // The post-processor may also end a text, which a prompt must not be: only BOS is added here.
    if (!hf_tokenizer_encode(t->tokenizer, str_text(text), text->len, false, ids)) return false;
    if (t->bos < 0 || (ids->count && ids->items[0] == t->bos)) return true;
    ARRAY_PUSH(ids, 0);
    memmove(ids->items + 1, ids->items, (ids->count - 1) * sizeof *ids->items);
    ids->items[0] = t->bos;
    return true;
}

// Where the lists first differ, or the first ends.
static size_t common_ids(const struct hf_ids *lists, int count)
{
    size_t n = 0;
    for (;; n++)
        for (int i = 0; i < count; i++)
            if (n >= lists[i].count || lists[i].items[n] != lists[0].items[n]) return n;
}

static enum data_drop judge(const struct data_tokeniser *t, const struct data_parts *p,
                            const struct hf_ids *lists, int completions)
{
    size_t from_prompt = t->score_prompt && p->prompt ? p->prompt - 1 : 0;
    for (int i = 0; i < completions; i++)
        if (!p->completion[i] || p->completion[i] - (p->prompt == 0) + from_prompt == 0)
            return DATA_EMPTY;
    if (completions == 2 && p->completion[0] == p->completion[1] &&
        memcmp(lists[1].items + p->begin[0], lists[2].items + p->begin[1],
               p->completion[0] * sizeof *lists[1].items) == 0)
        return DATA_IDENTICAL;
    return DATA_KEPT;
}

// Appends from[begin, begin + count).
static void put(struct hf_ids *to, const struct hf_ids *from, size_t begin, size_t count)
{
    if (!count) return;
    ARRAY_RESERVE(to, to->count + count);
    memcpy(to->items + to->count, from->items + begin, count * sizeof *from->items);
    to->count += count;
}

// What a mismatched row may take of a completion beyond its own row's end.
static void put_tail(const struct data_tokeniser *t, const struct data_parts *p,
                     const struct hf_ids *whole, struct data_tokens *out)
{
    size_t at = p->begin[0] + p->completion[0], most = p->begin[0] + t->max_length;
    size_t end = whole->count < most ? whole->count : most;
    if (!t->keep_tail || !out->truncated || end <= at) return;
    put(&out->ids, whole, at, end - at);
    out->tail = (uint32_t)(end - at);
}

// Divides lists (prompt, prompt + chosen, prompt + rejected) and cuts the parts to max_length.
static void divide(const struct data_tokeniser *t, const struct hf_ids *lists, int completions,
                   struct data_tokens *out)
{
    size_t n = common_ids(lists, completions + 1), max = t->max_length;
    struct data_parts p = {.prompt = n, .begin = {n, n}};
    size_t head = t->bos >= 0 && n > 0; // the first token is BOS then
    for (int i = 0; i < completions; i++)
        p.completion[i] = lists[i + 1].count - n;
    out->boundary_merged = n < lists[0].count;
    out->truncated = data_truncate(&p, max, t->truncation, head);
    out->drop = max && p.prompt >= max ? DATA_PROMPT_TOO_LONG : judge(t, &p, lists, completions);
    if (out->drop != DATA_KEPT) return;
    if (p.prompt_begin) put(&out->ids, &lists[0], 0, head);
    put(&out->ids, &lists[0], p.prompt_begin, p.prompt - (p.prompt_begin ? head : 0));
    for (int i = 0; i < completions; i++) {
        put(&out->ids, &lists[i + 1], p.begin[i], p.completion[i]);
        out->completion[i] = (uint32_t)p.completion[i];
    }
    out->prompt = (uint32_t)p.prompt;
    put_tail(t, &p, &lists[1], out);
}

bool data_tokenise(const struct data_tokeniser *t, struct data_record *r, struct data_tokens out[2])
{
    out[0] = out[1] = (struct data_tokens){0};
    if (r->messages) {
        if (!render(t, r)) return false;
    } else {
        append_end(t, r);
    }
    struct hf_ids lists[3] = {{0}};
    bool ok = encode(t, &r->prompt, &lists[0]);
    for (int i = 0; ok && i < r->completions; i++)
        ok = encode(t, &r->whole[i], &lists[i + 1]);
    if (ok && r->rows == 1) divide(t, lists, r->completions, &out[0]);
    for (int i = 0; ok && r->rows == 2 && i < 2; i++) {
        const struct hf_ids own[2] = {lists[0], lists[i + 1]};
        divide(t, own, 1, &out[i]);
    }
    for (int i = 0; i < 3; i++)
        ARRAY_FREE(&lists[i]);
    return ok;
}
