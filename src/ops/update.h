// Updates over whole weight arenas, one dispatch each: gradient norm, AdamW, reference update.
//
// Policy, gradient, moments and reference share one layout: element i of each stands at
// spans[i >> span_shift] + (i & mask). Padding elements are zero in all of them and stay zero.
#ifndef TRDPO_OPS_UPDATE_H
#define TRDPO_OPS_UPDATE_H

#include "vk/sequence.h"

// One fp32 arena as these kernels see it.
struct op_arena {
    vk_addr table;       // addresses of the spans (vk_arena.table)
    uint32_t span_shift; // log2 of elements in a span
    uint64_t count;      // elements, padding included; a multiple of 256
};
struct op_arena op_arena_of(const struct vk_arena *arena); // of all bytes in use

// Global 2-norm of the gradient and the clip factor of torch.nn.utils.clip_grad_norm_:
// factor = min(1, max_norm / (norm + 1e-6)) (1 if max_norm is 0). Writes grad_norm, clip_factor and
// a count of non-finite gradients (by exponent bits) to struct step_results at `results`. Partial
// sums in a fixed order; `partial` is scratch of OP_GRAD_NORM_PARTIAL_BYTES.
#define OP_GRAD_NORM_PARTIAL_BYTES (4096 * 8)
struct op_grad_norm {
    struct op_arena grad;
    vk_addr results, partial;
    float max_norm;
};
void op_grad_norm(struct vk_seq *s, const struct op_grad_norm *p);

// AdamW (Loshchilov and Hutter 2019, as torch.optim.AdamW): g = grad * clip_factor;
// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr wd w; w -= lr (m / c1) / (sqrt(v / c2) +
// eps), with lr, c1 = 1 - b1^t, c2 = 1 - b2^t from struct step_values. Also sets grad to zero for
// the next step. Nothing changes when step_results counts non-finite gradients. `decay`: uint32 bit
// array, one bit for each 256 elements, of blocks that decay; 0: all decay.
struct op_adamw {
    struct op_arena weight, grad, m, v;
    vk_addr step, results, decay;
    double beta1, beta2; // double: the kernel needs 1 - beta too
    float epsilon, weight_decay;
};
void op_adamw(struct vk_seq *s, const struct op_adamw *p);

// Reference update of TR-DPO (arXiv 2404.09656): ref = alpha * policy + (1 - alpha) * ref over the
// whole arena in one dispatch; alpha = 1 copies bit for bit. Also adds 1 to
// step_results.ref_updates.
struct op_ref_update {
    struct op_arena ref, policy;
    vk_addr results;
    float alpha;
};
void op_ref_update(struct vk_seq *s, const struct op_ref_update *p);

#endif
