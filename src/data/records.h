// One record of a dataset: which form it has is told by its fields, and every form becomes the same
// thing: a prompt, and one or two texts that begin with it.
//
//   prompt + chosen + rejected   texts, or lists of messages (explicit prompt); where prompt is a
//                                text and the others are messages, they may hold it as their user
//                                message, else it becomes the user message before them
//   chosen + rejected            texts or lists of messages that hold the prompt (implicit, HH)
//   prompt + completion          SFT: texts or messages
//   messages                     SFT: the prompt is all before the assistant's last message
//   text                         SFT: no prompt
//   prompt + completion + label  KTO: texts or messages; label true or false, or 1 or 0. Messages
//                                without a prompt hold it: all before the assistant's last one
//                                (TRL refuses those)
// An SFT reads a preference record too: chosen is the completion. So does KTO: chosen is desirable,
// rejected undesirable, the prompt is what both begin with.
#ifndef TRDPO_DATA_RECORDS_H
#define TRDPO_DATA_RECORDS_H

#include "base/str.h"
#include "data/dataset.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

struct data_record {
    int completions;   // 1 or 2
    int rows;          // 2: each completion is a row of its own
    uint32_t label[2]; // KTO: of each completion
    bool messages;     // the lists are set, else the texts
    struct str prompt, whole[2];
    cJSON *prompt_list, *whole_list[2]; // prompt_list: the messages both begin with, may be empty
};

// Reads a parsed line. `kind` and `completion_only` as in data_params. The lists refer to `row`,
// which must outlive the record. On failure (err_user naming field and what was found) the record
// is empty. Release with data_record_finish().
bool data_record_read(struct data_record *r, const cJSON *row, enum data_kind kind,
                      bool completion_only);
void data_record_finish(struct data_record *r);

#endif
