// The matrix product that linear layers and the log-prob head are made of.
#ifndef TRDPO_OPS_MATMUL_H
#define TRDPO_OPS_MATMUL_H

#include "ops/linear.h"

// y[rows, cols] = sum over k < depth of a(i, k) b(k, j) + bias[j] + add[i, j]. Assigns.
//
// a lies in memory as [rows, depth] (a_by_depth) or [depth, rows], b as [cols, depth] (b_by_depth)
// or [depth, cols], y and add as [rows, cols]. add may be y. `live` (0: none), less live_from,
// bounds the depth if live_depth is set, else the rows. With live_depth add must be y: where
// nothing is in use, y is left alone. a is fp32; b and bias may be weights in bf16, y and add a
// weight's gradient in bf16, but not both.
struct matmul {
    vk_addr y, a, b, bias, add, live;
    uint32_t rows, cols, depth;
    bool a_by_depth, b_by_depth, live_depth;
    uint32_t live_from;
    uint32_t a_stride, b_stride; // between lines of a and of b; 0: no gap
    enum op_type b_type, y_type; // of b and bias; of y and add
    // A product that is to end in SwiGLU, if its kernel can: the columns of y are those of gate and
    // then of up, and h[rows, cols / 2] = silu(gate) up, where h is not 0. Such a product has
    // a_by_depth and b_by_depth, no live_depth, and y in fp32.
    bool swiglu;
    vk_addr h;
};

// The tier of the sequence's products: by the units that op_linear_use() set, or the device's.
enum vk_tier matmul_tier(struct vk_seq *s);

// Records the product with that tier, or with the one given (which the device has). Its dispatches
// follow each other: not for use inside vk_group_begin/end, unless it stands alone. True if the
// product ended in SwiGLU; else h is not made.
bool matmul_record(struct vk_seq *s, const struct matmul *p);
bool matmul_record_tier(struct vk_seq *s, const struct matmul *p, enum vk_tier tier);

// op_linear_swiglu_fwd() in the tier given.
void linear_swiglu_tier(struct vk_seq *s, const struct op_linear_swiglu *p, enum vk_tier tier);

// The products of linear.h.
struct matmul matmul_of_fwd(const struct op_linear *p);
struct matmul matmul_of_bwd_input(const struct op_linear_bwd_input *p);
struct matmul matmul_of_bwd_weight(const struct op_linear_bwd_weight *p); // without dbias

// ---- the tiers ----

// Long sums are cut at this depth and the parts added up: one long sum in fp32 loses digits. It
// also lets a panel stay in a second-level cache. A result in bf16 is rounded at each cut, which
// costs more digits than a longer sum: it is cut later.
#define MATMUL_DEPTH_MOST 1024
#define MATMUL_DEPTH_MOST_BF16 2048

static inline uint32_t matmul_depth_most(enum op_type y_type)
{
    return y_type == OP_BF16 ? MATMUL_DEPTH_MOST_BF16 : MATMUL_DEPTH_MOST;
}

// Between lines of an operand.
uint32_t matmul_a_stride(const struct matmul *p);
uint32_t matmul_b_stride(const struct matmul *p);

// Packed panels and a register tile; or few rows of operands as they are: false if the device or
// the product is none for it, or wants scratch that is not there. matmul_plain() takes everything.
bool matmul_direct(struct vk_seq *s, const struct matmul *p);
bool matmul_few(struct vk_seq *s, const struct matmul *p);
void matmul_plain(struct vk_seq *s, const struct matmul *p);
uint64_t matmul_direct_scratch(const struct vk_device *device, uint32_t rows, uint32_t cols,
                               uint32_t depth);

// True if the product ended in SwiGLU.
bool matmul_shared(struct vk_seq *s, const struct matmul *p);
uint64_t matmul_shared_scratch(const struct vk_device *device, uint32_t rows, uint32_t cols,
                               uint32_t depth);

// Matrix units of the kind that op_linear_use() set, with matrices of the device's size
// (VK_TIER_COOPMAT) or as large as a subgroup's or workgroup's part (VK_TIER_COOPMAT2); false if
// the device has none that fit. `ended` tells whether the product ended in SwiGLU. Scratch is for
// any kind.
bool matmul_coopmat(struct vk_seq *s, const struct matmul *p, enum vk_tier tier, bool *ended);
uint64_t matmul_coopmat_scratch(const struct vk_device *device, uint32_t rows, uint32_t cols,
                                uint32_t depth);

// Whether these record one dispatch that uses no scratch: such a product may stand in a group.
bool matmul_shared_alone(struct vk_seq *s, const struct matmul *p);
bool matmul_coopmat_alone(struct vk_seq *s, const struct matmul *p, enum vk_tier tier);

// Where a result has fewer tiles than this, a GPU is not filled.
#define MATMUL_TILES_ENOUGH 192

// A product cut along its depth so that `tiles` fill a GPU. depth 0: it is not cut, as where that
// would not pay or scratch is missing. Else the kernel computes `product`, whose y is scratch for
// [count][rows][cols], one slice of `depth` (a multiple of `step`) at each; then
// matmul_sum_slices() adds them up in their order, with bias and add. Slices do not end in SwiGLU.
struct matmul_slices {
    struct matmul product;
    uint32_t count, depth;
};
struct matmul_slices matmul_slice(struct vk_seq *s, const struct matmul *p, uint64_t tiles,
                                  uint32_t step);
void matmul_sum_slices(struct vk_seq *s, const struct matmul *p, const struct matmul_slices *cut);
uint64_t matmul_slices_scratch(uint64_t tiles, uint32_t rows, uint32_t cols, uint32_t depth);

// Takes loads of four elements.
static inline bool matmul_aligned(vk_addr addr, enum op_type type)
{
    return addr % (4 * op_type_bytes(type)) == 0;
}

// Whether two ranges of memory have nothing in common.
static inline bool matmul_apart(vk_addr a, uint64_t a_bytes, vk_addr b, uint64_t b_bytes)
{
    return a + a_bytes <= b || b + b_bytes <= a;
}

// Columns that lie side by side: all, or those of gate or up.
static inline uint32_t matmul_cols_together(const struct matmul *p)
{
    return p->swiglu ? p->cols / 2 : p->cols;
}

// Fields of struct matmul_args, all but `slice`.
#define MATMUL_ARGS(p)                                                                             \
    .y = (p)->y, .a = (p)->a, .b = (p)->b, .bias = (p)->bias, .add = (p)->add, .h = (p)->h,        \
    .live = (p)->live, .rows = (p)->rows, .cols = (p)->cols, .depth = (p)->depth,                  \
    .a_row = (p)->a_by_depth ? matmul_a_stride(p) : 1,                                             \
    .a_col = (p)->a_by_depth ? 1 : matmul_a_stride(p),                                             \
    .b_row = (p)->b_by_depth ? 1 : matmul_b_stride(p),                                             \
    .b_col = (p)->b_by_depth ? matmul_b_stride(p) : 1, .live_from = (p)->live_from,                \
    .live_depth = (p)->live_depth

// Bytes that the operands of a product occupy, for vk_cost().
double matmul_bytes(const struct matmul *p);

#endif
