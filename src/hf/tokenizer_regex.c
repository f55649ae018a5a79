#include "hf/tokenizer_regex.h"

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>

#define MAX_PATTERN 65536

struct hf_regex {
    pcre2_code *code;
};

static struct hf_regex *compile(const char *pattern, size_t len, uint32_t options)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    int error;
    PCRE2_SIZE offset;
    CHECK(context);
    // Whatever PCRE2 was built with, a line ends at \n.
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, len, PCRE2_UTF | PCRE2_NO_UTF_CHECK | options, &error,
                      &offset, context);
    pcre2_compile_context_free(context);
    if (!code) {
        PCRE2_UCHAR message[256];
        pcre2_get_error_message(error, message, sizeof message);
        err_user("the pattern does not compile at byte %zu of \"%.200s\": %s", (size_t)offset,
                 pattern, (const char *)message);
        return NULL;
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); // where there is no JIT, it is interpreted
    struct hf_regex *r = MEM_NEW(struct hf_regex);
    r->code = code;
    return r;
}

struct hf_regex *hf_regex_compile(const char *pattern)
{
    struct str translated = {0};
    struct hf_regex *r = NULL;
    if (strlen(pattern) > MAX_PATTERN)
        err_user("the pattern is longer than %d bytes", MAX_PATTERN);
    else if (hf_regex_translate(pattern, &translated))
        r = compile(str_text(&translated), translated.len, PCRE2_UCP | PCRE2_MULTILINE);
    str_finish(&translated);
    return r;
}

struct hf_regex *hf_regex_compile_literal(const char *text)
{
    if (!*text || strlen(text) > MAX_PATTERN) {
        err_user("expected a string of 1 to %d bytes", MAX_PATTERN);
        return NULL;
    }
    return compile(text, strlen(text), PCRE2_LITERAL);
}

struct hf_regex *hf_regex_load(const cJSON *pattern)
{
    const char *regex = NULL, *literal = NULL;
    if (!cJSON_IsObject(pattern)) {
        err_user("expected an object");
        return NULL;
    }
    if (!json_get_string(pattern, "Regex", &regex) || !json_get_string(pattern, "String", &literal))
        return NULL;
    if (!regex == !literal) {
        err_user("expected one of \"Regex\" and \"String\"");
        return NULL;
    }
    return regex ? hf_regex_compile(regex) : hf_regex_compile_literal(literal);
}

void hf_regex_destroy(struct hf_regex *r)
{
    if (!r) return;
    pcre2_code_free(r->code);
    mem_free(r);
}

bool hf_regex_matches_empty(const struct hf_regex *r)
{
    uint32_t empty = 0;
    pcre2_pattern_info(r->code, PCRE2_INFO_MATCHEMPTY, &empty);
    return empty != 0;
}

static int match(const struct hf_regex *r, const struct hf_matches *m)
{
    PCRE2_SPTR text = (PCRE2_SPTR)m->text;
    int rc = pcre2_match(r->code, text, m->len, m->at, PCRE2_NO_UTF_CHECK, m->data, NULL);
    // The JIT's stack is small; the interpreter's is the heap.
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, text, m->len, m->at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data,
                         NULL);
    return rc;
}

enum hf_match_result hf_regex_next(const struct hf_regex *r, struct hf_matches *m)
{
    while (m->at <= m->len) {
        int rc = match(r, m);
        if (rc == PCRE2_ERROR_NOMATCH) break;
        if (rc < 0) {
            PCRE2_UCHAR message[256];
            pcre2_get_error_message(rc, message, sizeof message);
            err_user("tokenizer.json: a pattern fails on the text at byte %zu of %zu: %s", m->at,
                     m->len, (const char *)message);
            return HF_MATCH_FAILED;
        }
        const PCRE2_SIZE *range = pcre2_get_ovector_pointer(m->data);
        m->begin = range[0];
        m->end = range[1];
        if (m->begin == m->end && m->any && m->last_end == m->end) {
            if (m->at == m->len) break;
            str_next_codepoint(m->text, m->len, &m->at);
            continue;
        }
        m->at = m->last_end = m->end;
        m->any = true;
        return HF_MATCH_FOUND;
    }
    return HF_MATCH_NONE;
}
