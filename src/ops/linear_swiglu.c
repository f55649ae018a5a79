// The product that ends in SwiGLU, which saves a pass over gate and up.
#include "ops/matmul.h"
#include "ops/rows.h"

#include "base/error.h"

void linear_swiglu_tier(struct vk_seq *s, const struct op_linear_swiglu *p, enum vk_tier tier)
{
    // In one pass h is written while other workgroups still read x.
    uint64_t h_bytes = sizeof(float) * (uint64_t)p->rows * p->ffn;
    CHECK(!p->h || matmul_apart(p->h, h_bytes, p->x, sizeof(float) * (uint64_t)p->rows * p->in));
    struct matmul product = {.y = p->gate_up,
                             .a = p->x,
                             .b = p->w,
                             .bias = p->bias,
                             .live = p->live,
                             .rows = p->rows,
                             .cols = 2 * p->ffn,
                             .depth = p->in,
                             .a_by_depth = true,
                             .b_by_depth = true,
                             .b_type = p->w_type};
    // Not on CPU devices: a product of theirs that ended in SwiGLU, its panels made of gate and up
    // in turn, took lavapipe 1.07 to 1.33 times as long as the two passes.
    product.swiglu = tier != VK_TIER_DIRECT;
    product.h = product.swiglu ? p->h : 0;
    bool ended = matmul_record_tier(s, &product, tier);
    if (ended || !p->h || p->rows == 0 || p->ffn == 0) return;
    op_swiglu_fwd(
        s, &(struct op_swiglu){
               .h = p->h, .gate_up = p->gate_up, .rows = p->rows, .cols = p->ffn, .live = p->live});
}

void op_linear_swiglu_fwd(struct vk_seq *s, const struct op_linear_swiglu *p)
{
    linear_swiglu_tier(s, p, matmul_tier(s));
}
