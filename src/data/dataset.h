// Preference and text records: read, rendered, tokenised, truncated, checked.
#ifndef TRDPO_DATA_DATASET_H
#define TRDPO_DATA_DATASET_H

#include "base/array.h"
#include "hf/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One example, tokenised. ids holds prompt, completion 0 (chosen) and completion 1 (rejected) one
// after the other, not counting what truncation removed. A text for SFT has one completion.
struct data_row {
    uint32_t line;   // of the file, from 1
    uint32_t file;   // index into data_set.files
    uint32_t first;  // offset of the row's ids in data_set.ids
    uint32_t prompt; // tokens; 0 only if the tokenizer adds no BOS and the prompt is empty
    uint32_t
        completion[2]; // tokens, the end token included; [1] is 0 where there is one completion
};

// What stays of a row longer than max_length. KEEP_START: completions lose their end. KEEP_END: the
// prompt loses its beginning, as far as the longer completion needs the room, down to the BOS token
// that the tokenizer adds or, without one, its last token; a completion still too long keeps its
// end.
enum data_truncation { DATA_KEEP_START, DATA_KEEP_END };

struct data_params {
    const char *path; // JSON lines, plain or gzip; or a folder of such files (sorted)
    const struct hf_tokenizer *tokenizer;
    bool pairs;           // true: chosen and rejected; false: one completion (SFT)
    bool completion_only; // SFT: score the completion only; false: the whole text
    uint32_t max_length;  // prompt and one completion together; 0: unlimited
    enum data_truncation truncation;
};

// Where a row stands, for messages to the user.
struct data_place {
    uint32_t file; // index into data_set.files
    uint32_t line; // from 1
};
struct data_places ARRAY_OF(struct data_place);

// What happened to the rows; places for the user.
struct data_report {
    size_t read, kept;
    size_t truncated;                   // rows kept that were cut to max_length
    struct data_places prompt_too_long; // dropped: prompt alone reaches max_length
    struct data_places identical;       // dropped: completions are or became identical
    struct data_places empty; // dropped: a completion (or an SFT text) has no token to score
    size_t boundary_merged;   // rows kept whose prompt was cut since a token merges across its end
    uint32_t longest;         // tokens of the longest row kept (prompt + one completion)
};

struct data_set {
    struct data_row_array ARRAY_OF(struct data_row) rows;
    struct data_id_array ARRAY_OF(int32_t) ids;
    char **files;
    size_t file_count;
    struct data_report report;
};

// Loads everything, in file order; the result does not depend on the number of threads. A folder's
// files are those named *.jsonl, *.json, *.jsonl.gz and *.json.gz. The form of each row is told by
// its own fields (records.h); the end token's text is appended to a text completion that lacks it.
// Failures are err_user with file and line: invalid JSON or UTF-8,
// a missing or ill-typed field, a cut gzip stream, a dataset that is empty or of which every row
// was dropped (with the counts of the reasons), messages without a chat template.
bool data_load(struct data_set *set, const struct data_params *params);
void data_finish(struct data_set *set);

// Logs the report: one line of counts, and one for each reason with the first line numbers.
void data_log_report(const struct data_set *set, const char *name);

// The rows' ids: prompt, chosen and rejected (or the single completion).
const int32_t *data_prompt_ids(const struct data_set *set, const struct data_row *row);
const int32_t *data_completion_ids(const struct data_set *set, const struct data_row *row,
                                   int which);

#endif
