#include "model/forward.h"

#include "ops/attention.h"
#include "ops/head.h"
#include "ops/linear.h"
#include "ops/rows.h"

#include <math.h>

// An operation is one paragraph here, its arguments beside each other: laid out by hand.
// clang-format off

static void norm(struct vk_seq *s, const struct model_pass *p, vk_addr y, vk_addr rstd, vk_addr x,
                 vk_addr w, enum op_type type)
{
    op_rmsnorm_fwd(s, &(struct op_rmsnorm){.y = y, .rstd = rstd, .x = x, .w = w,
                                           .rows = p->batch->tokens, .cols = p->config->channels,
                                           .eps = p->config->norm_eps,
                                           .live = p->batch->live_tokens, .w_type = type});
}

// y = x w^T + bias (+ add)
static void linear(struct vk_seq *s, const struct model_pass *p, const struct model_linear *l,
                   vk_addr y, vk_addr x, vk_addr add)
{
    op_linear_fwd(s, &(struct op_linear){.y = y, .x = x, .w = l->w, .bias = l->bias, .add = add,
                                         .rows = p->batch->tokens, .in = l->in, .out = l->out,
                                         .live = p->batch->live_tokens, .w_type = l->type});
}

void model_layer_inside(struct vk_seq *s, const struct model_pass *p, const struct model_layer *w,
                        const struct model_layer_activations *a, vk_addr hidden)
{
    const struct model_config *c = p->config;
    const struct model_batch *b = p->batch;
    vk_addr normed = p->act->norm;
    uint32_t q_cols = c->heads * c->head_dim, kv_cols = c->kv_heads * c->head_dim;
    vk_addr k = a->qkv + sizeof(float) * q_cols, v = k + sizeof(float) * kv_cols;

    norm(s, p, normed, a->norm1_rstd, a->x, w->attention_norm, w->type);
    linear(s, p, &w->qkv, a->qkv, normed, 0);
    op_rope(s, &(struct op_rope){.x = a->qkv, .positions = b->positions, .table = p->rope_table,
                                 .rows = b->tokens, .heads = c->heads + c->kv_heads,
                                 .head_dim = c->head_dim, .stride = model_qkv_cols(c),
                                 .table_rows = p->rope_rows, .live = b->live_tokens});
    op_attention_fwd(s, &(struct op_attention){
                            .o = a->att, .lse = a->lse, .q = a->qkv, .k = k, .v = v,
                            .spans = b->spans, .rows = b->tokens, .keys = b->tokens,
                            .heads = c->heads, .kv_heads = c->kv_heads, .head_dim = c->head_dim,
                            .q_stride = model_qkv_cols(c), .kv_stride = model_qkv_cols(c),
                            .o_stride = q_cols, .scale = 1.0f / sqrtf((float)c->head_dim),
                            .live = b->live_tokens});
    linear(s, p, &w->out, a->mid, a->att, a->x);

    norm(s, p, normed, a->norm2_rstd, a->mid, w->mlp_norm, w->type);
    op_linear_swiglu_fwd(s, &(struct op_linear_swiglu){
                                .h = hidden, .gate_up = a->gate_up, .x = normed,
                                .w = w->gate_up.w, .bias = w->gate_up.bias, .rows = b->tokens,
                                .in = w->gate_up.in, .ffn = c->ffn, .live = b->live_tokens,
                                .w_type = w->gate_up.type});
}

static void layer_forward(struct vk_seq *s, const struct model_pass *p,
                          const struct model_layer *w, const struct model_layer_activations *a,
                          vk_addr x_next)
{
    vk_addr hidden = p->act->hidden;
    model_layer_inside(s, p, w, a, hidden);
    linear(s, p, &w->down, x_next, hidden, a->mid);
}

void model_forward(struct vk_seq *s, const struct model_pass *p, const struct model_weights *w)
{
    const struct model_config *c = p->config;
    const struct model_batch *b = p->batch;
    const struct model_activations *a = p->act;

    op_linear_use(s, &(struct op_linear_setup){.scratch = a->matmul, .scratch_bytes = a->matmul_bytes,
                                               .units = p->units});
    op_embed_fwd(s, &(struct op_embed){.x = a->layer[0].x, .weight = w->embed, .ids = b->ids,
                                       .rows = b->tokens, .cols = c->channels,
                                       .vocab = c->vocab, .live = b->live_tokens,
                                       .w_type = w->type});
    for (uint32_t l = 0; l < c->layers; l++)
        layer_forward(s, p, &w->layers[l], &a->layer[l],
                      l + 1 < c->layers ? a->layer[l + 1].x : a->x_last);

    // Only scored rows go on to the final norm and the head.
    op_gather_rows(s, &(struct op_gather){.y = a->final_x, .x = a->x_last, .index = b->scored_slot,
                                          .rows = b->scored, .cols = c->channels,
                                          .x_rows = b->tokens, .live = b->live_scored});
    op_rmsnorm_fwd(s, &(struct op_rmsnorm){.y = a->final_norm, .rstd = a->final_rstd,
                                           .x = a->final_x, .w = w->final_norm, .rows = b->scored,
                                           .cols = c->channels, .eps = c->norm_eps,
                                           .live = b->live_scored, .w_type = w->type});
    op_head_fwd(s, &(struct op_head){.x = a->final_norm, .w = w->head, .targets = b->scored_target,
                                     .logp = a->logp, .lse = a->lse, .entropy = a->entropy,
                                     .is_argmax = a->is_argmax, .collision = a->collision,
                                     .logits = a->logits,
                                     .rows = b->scored, .cols = c->channels, .vocab = c->vocab,
                                     .chunk_rows = a->chunk_rows, .live = b->live_scored,
                                     .w_type = w->type,
                                     .slopes = p->frozen_head ? a->dfinal : 0});
}
