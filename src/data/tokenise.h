// From a record to token ids: rendered, tokenised whole, divided into prompt and completions, cut
// to length.
#ifndef TRDPO_DATA_TOKENISE_H
#define TRDPO_DATA_TOKENISE_H

#include "data/dataset.h"
#include "data/records.h"
#include "hf/chat_template.h"

// What is the same for all rows. Immutable once made, so rows may be tokenised from many threads.
struct data_tokeniser {
    const struct hf_tokenizer *tokenizer;
    struct hf_chat_template *chat; // NULL: the tokenizer has none, or it does not parse
    char *chat_error;              // why it does not parse
    int32_t bos;                   // put in front of a text that does not begin with it; -1: none
    uint32_t max_length;           // 0: unlimited
    enum data_truncation truncation;
    bool score_prompt; // SFT on whole texts: prompt tokens are scored too
    bool keep_tail;    // ids cut from a completion's end are kept (data_row.tail)
};

// A chat template that does not parse is a failure only once a row has messages.
void data_tokeniser_init(struct data_tokeniser *t, const struct data_params *params);
void data_tokeniser_finish(struct data_tokeniser *t);

enum data_drop { DATA_KEPT, DATA_PROMPT_TOO_LONG, DATA_IDENTICAL, DATA_EMPTY };

// ids: prompt, chosen, rejected, tail. Nothing is in `ids` of a row that was dropped.
struct data_tokens {
    struct hf_ids ids;
    uint32_t prompt, completion[2], tail;
    bool truncated, boundary_merged;
    enum data_drop drop;
};

// Renders `r` if it has messages (its texts are then set) and fills an entry of `out` for each of
// its rows. The caller frees the ids of both entries with ARRAY_FREE() in any case.
bool data_tokenise(const struct data_tokeniser *t, struct data_record *r,
                   struct data_tokens out[2]);

#endif
