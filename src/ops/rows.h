// Operations by rows: embedding, RMSNorm, rotary positions, SwiGLU, gathers, copies.
//
// Letters: T token slots, S scored positions, C channels, F feed-forward size, D head size, V
// vocabulary. fp32, but weights and their gradients of the types given. `live` bounds the rows in
// use (address of a uint32; 0: all rows).
#ifndef TRDPO_OPS_ROWS_H
#define TRDPO_OPS_ROWS_H

#include "ops/type.h"
#include "vk/sequence.h"

// x[t, :] = weight[ids[t], :]. Assigns.
struct op_embed {
    vk_addr x, weight, ids;
    uint32_t rows, cols, vocab; // T, C, V
    vk_addr live;
    enum op_type w_type;
};
void op_embed_fwd(struct vk_seq *s, const struct op_embed *p);

// dweight[unique_ids[u], :] += sum of dx[unique_slots[j], :] over j in [unique_first[u],
// unique_first[u + 1]), in that order; no atomics. `live` bounds the unique ids.
struct op_embed_bwd {
    vk_addr dweight, dx, unique_ids, unique_first, unique_slots;
    uint32_t unique, cols, vocab; // capacity of unique ids and of slots (T), C, V
    vk_addr live;
    enum op_type dw_type;
};
void op_embed_bwd(struct vk_seq *s, const struct op_embed_bwd *p);

// RMSNorm (Zhang and Sennrich 2019, as in Llama): rstd[t] = 1 / sqrt(mean_c x^2 + eps),
// y[t, c] = x[t, c] rstd[t] w[c]. Assigns y and rstd (rstd may be 0: not kept).
struct op_rmsnorm {
    vk_addr y, rstd, x, w;
    uint32_t rows, cols;
    float eps;
    vk_addr live;
    enum op_type w_type;
};
void op_rmsnorm_fwd(struct vk_seq *s, const struct op_rmsnorm *p);

// dx[t, c] = add[t, c] + rstd (dy w - x rstd^2 mean_c(dy w x)); assigns dx (add may be 0 or dx;
// dx is neither dy nor x).
// dw[c] += sum over t of dy x rstd; accumulates in a fixed order by way of `partial`, scratch of
// op_rmsnorm_partial_bytes(). dw may be 0.
struct op_rmsnorm_bwd {
    vk_addr dx, dw, dy, x, w, rstd, add, partial;
    uint32_t rows, cols;
    vk_addr live;
    enum op_type w_type, dw_type;
};
void op_rmsnorm_bwd(struct vk_seq *s, const struct op_rmsnorm_bwd *p);
uint64_t op_rmsnorm_partial_bytes(uint32_t rows, uint32_t cols);

// Rotary positions, halves paired as in Hugging Face's Llama: for i < D/2, with (c, s) =
// table[position][i], (a, b) = (x[i], x[i + D/2]) becomes (a c - b s, b c + a s); `inverse` rotates
// back, which is the backward pass. In place, on `heads` consecutive heads at the start of each row
// of `stride` floats (the q and k parts of a fused qkv row).
struct op_rope {
    vk_addr x, positions; // positions: uint32[T]
    vk_addr table;        // float2 [table_rows, D/2]: cos, sin
    uint32_t rows, heads, head_dim, stride, table_rows;
    bool inverse;
    vk_addr live;
};
void op_rope(struct vk_seq *s, const struct op_rope *p);

// h[t, f] = silu(g) u, with g = gate_up[t, f], u = gate_up[t, F + f]. Assigns.
struct op_swiglu {
    vk_addr h, gate_up;
    uint32_t rows, cols; // T, F
    vk_addr live;
};
void op_swiglu_fwd(struct vk_seq *s, const struct op_swiglu *p);

// dgate_up[t, :] from dh[t, f]; assigns. dgate_up may be gate_up. h, if not 0, is assigned silu(g)
// u again, so that the backward of the down projection finds its input without storing it.
struct op_swiglu_bwd {
    vk_addr dgate_up, h, dh, gate_up;
    uint32_t rows, cols;
    vk_addr live;
};
void op_swiglu_bwd(struct vk_seq *s, const struct op_swiglu_bwd *p);

// y[i] = a[i] + b[i] for `count` floats. Assigns; y may be a or b.
void op_add(struct vk_seq *s, vk_addr y, vk_addr a, vk_addr b, uint64_t count);

// y[i, :] = x[index[i], :] for i < rows (`live` bounds them). Assigns.
struct op_gather {
    vk_addr y, x, index; // index: uint32[rows]
    uint32_t rows, cols, x_rows;
    uint32_t y_stride, x_stride; // floats from row to row; 0: cols
    vk_addr live;
};
void op_gather_rows(struct vk_seq *s, const struct op_gather *p);

// y[index[i], :] = x[i, :]: the inverse, for distinct indices (rows of a key/value cache).
void op_scatter_rows(struct vk_seq *s, const struct op_gather *p); // y_rows = p->x_rows

// Backward of gathering scored rows: dx[t, :] = sum of dy[list[j], :] over j in [first[t],
// first[t + 1]), in that order (zero where the range is empty). Assigns; `live` bounds t.
struct op_gather_bwd {
    vk_addr dx, dy, first, list;
    uint32_t rows, cols, dy_rows; // T, C, S
    vk_addr live;
};
void op_gather_rows_bwd(struct vk_seq *s, const struct op_gather_bwd *p);

// Fills `count` 32-bit words.
void op_fill(struct vk_seq *s, vk_addr dst, uint32_t word, uint64_t count);

// Copies `count` 32-bit words with a kernel.
void op_copy(struct vk_seq *s, vk_addr dst, vk_addr src, uint64_t count);

#endif
