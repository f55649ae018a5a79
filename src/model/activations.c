#include "model/activations.h"

#include "base/mem.h"
#include "ops/head.h"
#include "ops/linear.h"
#include "ops/rows.h"

#define DEFAULT_LOGITS_BYTES ((uint64_t)64 << 20)

static vk_addr floats(struct vk_arena *arena, uint64_t rows, uint64_t cols)
{
    return vk_arena_alloc(arena, rows * cols * sizeof(float));
}

static struct model_layer_activations layer_layout(const struct model_config *c,
                                                   struct vk_arena *arena, uint32_t T)
{
    return (struct model_layer_activations){
        .x = floats(arena, T, c->channels),
        .norm1_rstd = floats(arena, T, 1),
        .qkv = floats(arena, T, model_qkv_cols(c)),
        .att = floats(arena, T, c->heads * c->head_dim),
        .lse = floats(arena, T, c->heads),
        .mid = floats(arena, T, c->channels),
        .norm2_rstd = floats(arena, T, 1),
        .gate_up = floats(arena, T, 2 * c->ffn),
    };
}

static uint64_t matmul_scratch_bytes(const struct model_config *c, const struct vk_device *device,
                                     uint32_t T, uint32_t chunk_rows)
{
    uint32_t C = c->channels;
    const struct op_linear_shape shapes[] = {
        {T, C, model_qkv_cols(c)}, {T, c->heads * c->head_dim, C},
        {T, C, 2 * c->ffn},        {T, c->ffn, C},
        {chunk_rows, C, c->vocab},
    };
    return op_linear_scratch_bytes(device, shapes, sizeof shapes / sizeof *shapes);
}

static uint32_t chunk_rows(const struct model_config *c,
                           const struct model_activation_params *params)
{
    return op_head_chunk_rows(params->scored, c->vocab,
                              params->logits_bytes ? params->logits_bytes : DEFAULT_LOGITS_BYTES);
}

uint64_t model_activations_largest(const struct model_config *c, const struct vk_device *device,
                                   const struct model_activation_params *params)
{
    uint64_t chunk = chunk_rows(c, params);
    const uint64_t bytes[] = {
        4 * (uint64_t)params->tokens * 2 * c->ffn,
        4 * (uint64_t)params->tokens * model_qkv_cols(c),
        4 * (uint64_t)params->scored * c->channels,
        4 * chunk * c->vocab,
        matmul_scratch_bytes(c, device, params->tokens, (uint32_t)chunk),
    };
    uint64_t largest = 0;
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        if (bytes[i] > largest) largest = bytes[i];
    return largest;
}

static void backward_scratch(struct model_activations *a, const struct model_config *c,
                             struct vk_arena *arena)
{
    uint32_t T = a->tokens, S = a->scored, C = c->channels;
    a->dlogp = floats(arena, S, 1);
    a->dfinal = floats(arena, S, C);
    a->dfinal_x = floats(arena, S, C);
    a->dx = floats(arena, T, C);
    a->dnorm = floats(arena, T, C);
    a->datt = floats(arena, T, c->heads * c->head_dim);
    a->dqkv = floats(arena, T, model_qkv_cols(c));
    a->dhidden = floats(arena, T, c->ffn);
    a->delta = floats(arena, T, c->heads);
    a->partial = vk_arena_alloc(arena, op_rmsnorm_partial_bytes(S > T ? S : T, C));
}

void model_activations_layout(struct model_activations *a, const struct model_config *c,
                              struct vk_arena *arena, const struct vk_device *device,
                              const struct model_activation_params *params)
{
    uint32_t T = params->tokens, S = params->scored, C = c->channels;
    *a = (struct model_activations){
        .tokens = T,
        .scored = S,
        .layers = c->layers,
        .training = params->training,
        .recompute = params->training && params->recompute,
    };
    a->layer = MEM_ARRAY(struct model_layer_activations, c->layers);
    bool shared = !a->training || a->recompute;
    for (uint32_t l = 0; l < c->layers; l++) {
        a->layer[l] = l && shared ? a->layer[0] : layer_layout(c, arena, T);
        if (l && a->recompute) a->layer[l].x = floats(arena, T, C);
    }
    a->x_last = params->training ? floats(arena, T, C) : a->layer[0].x;
    a->final_x = floats(arena, S, C);
    a->final_rstd = floats(arena, S, 1);
    a->final_norm = floats(arena, S, C);
    a->logp = floats(arena, S, 1);
    a->lse = floats(arena, S, 1);
    a->entropy = floats(arena, S, 1);
    a->is_argmax = floats(arena, S, 1);
    a->collision = params->collision ? floats(arena, S, 1) : 0;
    a->norm = floats(arena, T, C);
    a->hidden = floats(arena, T, c->ffn);
    a->chunk_rows = chunk_rows(c, params);
    a->logits = floats(arena, a->chunk_rows, c->vocab);
    a->matmul_bytes = matmul_scratch_bytes(c, device, T, a->chunk_rows);
    a->matmul = a->matmul_bytes ? vk_arena_alloc(arena, a->matmul_bytes) : 0;
    if (params->training) backward_scratch(a, c, arena);
}

void model_activations_finish(struct model_activations *a)
{
    mem_free(a->layer);
    *a = (struct model_activations){0};
}
