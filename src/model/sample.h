// Choosing the next token from a row of logits.
#ifndef TRDPO_MODEL_SAMPLE_H
#define TRDPO_MODEL_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct model_sampling {
    float temperature; // 0: greedy, the largest logit (the lowest id among equals)
    uint32_t top_k;    // keep the k largest; 0: all
    float top_p; // keep the smallest set of largest whose probability reaches p; 0 or >= 1: all
    uint64_t seed;
};

// The token drawn for token number `index` of sequence `sequence`: depends on nothing but the
// logits, the settings and those two numbers. Order of filters as in transformers: temperature,
// top-k, top-p. -1 if no logit is finite.
int32_t model_sample(const float *logits, uint32_t vocab, const struct model_sampling *settings,
                     uint64_t sequence, uint64_t index);

#endif
