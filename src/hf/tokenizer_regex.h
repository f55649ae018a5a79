// Regular expressions of tokenizer.json through PCRE2. Internal to hf.
//
// The library's patterns are Oniguruma's (Ruby syntax). What the two languages write alike but mean
// differently is translated (\s, \w, \v, script names) or refused by name: a pattern that compiles
// here splits text as the library does.
#ifndef TRDPO_HF_TOKENIZER_REGEX_H
#define TRDPO_HF_TOKENIZER_REGEX_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct hf_regex; // immutable once compiled

// NULL on failure, which names the construct or repeats PCRE2's message with the place.
struct hf_regex *hf_regex_compile(const char *pattern);
struct hf_regex *hf_regex_compile_literal(const char *text);
// A "pattern" member: {"Regex": ...} or {"String": ...}.
struct hf_regex *hf_regex_load(const cJSON *pattern);
void hf_regex_destroy(struct hf_regex *r); // accepts NULL

// True if the pattern can match the empty text.
bool hf_regex_matches_empty(const struct hf_regex *r);

// Appends the PCRE2 form of an Oniguruma pattern.
bool hf_regex_translate(const char *pattern, struct str *out);

// Iterates over the matches in a text as Oniguruma's find_iter does: no overlap, and no empty match
// right after another match. Set text and len, zero the rest; `data` is the caller's, from
// pcre2_match_data_create(), and serves one thread.
struct hf_matches {
    const char *text;
    size_t len;
    pcre2_match_data *data;
    size_t at, last_end;
    bool any;
    size_t begin, end; // of the match found
};
enum hf_match_result { HF_MATCH_NONE, HF_MATCH_FOUND, HF_MATCH_FAILED };
enum hf_match_result hf_regex_next(const struct hf_regex *r, struct hf_matches *m);

#endif
