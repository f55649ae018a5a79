// The tokens of a tokenizer: texts by id, and ids by text. Internal to hf.
#ifndef TRDPO_HF_TOKENIZER_VOCAB_H
#define TRDPO_HF_TOKENIZER_VOCAB_H

#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_MAX_IDS (1 << 24) // as many as config.json may have

enum hf_token_flags {
    HF_TOKEN_MODEL = 1,   // of the model's vocabulary: what BPE may produce
    HF_TOKEN_ADDED = 2,   // of added_tokens
    HF_TOKEN_SPECIAL = 4, // left out when decoding with skip_special
    HF_TOKEN_WHOLE = 8,   // BPE makes exactly this token from its text
};

// An id with no flags is a hole: no token has it.
struct hf_token {
    uint32_t offset, len; // in hf_vocab.text
    unsigned flags;
};

struct hf_vocab {
    struct str text;
    struct hf_token *tokens; // by id
    size_t id_count, capacity;
    uint32_t *slots; // hash table of id + 1; 0 is a free slot
    size_t slot_count, used;
};

// Adds a token; its text and id must both be new.
bool hf_vocab_add(struct hf_vocab *v, const char *text, size_t len, int32_t id, unsigned flags);
void hf_vocab_finish(struct hf_vocab *v);

// Id of a text, or -1.
int32_t hf_vocab_find(const struct hf_vocab *v, const char *text, size_t len);

// True if a token has this id.
bool hf_vocab_has(const struct hf_vocab *v, int64_t id);

// Text of an id that hf_vocab_has(); not NUL-terminated, may move with the next hf_vocab_add().
const char *hf_vocab_text(const struct hf_vocab *v, int32_t id, size_t *len);

// Reads the model's "vocab" object.
bool hf_vocab_load(struct hf_vocab *v, const cJSON *object);

// Reads a token id of 0 to HF_MAX_IDS - 1.
bool hf_read_id(const cJSON *item, int32_t *id);

#endif
