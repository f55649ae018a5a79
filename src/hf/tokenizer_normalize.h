// The normalizer: rewrites text before it is cut. Internal to hf.
#ifndef TRDPO_HF_TOKENIZER_NORMALIZE_H
#define TRDPO_HF_TOKENIZER_NORMALIZE_H

#include "base/array.h"
#include "hf/tokenizer_regex.h"

#include <cjson/cJSON.h>

enum hf_norm_kind {
    HF_NORM_NFC,
    HF_NORM_NFD,
    HF_NORM_NFKC,
    HF_NORM_NFKD,
    HF_NORM_LOWERCASE,
    HF_NORM_STRIP_ACCENTS,
    HF_NORM_STRIP,
    HF_NORM_PREPEND,
    HF_NORM_REPLACE,
};

struct hf_norm {
    enum hf_norm_kind kind;
    bool left, right;       // strip
    struct hf_regex *regex; // replace
    char *text;             // prepend, replace: what is put in
};
struct hf_norms ARRAY_OF(struct hf_norm);

// Reads the "normalizer" section (NULL: none).
bool hf_norms_load(struct hf_norms *norms, const cJSON *json);
void hf_norms_finish(struct hf_norms *norms);

// Replaces the text of `text` (valid UTF-8) by its normalised form.
bool hf_norms_run(const struct hf_norms *norms, struct str *text);

#endif
