// The log-prob head: logits of the scored rows exist one chunk at a time, never S x V.
//
// Letters: S scored positions, C channels, V vocabulary. z = x w^T [S, V], p = softmax(z).
#ifndef TRDPO_OPS_HEAD_H
#define TRDPO_OPS_HEAD_H

#include "ops/type.h"
#include "vk/sequence.h"

struct op_head {
    vk_addr x, w, targets; // [S, C], [V, C], uint32[S]
    vk_addr logp;          // [S] z[target] - lse; assigned
    vk_addr lse;           // [S] log sum exp z; assigned
    vk_addr entropy;       // [S] -sum p log p; assigned; 0: not computed
    vk_addr
        is_argmax; // [S] 1.0 if the target is the first largest logit, else 0.0; 0: not computed
    vk_addr collision; // [S] log sum p^2; assigned; 0: not computed
    // [S, C] HEAD_SLOPE_SCALE dlogp/dx, which is w[target] - sum p w; assigned; 0: not computed
    vk_addr slopes;
    vk_addr logits;                         // scratch [chunk_rows, V]
    uint32_t rows, cols, vocab, chunk_rows; // S, C, V
    vk_addr live;                           // bounds S
    enum op_type w_type;
};
void op_head_fwd(struct vk_seq *s, const struct op_head *p);

// dz[s, v] = dlogp[s] ((v == target) - p[v]); dx = dz w (assigned), dw += dz^T x (dw may be 0: the
// head is frozen). Logits are computed again chunk by chunk, unless the whole of S fits one chunk
// and `logits` still holds what forward left there.
//
// Where forward made the slopes and the head is frozen, dx is dlogp times those: of the rest only
// sizes and live count then.
struct op_head_bwd {
    vk_addr dx, dw, dlogp; // [S, C], [V, C], [S]
    vk_addr x, w, targets, lse, logits;
    vk_addr slopes; // [S, C] as forward left them; may be dx; dw must be 0
    uint32_t rows, cols, vocab, chunk_rows;
    vk_addr live;
    enum op_type w_type, dw_type;
};
void op_head_bwd(struct vk_seq *s, const struct op_head_bwd *p);

// Rows of a chunk for a budget of `bytes` of logits: at least 1, at most `rows`.
uint32_t op_head_chunk_rows(uint32_t rows, uint32_t vocab, uint64_t bytes);

#endif
