// Linear layers: matrix products in the three orientations that training needs. Activations are
// fp32; weights and their gradients are of the types given.
//
// Letters: M rows (token slots), N output features, K input features. All matrices are row-major
// with no gap between rows. `live`: address of a uint32 that bounds the rows in use (0: all M);
// rows beyond it are neither read nor written. Not for use inside vk_group_begin/end: an operation
// may be several dispatches in a row.
#ifndef TRDPO_OPS_LINEAR_H
#define TRDPO_OPS_LINEAR_H

#include "ops/type.h"
#include "vk/sequence.h"

// y[M, N] = x[M, K] w[N, K]^T + bias[N] + add[M, N]. Assigns. bias and add may be 0; add may be y.
struct op_linear {
    vk_addr y, x, w, bias, add;
    uint32_t rows, in, out; // M, K, N
    vk_addr live;
    enum op_type w_type; // of w and bias
};
void op_linear_fwd(struct vk_seq *s, const struct op_linear *p);

// gate_up[M, 2 F] = x[M, K] w[2 F, K]^T + bias[2 F] and h[M, F] = silu(gate) up of its two halves,
// in one pass where the product's kernel can end in that. Assigns both; h must not overlap x. bias
// may be 0; so may h, and gate_up has the same bits without it as with it.
struct op_linear_swiglu {
    vk_addr h, gate_up, x, w, bias;
    uint32_t rows, in, ffn; // M, K, F
    vk_addr live;
    enum op_type w_type; // of w and bias
};
void op_linear_swiglu_fwd(struct vk_seq *s, const struct op_linear_swiglu *p);

// dx[M, K] = dy[M, N] w[N, K] + add[M, K]. Assigns. add may be 0 or dx.
struct op_linear_bwd_input {
    vk_addr dx, dy, w, add;
    uint32_t rows, in, out;
    vk_addr live;
    enum op_type w_type;
};
void op_linear_bwd_input(struct vk_seq *s, const struct op_linear_bwd_input *p);

// dw[N, K] += dy[M, N]^T x[M, K], and dbias[N] += column sums of dy where dbias is not 0.
// Accumulates, summing rows in a fixed order.
struct op_linear_bwd_weight {
    vk_addr dw, dbias, dy, x;
    uint32_t rows, in, out;
    vk_addr live;
    enum op_type dw_type; // of dw and dbias
};
void op_linear_bwd_weight(struct vk_seq *s, const struct op_linear_bwd_weight *p);

// Both gradients from the same dy and rows. Neither reads what the other writes, so where each is
// one dispatch without scratch, as large ones on GPUs are, there is no barrier between them.
void op_linear_bwd(struct vk_seq *s, const struct op_linear_bwd_weight *weight,
                   const struct op_linear_bwd_input *input);

// Scratch in bytes that the products above may want on this device for the largest of the shapes
// they are used with (packed panels, split-K partial sums). Set once before recording; without it
// they use the kernels that need none.
struct op_linear_shape {
    uint32_t rows, in, out;
};
uint64_t op_linear_scratch_bytes(const struct vk_device *device,
                                 const struct op_linear_shape *shapes, size_t count);

// What products are computed in. Sums are always fp32.
enum op_units {
    OP_UNITS_FP32, // the device's ordinary maths
    OP_UNITS_FP16, // matrix units: factors are rounded to fp16
    OP_UNITS_BF16, // the same with bf16, which has the range of fp32
};
#define OP_UNITS_COUNT 3
const char *op_units_name(enum op_units units); // "fp32", "fp16", "bf16"

// How the products recorded from here on are computed; without it, in fp32 and with no scratch.
// Units that the device is without mean fp32.
struct op_linear_setup {
    vk_addr scratch;
    uint64_t scratch_bytes;
    enum op_units units;
};
void op_linear_use(struct vk_seq *s, const struct op_linear_setup *setup);

// The sizes of matrices that the device has kernels for in these units; NULL where it has none.
const struct vk_matrix_size *op_units_matrix(const struct vk_device *device, enum op_units units);

// The same for matrices of free sizes: a list of vk_caps.
const struct vk_matrix_grain *op_units_grains(const struct vk_device *device, enum op_units units);

// The units that mixed precision is best computed with on this device: those of bf16 before those
// of fp16, whose small range wants a loss scale; OP_UNITS_FP32 where it has no matrix units, or
// only those of a CPU device, which are slow. TRDPO_TIER=coopmat chooses what matrix units there
// are, coopmat2 the same with matrices of free sizes, and its other values none.
enum op_units op_linear_best_units(const struct vk_device *device);

// The tier of products on these matrix units, which the device has: VK_TIER_COOPMAT, or
// VK_TIER_COOPMAT2 where TRDPO_TIER asks for it, since no measurement tells yet which is faster.
enum vk_tier op_units_tier(const struct vk_device *device, enum op_units units);

// The tier that a device runs these with in fp32: the best it supports, or the one named in the
// environment variable TRDPO_TIER (direct, shared; coopmat and coopmat2 stand for shared here), for
// tests and comparisons. Other ops follow it.
enum vk_tier op_linear_tier(const struct vk_device *device);

#endif
