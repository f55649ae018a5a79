// The mirror of forward.c: each block undoes one block there, last first.
#include "model/forward.h"

#include "base/error.h"
#include "ops/attention.h"
#include "ops/head.h"
#include "ops/linear.h"
#include "ops/rows.h"

#include <math.h>

// Gradients of y = x w^T + bias: dw and dbias accumulate, dx is assigned.
// An operation is one paragraph here, its arguments beside each other: laid out by hand.
// clang-format off

static void linear_backward(struct vk_seq *s, const struct model_pass *p,
                            const struct model_linear *l, const struct model_linear *grad,
                            vk_addr dx, vk_addr dy, vk_addr x)
{
    const struct model_batch *b = p->batch;
    op_linear_bwd(s,
                  &(struct op_linear_bwd_weight){.dw = grad->w, .dbias = grad->bias, .dy = dy,
                                                 .x = x, .rows = b->tokens, .in = l->in,
                                                 .out = l->out, .live = b->live_tokens,
                                                 .dw_type = grad->type},
                  &(struct op_linear_bwd_input){.dx = dx, .dy = dy, .w = l->w, .rows = b->tokens,
                                                .in = l->in, .out = l->out,
                                                .live = b->live_tokens, .w_type = l->type});
}

// Makes the normalised rows again, as the weight gradient behind the norm needs them.
static void norm_again(struct vk_seq *s, const struct model_pass *p, vk_addr x, vk_addr w,
                       enum op_type type)
{
    op_rmsnorm_fwd(s, &(struct op_rmsnorm){.y = p->act->norm, .x = x, .w = w,
                                           .rows = p->batch->tokens, .cols = p->config->channels,
                                           .eps = p->config->norm_eps,
                                           .live = p->batch->live_tokens, .w_type = type});
}

// dx += gradient of the norm's input, from dnorm.
static void norm_backward(struct vk_seq *s, const struct model_pass *p, vk_addr x, vk_addr rstd,
                          vk_addr w, vk_addr dw, enum op_type w_type, enum op_type dw_type)
{
    const struct model_activations *a = p->act;
    op_rmsnorm_bwd(s, &(struct op_rmsnorm_bwd){.dx = a->dx, .dw = dw, .dy = a->dnorm, .x = x,
                                               .w = w, .rstd = rstd, .add = a->dx,
                                               .partial = a->partial, .rows = p->batch->tokens,
                                               .cols = p->config->channels,
                                               .live = p->batch->live_tokens, .w_type = w_type,
                                               .dw_type = dw_type});
}

static void mlp_backward(struct vk_seq *s, const struct model_pass *p, const struct model_layer *w,
                         const struct model_layer *grad, const struct model_layer_activations *la)
{
    const struct model_activations *a = p->act;
    const struct model_batch *b = p->batch;
    op_linear_bwd_input(s, &(struct op_linear_bwd_input){
                               .dx = a->dhidden, .dy = a->dx, .w = w->down.w, .rows = b->tokens,
                               .in = w->down.in, .out = w->down.out, .live = b->live_tokens,
                               .w_type = w->down.type});
    vk_group_begin(s);
    op_swiglu_bwd(s, &(struct op_swiglu_bwd){.dgate_up = la->gate_up, .h = a->hidden,
                                             .dh = a->dhidden, .gate_up = la->gate_up,
                                             .rows = b->tokens, .cols = p->config->ffn,
                                             .live = b->live_tokens});
    norm_again(s, p, la->mid, w->mlp_norm, w->type);
    vk_group_end(s);
    op_linear_bwd_weight(s, &(struct op_linear_bwd_weight){
                                .dw = grad->down.w, .dbias = grad->down.bias, .dy = a->dx,
                                .x = a->hidden, .rows = b->tokens, .in = w->down.in,
                                .out = w->down.out, .live = b->live_tokens,
                                .dw_type = grad->down.type});
    linear_backward(s, p, &w->gate_up, &grad->gate_up, a->dnorm, la->gate_up, a->norm);
    norm_backward(s, p, la->mid, la->norm2_rstd, w->mlp_norm, grad->mlp_norm, w->type, grad->type);
}

static void attention_backward(struct vk_seq *s, const struct model_pass *p,
                               const struct model_layer *w, const struct model_layer *grad,
                               const struct model_layer_activations *la)
{
    const struct model_config *c = p->config;
    const struct model_activations *a = p->act;
    const struct model_batch *b = p->batch;
    uint32_t q_cols = c->heads * c->head_dim, kv_cols = c->kv_heads * c->head_dim;
    uint64_t k_at = sizeof(float) * q_cols, v_at = k_at + sizeof(float) * kv_cols;

    linear_backward(s, p, &w->out, &grad->out, a->datt, a->dx, la->att);
    op_attention_bwd(s, &(struct op_attention_bwd){
                            .dq = a->dqkv, .dk = a->dqkv + k_at, .dv = a->dqkv + v_at,
                            .dout = a->datt, .o = la->att, .lse = la->lse, .q = la->qkv,
                            .k = la->qkv + k_at, .v = la->qkv + v_at, .spans = b->spans,
                            .key_end = b->key_end, .delta = a->delta, .rows = b->tokens,
                            .heads = c->heads, .kv_heads = c->kv_heads, .head_dim = c->head_dim,
                            .q_stride = model_qkv_cols(c), .kv_stride = model_qkv_cols(c),
                            .o_stride = q_cols, .scale = 1.0f / sqrtf((float)c->head_dim),
                            .live = b->live_tokens});
    vk_group_begin(s);
    op_rope(s, &(struct op_rope){.x = a->dqkv, .positions = b->positions, .table = p->rope_table,
                                 .rows = b->tokens, .heads = c->heads + c->kv_heads,
                                 .head_dim = c->head_dim, .stride = model_qkv_cols(c),
                                 .table_rows = p->rope_rows, .inverse = true,
                                 .live = b->live_tokens});
    norm_again(s, p, la->x, w->attention_norm, w->type);
    vk_group_end(s);
    linear_backward(s, p, &w->qkv, &grad->qkv, a->dnorm, a->dqkv, a->norm);
    norm_backward(s, p, la->x, la->norm1_rstd, w->attention_norm, grad->attention_norm, w->type,
                  grad->type);
}

void model_backward(struct vk_seq *s, const struct model_pass *p, const struct model_weights *w,
                    const struct model_weights *grad)
{
    const struct model_config *c = p->config;
    const struct model_batch *b = p->batch;
    const struct model_activations *a = p->act;
    CHECK(a->training && (!p->frozen_head || a->frozen_head));

    op_linear_use(s, &(struct op_linear_setup){.scratch = a->matmul, .scratch_bytes = a->matmul_bytes,
                                               .units = p->units});
    op_head_bwd(s, &(struct op_head_bwd){.dx = a->dfinal, .dw = p->frozen_head ? 0 : grad->head,
                                         .dlogp = a->dlogp,
                                         .x = a->final_norm, .w = w->head,
                                         .targets = b->scored_target, .lse = a->lse,
                                         .logits = a->logits, .rows = b->scored,
                                         .cols = c->channels, .vocab = c->vocab,
                                         .chunk_rows = a->chunk_rows, .live = b->live_scored,
                                         .w_type = w->type, .dw_type = grad->type,
                                         .slopes = p->frozen_head ? a->dfinal : 0});
    op_rmsnorm_bwd(s, &(struct op_rmsnorm_bwd){.dx = a->dfinal_x, .dw = grad->final_norm,
                                               .dy = a->dfinal, .x = a->final_x,
                                               .w = w->final_norm, .rstd = a->final_rstd,
                                               .partial = a->partial, .rows = b->scored,
                                               .cols = c->channels, .live = b->live_scored,
                                               .w_type = w->type, .dw_type = grad->type});
    op_gather_rows_bwd(s, &(struct op_gather_bwd){.dx = a->dx, .dy = a->dfinal_x,
                                                  .first = b->slot_scored_first,
                                                  .list = b->slot_scored, .rows = b->tokens,
                                                  .cols = c->channels, .dy_rows = b->scored,
                                                  .live = b->live_tokens});
    for (uint32_t l = c->layers; l-- > 0;) {
        // The set that the layers share still holds the last one's.
        if (a->recompute && l + 1 < c->layers)
            model_layer_inside(s, p, &w->layers[l], &a->layer[l], 0);
        mlp_backward(s, p, &w->layers[l], &grad->layers[l], &a->layer[l]);
        attention_backward(s, p, &w->layers[l], &grad->layers[l], &a->layer[l]);
    }
    op_embed_bwd(s, &(struct op_embed_bwd){.dweight = grad->embed, .dx = a->dx,
                                           .unique_ids = b->unique_ids,
                                           .unique_first = b->unique_first,
                                           .unique_slots = b->unique_slots, .unique = b->tokens,
                                           .cols = c->channels, .vocab = c->vocab,
                                           .live = b->live_unique, .dw_type = grad->type});
}
