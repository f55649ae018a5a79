// A reference that lives in host memory and visits the device.
//
// Between optimiser steps the gradient is all zeros and nobody's: its arena, of fp32, then holds
// the reference, for scoring, evaluation, updates and checkpoints. So a run needs no device memory
// for the reference, as long as it scores the rows of many steps at one visit.
#ifndef TRDPO_TRAIN_OFFLOAD_H
#define TRDPO_TRAIN_OFFLOAD_H

#include "model/weights.h"
#include "vk/sequence.h"

struct train_offloaded {
    struct model_weights visitor; // the reference where it stands when it is there
    struct model_weights *arena;  // the gradient's
    float *home;                  // the reference in host memory, the bits of the arena
    bool here;                    // the arena holds the reference
    struct vk_seq *clear;         // fills the arena with zeros
};

// `gradient` is zero, and outlives this. `storage` is the reference's.
bool train_offload_init(struct train_offloaded *o, struct model_weights *gradient,
                        enum model_storage storage);
void train_offload_finish(struct train_offloaded *o); // accepts a zeroed struct

// The reference into the gradient's arena, which is zero; nothing to do where it is there. Blocks
// until the device has finished what was submitted before.
bool train_offload_bring(struct train_offloaded *o);

// The arena holds a new reference: into host memory with it. The visit goes on. Blocks.
bool train_offload_keep(struct train_offloaded *o);

// Ends the visit, if there is one: the arena is all zeros for what is submitted from now on.
bool train_offload_leave(struct train_offloaded *o);

#endif
