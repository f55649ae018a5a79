// config.json of a decoder-only model, both spellings of transformers 4 and 5.
#ifndef TRDPO_HF_CONFIG_H
#define TRDPO_HF_CONFIG_H

#include "base/dtype.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum hf_rope_type { HF_ROPE_DEFAULT, HF_ROPE_LLAMA3, HF_ROPE_LINEAR };

struct hf_rope {
    enum hf_rope_type type;
    double theta;                             // base of the wavelengths
    double factor;                            // llama3, linear
    double low_freq_factor, high_freq_factor; // llama3
    int original_max_position;                // llama3
};

struct hf_config {
    int vocab_size, hidden_size, intermediate_size, layers;
    int heads, kv_heads, head_dim; // head_dim: its own, or hidden_size / heads
    int max_position;
    double norm_eps, initializer_range;
    bool tied_head, attention_bias, mlp_bias;
    struct hf_rope rope;
    enum dtype dtype;           // torch_dtype or dtype; F32 if absent
    int bos, eos[8], eos_count; // -1 and 0 if absent
};

// Reads DIR/config.json (or the file itself, if `path` is a file). Everything is checked: an
// unsupported model_type (the message lists those supported), zero, negative, huge or inconsistent
// sizes, settings that would change the arithmetic and are not implemented (pretraining_tp > 1,
// another activation, unknown rope type, sliding window, ...). The end tokens are those of
// generation_config.json beside it, if that names any.
bool hf_config_load(struct hf_config *config, const char *path);

#endif
