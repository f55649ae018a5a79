#include "hf/tokenizer_normalize.h"

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "hf/tokenizer_chars.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define MAX_STEPS 64

static bool unicode_form(struct str *text, utf8proc_option_t options)
{
    utf8proc_uint8_t *result = NULL;
    utf8proc_ssize_t len =
        utf8proc_map((const utf8proc_uint8_t *)text->data, (utf8proc_ssize_t)text->len, &result,
                     (utf8proc_option_t)(options | UTF8PROC_STABLE));
    if (len < 0) return err_device("the text cannot be normalised: %s", utf8proc_errmsg(len));
    str_clear(text);
    str_append_bytes(text, result, (size_t)len);
    free(result);
    return true;
}

// U+0130 is the one letter whose lower case is two characters.
static void lowercase(struct str *text)
{
    struct str out = {0};
    for (size_t at = 0; at < text->len;) {
        uint32_t c = str_next_codepoint(text->data, text->len, &at);
        if (c == 0x130)
            str_append(&out, "i\xcc\x87");
        else
            str_append_codepoint(&out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
    }
    str_finish(text);
    *text = out;
}

// Removes every combining mark, as the library does; accents are marks once decomposed.
static void strip_accents(struct str *text)
{
    struct str out = {0};
    for (size_t at = 0; at < text->len;) {
        uint32_t c = str_next_codepoint(text->data, text->len, &at);
        int category = utf8proc_category((utf8proc_int32_t)c);
        if (category != UTF8PROC_CATEGORY_MN && category != UTF8PROC_CATEGORY_MC &&
            category != UTF8PROC_CATEGORY_ME)
            str_append_codepoint(&out, c);
    }
    str_finish(text);
    *text = out;
}

static void strip(struct str *text, bool left, bool right)
{
    struct str out = {0};
    size_t begin = left ? hf_space_at_start(text->data, text->len) : 0;
    size_t end = text->len;
    if (right) end -= hf_space_at_end(text->data + begin, text->len - begin);
    str_append_bytes(&out, text->data + begin, end - begin);
    str_finish(text);
    *text = out;
}

static void prepend(struct str *text, const char *prefix)
{
    struct str out = {0};
    str_append(&out, prefix);
    str_append_bytes(&out, text->data, text->len);
    str_finish(text);
    *text = out;
}

static bool replace(struct str *text, const struct hf_regex *regex, const char *with)
{
    struct hf_matches m = {
        .text = text->data, .len = text->len, .data = pcre2_match_data_create(1, NULL)};
    struct str out = {0};
    size_t previous = 0;
    enum hf_match_result result;
    CHECK(m.data);
    while ((result = hf_regex_next(regex, &m)) == HF_MATCH_FOUND) {
        str_append_bytes(&out, m.text + previous, m.begin - previous);
        str_append(&out, with);
        previous = m.end;
    }
    str_append_bytes(&out, m.text + previous, m.len - previous);
    pcre2_match_data_free(m.data);
    str_finish(text);
    *text = out;
    return result == HF_MATCH_NONE;
}

static bool run_one(const struct hf_norm *norm, struct str *text)
{
    switch (norm->kind) {
    case HF_NORM_NFC:
        return unicode_form(text, UTF8PROC_COMPOSE);
    case HF_NORM_NFD:
        return unicode_form(text, UTF8PROC_DECOMPOSE);
    case HF_NORM_NFKC:
        return unicode_form(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    case HF_NORM_NFKD:
        return unicode_form(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
    case HF_NORM_LOWERCASE:
        lowercase(text);
        return true;
    case HF_NORM_STRIP_ACCENTS:
        strip_accents(text);
        return true;
    case HF_NORM_STRIP:
        strip(text, norm->left, norm->right);
        return true;
    case HF_NORM_PREPEND:
        prepend(text, norm->text);
        return true;
    case HF_NORM_REPLACE:
        return replace(text, norm->regex, norm->text);
    }
    return true;
}

bool hf_norms_run(const struct hf_norms *norms, struct str *text)
{
    for (size_t i = 0; i < norms->count && text->len; i++)
        if (!run_one(&norms->items[i], text)) return false;
    return true;
}

static bool load_sequence(struct hf_norms *norms, const cJSON *json)
{
    const cJSON *list = json_get(json, "normalizers");
    size_t index = 0;
    if (!cJSON_IsArray(list)) return err_user("normalizers: expected a list");
    for (const cJSON *item = list->child; item; item = item->next, index++)
        if (!hf_norms_load(norms, item)) return err_context("normalizers[%zu]", index);
    return true;
}

static bool load_replace(struct hf_norm *norm, const cJSON *json)
{
    const char *content = NULL;
    if (!json_get_string(json, "content", &content)) return false;
    if (!content) return err_user("content: missing");
    norm->regex = hf_regex_load(json_get(json, "pattern"));
    if (!norm->regex) return err_context("pattern");
    if (hf_regex_matches_empty(norm->regex)) {
        hf_regex_destroy(norm->regex);
        return err_user("pattern: one that matches the empty text is not supported here");
    }
    norm->text = mem_strdup(content);
    return true;
}

static bool load_settings(struct hf_norm *norm, const cJSON *json)
{
    const char *prefix = NULL;
    if (norm->kind == HF_NORM_REPLACE) return load_replace(norm, json);
    if (norm->kind == HF_NORM_STRIP) {
        norm->left = norm->right = true;
        return json_get_bool(json, "strip_left", &norm->left) &&
               json_get_bool(json, "strip_right", &norm->right);
    }
    if (norm->kind == HF_NORM_PREPEND) {
        if (!json_get_string(json, "prepend", &prefix)) return false;
        if (!prefix) return err_user("prepend: missing");
        norm->text = mem_strdup(prefix);
    }
    return true;
}

bool hf_norms_load(struct hf_norms *norms, const cJSON *json)
{
    static const char *const names[] = {"NFC",          "NFD",   "NFKC",    "NFKD",   "Lowercase",
                                        "StripAccents", "Strip", "Prepend", "Replace"};
    const char *type = NULL;
    if (!json) return true;
    if (!cJSON_IsObject(json)) return err_user("expected an object");
    if (!json_get_string(json, "type", &type)) return false;
    if (!type) return err_user("type: missing");
    if (norms->count > MAX_STEPS) return err_user("more than %d steps", MAX_STEPS);
    if (strcmp(type, "Sequence") == 0) return load_sequence(norms, json);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(type, names[i]) != 0) continue;
        struct hf_norm norm = {.kind = (enum hf_norm_kind)i};
        if (!load_settings(&norm, json)) return false;
        ARRAY_PUSH(norms, norm);
        return true;
    }
    return err_user("type: \"%.64s\" is not supported; supported: NFC, NFD, NFKC, NFKD, Lowercase, "
                    "Prepend, Replace, Sequence, Strip, StripAccents",
                    type);
}

void hf_norms_finish(struct hf_norms *norms)
{
    for (size_t i = 0; i < norms->count; i++) {
        hf_regex_destroy(norms->items[i].regex);
        mem_free(norms->items[i].text);
    }
    ARRAY_FREE(norms);
}
