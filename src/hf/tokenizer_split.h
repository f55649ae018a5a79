// The pre-tokenizer: cuts text into the words that BPE sees. Internal to hf.
#ifndef TRDPO_HF_TOKENIZER_SPLIT_H
#define TRDPO_HF_TOKENIZER_SPLIT_H

#include "base/array.h"
#include "hf/tokenizer_regex.h"

#include <cjson/cJSON.h>

enum hf_split_behavior {
    HF_SPLIT_REMOVED,
    HF_SPLIT_ISOLATED,
    HF_SPLIT_MERGED_PREVIOUS,
    HF_SPLIT_MERGED_NEXT,
    HF_SPLIT_CONTIGUOUS,
};

enum hf_stage_kind {
    HF_STAGE_PREFIX,    // puts `prefix` before a piece that does not begin with it
    HF_STAGE_SPLIT,     // cuts pieces at the matches of `regex`
    HF_STAGE_REPLACE,   // replaces spaces by `prefix`
    HF_STAGE_MAP_BYTES, // bytes to characters of the byte-level alphabet
};

// A pre-tokenizer of the file is one to three of these in a row.
struct hf_stage {
    enum hf_stage_kind kind;
    struct hf_regex *regex;
    enum hf_split_behavior behavior;
    bool invert;     // cut at what lies between the matches
    bool first_only; // prefix: only a piece that begins the whole text
    char *prefix;
};
struct hf_stages ARRAY_OF(struct hf_stage);

// A piece of text; `first` if it begins where the text that was to be encoded begins.
struct hf_piece {
    size_t begin, end;
    bool first;
};
struct hf_pieces ARRAY_OF(struct hf_piece);

// The pieces of a text, and memory to work in. Zero-initialise; one for each thread.
struct hf_cutter {
    struct str text, other_text;
    struct hf_pieces pieces, other_pieces, spans;
    pcre2_match_data *data;
};

// Reads the "pre_tokenizer" section (NULL: none).
bool hf_stages_load(struct hf_stages *stages, const cJSON *json);
void hf_stages_finish(struct hf_stages *stages);

// Cuts `text` (valid UTF-8): the pieces are in cutter->pieces, indices of cutter->text.
bool hf_stages_run(const struct hf_stages *stages, struct hf_cutter *cutter, const char *text,
                   size_t len, bool first);
void hf_cutter_finish(struct hf_cutter *cutter);

#endif
