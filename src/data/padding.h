// What padding would cost: tokens that a trainer computes which pads every batch to its longest
// row.
#ifndef TRDPO_DATA_PADDING_H
#define TRDPO_DATA_PADDING_H

#include "data/dataset.h"

// Tokens of one pass over all rows.
struct data_token_counts {
    uint64_t padded; // batches of rows in file order, each completion with its prompt one sequence,
                     // all sequences of a batch padded to the longest (TRL's collators)
    uint64_t rows;   // the same sequences without padding
    uint64_t slots;  // computed here: a pair's prompt once, and no slot for a last token
};
struct data_token_counts data_count_tokens(const struct data_set *set, uint32_t batch_size);

#endif
