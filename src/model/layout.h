// The tensor table: where each weight stands in an arena.
//
// Policy, gradient, Adam moments and reference are arenas of this one layout, in elements (fp32).
// Projections that are always used together stand together (q, k, v; gate, up), so that each is one
// matrix for the kernels and several tensors, under their Hugging Face names, for files. Every
// group is padded to 256 elements, and none crosses a span of the arena.
#ifndef TRDPO_MODEL_LAYOUT_H
#define TRDPO_MODEL_LAYOUT_H

#include "model/config.h"

#include <stddef.h>

enum model_role { MODEL_EMBEDDING, MODEL_MATRIX, MODEL_NORM, MODEL_BIAS };

struct model_tensor {
    char *name; // "model.layers.0.self_attn.q_proj.weight"
    enum model_role role;
    int dims;
    int64_t shape[2];
    uint64_t offset, count; // elements
};

// Element offsets of what the kernels use; MODEL_ABSENT for a bias the model lacks.
#define MODEL_ABSENT UINT64_MAX
struct model_layer_offsets {
    uint64_t attention_norm;        // [C]
    uint64_t qkv, qkv_bias;         // [(H + 2 K) D, C]
    uint64_t out, out_bias;         // [C, H D]
    uint64_t mlp_norm;              // [C]
    uint64_t gate_up, gate_up_bias; // [2 F, C]
    uint64_t down, down_bias;       // [C, F]
};

struct model_layout {
    struct model_config config;
    struct model_tensor *tensors;
    size_t tensor_count;
    uint64_t embed;      // [V, C]
    uint64_t final_norm; // [C]
    uint64_t head;       // [V, C]; equals embed if tied
    struct model_layer_offsets *layers;
    uint64_t span_elements; // a power of two
    uint64_t elements;      // in all, padding included; a multiple of 256
    uint64_t parameters;    // padding excluded
};

// Spans have 2^28 elements (1 GiB) or as many more as the largest matrix needs; `max_span_bytes`
// (a device's largest allocation; 0: no limit) that is too small for it is err_user.
bool model_layout_init(struct model_layout *layout, const struct model_config *config,
                       uint64_t max_span_bytes);
void model_layout_finish(struct model_layout *layout);

const struct model_tensor *model_layout_find(const struct model_layout *layout, const char *name);

#endif
