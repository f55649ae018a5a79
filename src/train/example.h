// A row as the model sees it, for people.
#ifndef TRDPO_TRAIN_EXAMPLE_H
#define TRDPO_TRAIN_EXAMPLE_H

#include "base/str.h"
#include "data/dataset.h"

// Appends lines with the decoded texts of a row of `set` and its label, scored tokens in [[ ]].
// `score_prompt`: as for the whole texts of SFT.
void train_example_text(const struct hf_tokenizer *tokenizer, const struct data_set *set,
                        const struct data_row *row, bool score_prompt, struct str *out);

#endif
