// Updates over whole weight arenas, one dispatch each: gradient norm, AdamW, reference update.
//
// Policy, gradient, moments and reference share one layout: element i of each stands at
// spans[i >> span_shift] + (i & mask). Padding elements are zero in all of them and stay zero.
#ifndef TRDPO_OPS_UPDATE_H
#define TRDPO_OPS_UPDATE_H

#include "ops/type.h"
#include "vk/sequence.h"

// One arena as these kernels see it: fp32 unless said otherwise.
struct op_arena {
    vk_addr table;       // addresses of the spans (vk_arena.table)
    uint32_t span_shift; // log2 of elements in a span
    uint64_t count;      // elements, padding included; a multiple of 256
    enum op_type type;
    // Where the type is OP_BF16 and the elements are master weights in fp32: the arena of their
    // lower halves (shaders/arena_types.glsl). 0: there are none.
    vk_addr lower;
};
// Of all bytes in use; of arenas of 2 bytes an element, the second 0 or that of the lower halves.
struct op_arena op_arena_of(const struct vk_arena *arena);
struct op_arena op_half_arena_of(const struct vk_arena *upper, const struct vk_arena *lower);

// Global 2-norm of the gradient and the clip factor of torch.nn.utils.clip_grad_norm_:
// factor = min(1, max_norm / (norm + 1e-6)) (1 if max_norm is 0). Writes grad_norm, clip_factor and
// a count of non-finite gradients (by exponent bits) to struct step_results at `results`. Partial
// sums in a fixed order; `partial` is scratch of OP_GRAD_NORM_PARTIAL_BYTES.
#define OP_GRAD_NORM_PARTIAL_BYTES (4096 * 8)
struct op_grad_norm {
    struct op_arena grad; // fp32 or bf16
    vk_addr results, partial;
    float max_norm;
};
void op_grad_norm(struct vk_seq *s, const struct op_grad_norm *p);

// y[i] *= results.grad_scale for i < count (`live`, address of a uint32, bounds it): the loss scale
// on the derivatives of the loss, from where it goes through the backward pass. With a scale
// (grad_scale > 0; shaders/args_step.h) op_grad_norm() takes it out of grad_norm and clip_factor,
// and moves it on: a step with gradients that are not finite halves it.
struct op_scale_by_loss {
    vk_addr y, results;
    uint32_t count;
    vk_addr live;
};
void op_scale_by_loss(struct vk_seq *s, const struct op_scale_by_loss *p);

// AdamW (Loshchilov and Hutter 2019, as torch.optim.AdamW): g = grad * clip_factor;
// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr wd w; w -= lr (m / c1) / (sqrt(v / c2) +
// eps), with lr, c1 = 1 - b1^t, c2 = 1 - b2^t from struct step_values. Also sets grad to zero for
// the next step. When step_results counts non-finite gradients nothing changes, but with a loss
// scale the gradient is set to zero all the same. `decay`: uint32 bit
// array, one bit for each 256 elements, of blocks that decay; 0: all decay.
struct op_adamw {
    struct op_arena weight; // fp32, or master halves
    struct op_arena grad;   // fp32, or with master halves also bf16
    struct op_arena m, v;
    vk_addr step, results, decay;
    double beta1, beta2; // double: the kernel needs 1 - beta too
    float epsilon, weight_decay;
};
void op_adamw(struct vk_seq *s, const struct op_adamw *p);

// The same with the moments in 8 bits, block by block, after Dettmers et al. (arXiv 2110.02861). A
// block of 256 elements has two scales, its largest |m| and its largest sqrt(v); an element has two
// codes of a byte, of which m is scale sign(k) (|k| / 127)^4, k in two's complement, and sqrt(v) is
// scale (k / 255)^4. So relative steps grow slowly from the scale down to 2e-10 of it. Codes are
// the nearest by the fourth root, without randomness; of codes below 4, m takes the lower and v the
// higher sooner, and a v that is not 0 never falls to 0. The step itself is made with the new
// moments before they are rounded.
//
// The paper's own code is a table of 256 values whose precision shrinks with each power of ten.
// Over 600 steps of noisy gradients of six kinds the sum of the steps was 3 to 44% off with it,
// even with its v kept from 0 (else elements whose v fell to 0 took steps of thousands of learning
// rates), and 2 to 13% with this, less in each kind; and this needs no table.
struct op_adamw_8bit {
    struct op_arena weight, grad;
    struct op_arena m, v; // of codes: op_code_arena_of()
    vk_addr scales;       // two floats a block: of m, of sqrt(v)
    vk_addr step, results, decay;
    double beta1, beta2;
    float epsilon, weight_decay;
};
void op_adamw_8bit(struct vk_seq *s, const struct op_adamw_8bit *p);
// An arena of one byte an element, all of it in use.
struct op_arena op_code_arena_of(const struct vk_arena *arena);
#define OP_ADAMW_8BIT_SCALE_BYTES 8 // of a block's scales

// Reference update of TR-DPO (arXiv 2404.09656): ref = alpha * policy + (1 - alpha) * ref over the
// whole arena in one dispatch; alpha = 1 copies bit for bit. Also adds 1 to
// step_results.ref_updates.
struct op_ref_update {
    struct op_arena ref, policy; // both fp32, or both master halves
    vk_addr results;
    float alpha;
};
void op_ref_update(struct vk_seq *s, const struct op_ref_update *p);

#endif
