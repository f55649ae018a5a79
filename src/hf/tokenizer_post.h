// The post-processor: the ids put around a text with add_special_tokens. Internal to hf.
#ifndef TRDPO_HF_TOKENIZER_POST_H
#define TRDPO_HF_TOKENIZER_POST_H

#include "hf/tokenizer.h"
#include "hf/tokenizer_vocab.h"

struct hf_post {
    struct hf_ids before, after;
    bool taken; // while loading: a template was read
};

// Reads the "post_processor" section (NULL: none).
bool hf_post_load(struct hf_post *post, const struct hf_vocab *vocab, const cJSON *json);
void hf_post_finish(struct hf_post *post);

#endif
