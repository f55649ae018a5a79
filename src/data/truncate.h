// What stays of a row that is longer than max_length.
#ifndef TRDPO_DATA_TRUNCATE_H
#define TRDPO_DATA_TRUNCATE_H

#include "data/dataset.h"

#include <stddef.h>

// The parts of a row as ranges of their lists of ids: of the prompt `head` ids from its front and
// those from prompt_begin on, `prompt` in all; of a completion those from begin[] on.
struct data_parts {
    size_t prompt_begin, prompt, begin[2], completion[2];
};

// Cuts a row that does not fit; true if it did not. `head` ids (BOS: 0 or 1) stay in front of a
// prompt that loses its beginning; prompt_begin is then set. A row whose prompt alone is too long
// for DATA_KEEP_START, or with DATA_KEEP_END and a max_length of 1, stays as it is: the caller
// drops it, since p->prompt >= max_length.
bool data_truncate(struct data_parts *p, size_t max_length, enum data_truncation how, size_t head);

#endif
