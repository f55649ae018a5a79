// The BPE model: a word's characters, merged pair by pair in the order of the merge list. Internal
// to hf.
#ifndef TRDPO_HF_TOKENIZER_BPE_H
#define TRDPO_HF_TOKENIZER_BPE_H

#include "hf/tokenizer.h"
#include "hf/tokenizer_vocab.h"

struct hf_merge {
    uint64_t pair; // left id << 32 | right id; UINT64_MAX: a free slot
    uint32_t rank;
    int32_t result;
};

struct hf_bpe {
    struct hf_merge *merges; // hash table
    size_t merge_slots;
    int32_t low_chars[0x180]; // ids of the characters below U+0180 (byte level has no others)
    int32_t byte_tokens[256]; // ids of <0x00> to <0xFF>, -1 where there is none
    bool byte_fallback;       // a character that is no token becomes its bytes' tokens
    bool ignore_merges;       // a word that is a token is that token
    bool fuse_unk;            // neighbouring unknown characters become one token
    bool has_unk;             // unknown characters become `unk`; otherwise they are left out
    int32_t unk;              // -1: named, but not in the vocabulary
};

struct hf_symbol {
    int32_t id, prev, next; // id -1: merged into the one before
};
struct hf_candidate {
    uint32_t rank, at;
    int32_t result;
};

// Memory that encoding uses over and over; one for each thread. Zero-initialise.
struct hf_bpe_scratch {
    struct hf_symbols ARRAY_OF(struct hf_symbol) symbols;
    struct hf_queue ARRAY_OF(struct hf_candidate) queue;
};

// Reads the "model" object: its vocabulary into `vocab` (which must be empty), its merges and
// settings into `b`. On failure both may hold parts, for the caller to free as ever.
bool hf_bpe_load(struct hf_bpe *b, struct hf_vocab *vocab, const cJSON *model);
void hf_bpe_finish(struct hf_bpe *b);

// Appends the ids of one word (valid UTF-8, below 2^31 bytes). Fails only where the word needs an
// unknown token that is not in the vocabulary.
bool hf_bpe_encode(const struct hf_bpe *b, const struct hf_vocab *vocab,
                   struct hf_bpe_scratch *scratch, const char *word, size_t len,
                   struct hf_ids *out);

// The same by merging alone, without looking for the word among the tokens.
bool hf_bpe_merge(const struct hf_bpe *b, const struct hf_vocab *vocab,
                  struct hf_bpe_scratch *scratch, const char *word, size_t len, struct hf_ids *out);

// Where in the table the search for a pair begins.
size_t hf_bpe_slot(const struct hf_bpe *b, uint64_t pair);

void hf_bpe_scratch_finish(struct hf_bpe_scratch *scratch);

#endif
