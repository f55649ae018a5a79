// Added tokens: texts that become one token wherever they stand, before anything else looks at the
// text. Internal to hf.
#ifndef TRDPO_HF_TOKENIZER_ADDED_H
#define TRDPO_HF_TOKENIZER_ADDED_H

#include "base/array.h"
#include "hf/tokenizer_normalize.h"
#include "hf/tokenizer_vocab.h"

// A token as it is searched for: its content, or its normalised content.
struct hf_pattern {
    char *text;
    size_t len;
    int32_t id;
    int order;
    bool single_word, lstrip, rstrip;
};
struct hf_patterns {
    struct hf_pattern_list ARRAY_OF(struct hf_pattern) list; // sorted by text
    bool begins[256];                                        // first bytes
};

// Tokens searched for in the text as it is, and those in the normalised text between them.
struct hf_added {
    struct hf_patterns plain, normalized;
};

// A part of a text: a token, or with id -1 what lies between tokens.
struct hf_span {
    size_t begin, end;
    int32_t id;
};
struct hf_spans ARRAY_OF(struct hf_span);

// Reads the "added_tokens" section (NULL: none); the tokens that the model does not have are added
// to `vocab`. The ids must be those that the library gives: the model's, or the next free one.
bool hf_added_load(struct hf_added *added, struct hf_vocab *vocab, const struct hf_norms *norms,
                   const cJSON *json);
void hf_added_finish(struct hf_added *added);

// Cuts a text at the tokens in it, leftmost and longest first: appends its parts to `out`.
void hf_patterns_cut(const struct hf_patterns *patterns, const char *text, size_t len,
                     struct hf_spans *out);

#endif
