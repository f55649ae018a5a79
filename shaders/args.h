// Argument structs of all kernels, included by C and by GLSL, so that nothing is declared twice.
// In C an address is a 64-bit integer; in GLSL it is a typed buffer reference (buffers.glsl lists
// the types). Scalar layout: fields stand at their natural alignment in both. Addresses come first,
// then 32-bit values; at most 128 bytes. A kernel's struct is NAME_args, in the family's file.
#ifndef TRDPO_ARGS_H
#define TRDPO_ARGS_H

#ifdef GL_core_profile
#define ADDRESS(type) type
#else
#include <stdint.h>
#define ADDRESS(type) uint64_t
typedef uint32_t uint;
#endif

// Values that vary from step to step while the command buffers stay; read by kernels from memory.

// Counts of the pack in flight (struct data_pack). A kernel over tokens gets the address of the
// count that bounds it ("live"); address 0 means the row count it was given.
struct pack_counts {
    uint tokens;    // T in use
    uint scored;    // S in use
    uint sequences; // R in use
    uint rows;      // rows (pairs, or single texts)
    uint unique;    // distinct token ids
    uint first_row; // rows of the step in earlier packs: where this pack's metrics go
    // Of the batch (per_device_train_batch_size rows of the step) that this pack belongs to, for
    // losses that look beyond a row; 0 where none does.
    uint batch_first;  // rows of the step before the batch
    uint batch_rows;   // rows of the batch
    uint batch_tokens; // scored tokens of its chosen completions
};

// Slots that a token attends to: [prefix_begin, prefix_end) and [own_begin, own_end).
struct token_span {
    uint prefix_begin, prefix_end, own_begin, own_end;
};

#include "args_step.h"

#ifdef GL_core_profile
#include "buffers.glsl"
#endif

// Of the kernel that ends every submission (counter.comp).
struct counter_args {
    ADDRESS(u32) steps;
};

#include "args_attention.h"
#include "args_loss.h"
#include "args_matmul.h"
#include "args_rows.h"
#include "args_update.h"

#endif
