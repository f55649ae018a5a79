// What a forward pass leaves behind, and the scratch that forward and backward share.
//
// Arrays that are never wanted at the same time share memory: which phases of a pass each lives in
// is written down in activations.c beside its size, and changes where forward.c or backward.c do.
#ifndef TRDPO_MODEL_ACTIVATIONS_H
#define TRDPO_MODEL_ACTIVATIONS_H

#include "model/config.h"
#include "vk/memory.h"

// Kept for the backward pass, per layer: all of it, or with gradient checkpointing `x` alone, the
// rest being one set that the layers share. Normalised rows and the SwiGLU product are cheap to
// make again and are not kept.
struct model_layer_activations {
    vk_addr x;          // [T, C] residual stream entering the layer
    vk_addr norm1_rstd; // [T]
    vk_addr qkv;        // [T, (H + 2 K) D] after RoPE
    vk_addr att;        // [T, H D]
    vk_addr lse;        // [T, H]
    vk_addr mid;        // [T, C] residual stream between attention and MLP
    vk_addr norm2_rstd; // [T]
    vk_addr gate_up;    // [T, 2 F]; backward turns it into its gradient
};

struct model_activations {
    uint32_t tokens, scored, layers; // T, S, L
    bool training, recompute, frozen_head;
    struct model_layer_activations *layer; // [L]; all equal when not training; recompute: but for x
    vk_addr x_last;                        // [T, C] residual stream after the last layer
    vk_addr final_x;                       // [S, C] its scored rows
    vk_addr final_rstd;                    // [S]
    vk_addr final_norm;                    // [S, C]
    vk_addr logp, lse, entropy, is_argmax; // [S]
    vk_addr collision;                     // [S] log sum p^2; 0 where not asked for

    uint64_t apart_bytes; // of all arrays, if each had a place of its own

    // Scratch.
    vk_addr norm;   // [T, C] normalised rows
    vk_addr hidden; // [T, F] SwiGLU product
    vk_addr logits; // [chunk_rows, V]
    uint32_t chunk_rows;
    vk_addr matmul; // for op_linear
    uint64_t matmul_bytes;
    // Training only.
    vk_addr dlogp;    // [S]
    vk_addr dfinal;   // [S, C] gradient of final_norm; of a frozen head, the head's slopes before
    vk_addr dfinal_x; // [S, C] gradient of final_x
    vk_addr dx;       // [T, C]
    vk_addr dnorm;    // [T, C]
    vk_addr datt;     // [T, H D]
    vk_addr dqkv;     // [T, (H + 2 K) D]
    vk_addr dhidden;  // [T, F]
    vk_addr delta;    // [T, H]
    vk_addr partial;  // for op_rmsnorm_bwd
};

struct model_activation_params {
    uint32_t tokens, scored; // T, S
    bool training;           // keep what backward needs
    bool recompute;          // of it only what enters each layer; backward makes the rest again
    bool collision;          // the head's log sum p^2 is wanted
    bool frozen_head;        // passes may have one; none of them trains it
    // For tests: every array in a place of its own; or, where not 0, another plan for each value.
    bool apart;
    uint64_t shuffle;
    uint64_t logits_bytes; // budget of a chunk of logits; 0: 64 MiB
};

// Lays everything out in `arena`, which may be measuring (device NULL): call once to size it and
// once to fill it. `device` chooses the matmul scratch.
void model_activations_layout(struct model_activations *a, const struct model_config *c,
                              struct vk_arena *arena, const struct vk_device *device,
                              const struct model_activation_params *params);
// Bytes of the largest array of that layout, which one span of the arena must hold.
uint64_t model_activations_largest(const struct model_config *c, const struct vk_device *device,
                                   const struct model_activation_params *params);
void model_activations_finish(struct model_activations *a); // frees the table, not the arena

#endif
