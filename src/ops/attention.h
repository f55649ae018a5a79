// Attention over the two ranges of a packed batch, with grouped key/value heads.
//
// Letters: T query slots, U key slots, H query heads, K key/value heads, D head size. Query head h
// uses key/value head h / (H / K). Query t attends to the key slots in [prefix_begin, prefix_end)
// and [own_begin, own_end) of spans[t]. No T x U buffer exists: forward keeps the log-sum-exp of
// each (t, h); backward recomputes the probabilities from it. Rows of q, k, v, o may be parts of
// wider rows: the strides count floats from a row to the next.
//
// In a sequence that computes in fp16 (op_linear_use()) q, k, v, dout, the probabilities and their
// gradients are rounded to fp16 where they are factors, if the device's matrices divide the head
// size; sums, log-sum-exp and delta stay fp32.
#ifndef TRDPO_OPS_ATTENTION_H
#define TRDPO_OPS_ATTENTION_H

#include "vk/sequence.h"

struct op_attention {
    vk_addr o;       // [T, H*D] stride o_stride; assigned
    vk_addr lse;     // [T, H]; assigned (natural log, of the scaled scores)
    vk_addr q, k, v; // q: [T, H*D] stride q_stride; k, v: [U, K*D] stride kv_stride
    vk_addr spans;   // struct token_span[T], indices of key slots
    uint32_t rows, keys, heads, kv_heads, head_dim; // T, U, H, K, D
    uint32_t q_stride, kv_stride, o_stride;
    float scale;  // 1 / sqrt(D)
    vk_addr live; // bounds T (0: all)
};
// A query whose ranges are empty gets o = 0 and lse = a large finite negative number.
void op_attention_fwd(struct vk_seq *s, const struct op_attention *p);

// Backward, in packed batches only (queries and keys are the same slots, U = T). Two passes: dq by
// query, then dk and dv by key; exactly the queries [t, key_end[t]) attend to key t. Assigns.
struct op_attention_bwd {
    vk_addr dq, dk, dv;          // strides q_stride, kv_stride, kv_stride
    vk_addr dout, o;             // stride o_stride
    vk_addr lse, q, k, v, spans; // as in forward
    vk_addr key_end;             // uint32[T]
    vk_addr delta;               // scratch [T, H]: sum over D of dout * o
    uint32_t rows, heads, kv_heads, head_dim;
    uint32_t q_stride, kv_stride, o_stride;
    float scale;
    vk_addr live;
};
void op_attention_bwd(struct vk_seq *s, const struct op_attention_bwd *p);

#endif
