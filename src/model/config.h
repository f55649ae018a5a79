// The decoder, described by its sizes: everything forward and backward need to know.
//
// Letters: T token slots, S scored positions, C channels (hidden size), H query heads, K key/value
// heads, D head size, F feed-forward size, V vocabulary, L layers.
#ifndef TRDPO_MODEL_CONFIG_H
#define TRDPO_MODEL_CONFIG_H

#include "hf/config.h"

#include <stdbool.h>
#include <stdint.h>

struct model_config {
    uint32_t vocab, channels, ffn, layers, heads, kv_heads, head_dim; // V, C, F, L, H, K, D
    float norm_eps;
    bool tied_head;      // the head is the embedding
    bool attention_bias; // q, k, v and output projections have biases
    bool mlp_bias;       // gate, up and down projections have biases
    uint32_t max_position;
    struct hf_rope rope;
    float initializer_range;
};

struct model_config model_config_from_hf(const struct hf_config *hf);

// Columns of the fused q, k, v projection: (H + 2 K) D.
uint32_t model_qkv_cols(const struct model_config *c);

// Writes the table that op_rope wants: `positions` rows of D/2 pairs (cos, sin). Wavelengths as
// transformers computes them, in single precision, the llama3 and linear scalings included.
void model_rope_table(const struct model_config *c, uint32_t positions, float *table);

// FLOPs of the products of one forward pass for `tokens` slots and `scored` head rows, attention
// aside: 2 per weight and token.
double model_forward_flops(const struct model_config *c, double tokens, double scored);

#endif
