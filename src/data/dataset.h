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
    uint32_t label;    // DATA_UNPAIRED: 1 desirable, 0 undesirable; else 0
    // DATA_UNPAIRED: tokens of completion 0 that DATA_KEEP_START cut away and that stand in ids
    // behind it: as many as a row with a shorter prompt has room for (data_mismatched()).
    uint32_t tail;
};

// What the rows are. UNPAIRED: one completion with a label, as KTO learns from. A record with
// chosen and rejected is read as two such rows, in the order that TRL's unpair_preference_dataset
// makes: of every 1,000 records of the dataset first the chosen, then the rejected. (Were the two
// neighbours, the mismatched rows of a batch would often be matched: data_mismatched().)
enum data_kind { DATA_PAIRS, DATA_TEXTS, DATA_UNPAIRED };

// What stays of a row longer than max_length. KEEP_START: completions lose their end. KEEP_END: the
// prompt loses its beginning, as far as the longer completion needs the room, down to the BOS token
// that the tokenizer adds or, without one, its last token; a completion still too long keeps its
// end.
enum data_truncation { DATA_KEEP_START, DATA_KEEP_END };

struct data_params {
    const char *path; // JSON lines, plain or gzip; or a folder of such files (sorted)
    const struct hf_tokenizer *tokenizer;
    enum data_kind kind;
    bool completion_only; // DATA_TEXTS: score the completion only; false: the whole text
    uint32_t max_length;  // prompt and one completion together; 0: unlimited
    enum data_truncation truncation;
};

// Where a row stands, for messages to the user.
struct data_place {
    uint32_t file; // index into data_set.files
    uint32_t line; // from 1
};
struct data_places ARRAY_OF(struct data_place);

// What happened to the rows; places for the user. A record that becomes two rows counts as two.
struct data_report {
    size_t read, kept;
    size_t desirable, undesirable;      // rows kept of DATA_UNPAIRED
    size_t tokens;                      // of the rows kept, each prompt once
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
    enum data_kind kind;
    enum data_truncation truncation; // how rows were cut
    bool has_bos;                    // rows begin with the tokenizer's BOS
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

// The ranges that Eq. 8 of the KTO paper (arXiv 2402.01306) recommends for one weight while the
// other stays: weight times rows of the desirable is 1 to 4/3 times that of the undesirable.
// Rounded to hundredths and with 1.33, as TRL has it.
struct data_weight_ranges {
    double desirable[2], undesirable[2]; // least, most
};
struct data_weight_ranges data_weight_ranges(const struct data_report *report,
                                             double desirable_weight, double undesirable_weight);

// DATA_UNPAIRED: warns, naming the ranges, where the rows of the two labels differ in number and
// neither weight is in its range; false then. True of other rows. TRL says it of training rows
// only.
bool data_check_balance(const struct data_report *report, double desirable_weight,
                        double undesirable_weight);

// The rows' ids: prompt, chosen and rejected (or the single completion).
const int32_t *data_prompt_ids(const struct data_set *set, const struct data_row *row);
const int32_t *data_completion_ids(const struct data_set *set, const struct data_row *row,
                                   int which);

// The mismatched rows of KTO: row i of `out` is the prompt of order[i] with the completion of
// order[i - 1] (the first takes the last's), cut to the max_length of the load in the set's manner;
// line, file and label are those of order[i]. With DATA_KEEP_START a completion has the length it
// had before it was cut to its own prompt, as in TRL; with DATA_KEEP_END both parts are as in the
// set, and cut further. `set` is of DATA_UNPAIRED. Release `out` with data_finish().
void data_mismatched(struct data_set *out, const struct data_set *set, const uint32_t *order,
                     uint32_t count, uint32_t max_length);

// Slots (data_row_slots) that no such row exceeds, whatever the order.
uint32_t data_mismatched_longest(const struct data_set *set, uint32_t max_length);

#endif
