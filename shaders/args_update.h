// Arguments of the updates over whole arenas: gradient norm, AdamW, reference. Included by args.h.
#ifndef TRDPO_ARGS_UPDATE_H
#define TRDPO_ARGS_UPDATE_H

// Arenas are worked on in tiles of elements; none crosses a span. `span_shift` is the log2 of the
// tiles in a span, `blocks` the number of blocks of 256 elements in the arena, `tiles` those of a
// workgroup.
#define ARENA_TILE 1024
#define ARENA_TILE_LOG2 10

#define GRAD_NORM_PARTIALS 4096 // at most: OP_GRAD_NORM_PARTIAL_BYTES / 8

struct grad_norm_args {
    ADDRESS(span_table) grad;
    ADDRESS(u32x2) partial; // bits of a sum of squares, count of non-finite gradients
    uint blocks, span_shift, tiles;
};

struct grad_norm_sum_args {
    ADDRESS(u32x2) partial;
    ADDRESS(step_results_ref) results;
    uint partials;
    float max_norm;
};

struct scale_by_loss_args {
    ADDRESS(f32) y;
    ADDRESS(u32) live; // bounds the count
    ADDRESS(step_results_ref) results;
    uint count;
};

struct adamw_args {
    ADDRESS(span_table) weight, weight_lower, grad, m, v; // lower: of master halves, else 0
    ADDRESS(step_values_ref) step;
    ADDRESS(step_results_ref) results;
    ADDRESS(u32) decay;
    uint blocks, span_shift, tiles;
    float beta1, beta2, one_minus_beta1, one_minus_beta2, epsilon, weight_decay;
};

// Bounds of what the 8-bit codes hold: a block whose largest |m| or sqrt(v) is smaller counts as
// zero; a sqrt(v) that is larger counts as this, whose square is finite.
#define ADAMW_8BIT_SMALLEST_SCALE 7.8886090522101181e-31f // 2^-100
#define ADAMW_8BIT_LARGEST_ROOT 1.8e19f

struct adamw_8bit_args {
    ADDRESS(span_table) weight, weight_lower, grad, m, v; // m, v: of codes, one byte an element
    ADDRESS(f32x2) scales; // of each block: the largest |m| and sqrt(v)
    ADDRESS(step_values_ref) step;
    ADDRESS(step_results_ref) results;
    ADDRESS(u32) decay;
    uint blocks, span_shift, tiles;
    float beta1, beta2, one_minus_beta1, one_minus_beta2, epsilon, weight_decay;
};

struct ref_update_args {
    ADDRESS(span_table) ref, ref_lower, policy, policy_lower;
    ADDRESS(step_results_ref) results;
    uint blocks, span_shift, tiles;
    float alpha;
};

#endif
