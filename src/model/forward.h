// The decoder: forward and backward as recorded commands, one line an operation.
#ifndef TRDPO_MODEL_FORWARD_H
#define TRDPO_MODEL_FORWARD_H

#include "model/activations.h"
#include "model/batch.h"
#include "model/weights.h"
#include "ops/linear.h"
#include "vk/sequence.h"

// What a pass needs beside the weights; all of it must outlive the recorded sequence.
struct model_pass {
    const struct model_config *config;
    const struct model_batch *batch;
    const struct model_activations *act;
    vk_addr rope_table; // model_rope_table(), rope_rows positions
    uint32_t rope_rows;
    enum op_units units; // what products are computed in
    // The head is not trained: forward makes what backward wants of it, which must follow it, and
    // backward adds nothing to its gradient. Needs activations for it. Not where the head is the
    // embedding.
    bool frozen_head;
};

// Log-probs of the batch's scored targets under `w`: act->logp, lse, entropy, is_argmax.
void model_forward(struct vk_seq *s, const struct model_pass *p, const struct model_weights *w);

// What backward needs of a layer beside its input a->x: everything up to gate_up, with the same
// bits whenever it is done. Scratch is used. `hidden`, if not 0, is assigned what the down
// projection takes.
void model_layer_inside(struct vk_seq *s, const struct model_pass *p, const struct model_layer *w,
                        const struct model_layer_activations *a, vk_addr hidden);

// Adds the gradient of sum(dlogp * logp) to `grad`, given act->dlogp and what model_forward left
// for the same batch and weights (training activations only, which it overwrites in part).
void model_backward(struct vk_seq *s, const struct model_pass *p, const struct model_weights *w,
                    const struct model_weights *grad);

#endif
