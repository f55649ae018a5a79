#include "model/activations.h"

#include "base/mem.h"
#include "ops/head.h"
#include "ops/linear.h"
#include "ops/rows.h"
#include "vk/lifetime.h"

#define DEFAULT_LOGITS_BYTES ((uint64_t)64 << 20)

// ---- phases ----

// A pass goes through its phases in this order: forward through the layers, the head, and backward
// through the layers, last first, each made again before it where gradients are checkpointed.
enum forward_phase { NORM1, QKV, ATTENTION, OUT, NORM2, GATE_UP, DOWN, FORWARD_PHASES };
enum head_phase {
    GATHER,
    FINAL_NORM,
    HEAD, // and the loss
    HEAD_BWD,
    FINAL_NORM_BWD,
    GATHER_BWD,
    HEAD_PHASES
};
enum backward_phase {
    AGAIN, // NORM1 to GATE_UP
    DOWN_INPUT_BWD = AGAIN + FORWARD_PHASES,
    SWIGLU_BWD, // and the rows of the norm again
    DOWN_WEIGHT_BWD,
    GATE_UP_BWD,
    NORM2_BWD,
    OUT_BWD,
    ATTENTION_BWD,
    ROPE_BWD, // and the rows of the norm again
    QKV_BWD,
    NORM1_BWD, // behind the first layer the embedding takes what it leaves
    BACKWARD_PHASES
};

// Arrays being planned, and where their addresses go.
struct planned {
    size_t array;
    vk_addr *addr;
};
struct plan {
    const struct model_config *c;
    struct vk_lifetimes lifetimes;
    struct ARRAY_OF(struct planned) arrays;
    uint32_t layers;
    bool training, recompute, collision, frozen_head;
};

static uint32_t forward(uint32_t layer, enum forward_phase phase)
{
    return layer * FORWARD_PHASES + phase;
}

static uint32_t head(const struct plan *p, enum head_phase phase)
{
    return p->layers * FORWARD_PHASES + phase;
}

static uint32_t backward(const struct plan *p, uint32_t layer, enum backward_phase phase)
{
    return head(p, HEAD_PHASES) + (p->layers - 1 - layer) * BACKWARD_PHASES + phase;
}

static uint32_t again(const struct plan *p, uint32_t layer, enum forward_phase phase)
{
    return backward(p, layer, AGAIN) + phase;
}

static uint32_t end_of(const struct plan *p)
{
    return p->training ? backward(p, 0, NORM1_BWD) : head(p, HEAD);
}

// Whether backward makes this layer's arrays again: those that the layers share still hold the last
// one's.
static bool made_again(const struct plan *p, uint32_t layer)
{
    return p->recompute && layer + 1 < p->layers;
}

static size_t add(struct plan *p, vk_addr *addr, uint64_t bytes)
{
    size_t array = vk_lifetimes_add(&p->lifetimes, bytes);
    ARRAY_PUSH(&p->arrays, (struct planned){array, addr});
    return array;
}

static size_t floats(struct plan *p, vk_addr *addr, uint64_t rows, uint64_t cols)
{
    return add(p, addr, rows * cols * sizeof(float));
}

// An array that lives from one phase to another.
static void between(struct plan *p, vk_addr *addr, uint64_t rows, uint64_t cols, uint32_t first,
                    uint32_t last)
{
    vk_lifetimes_live(&p->lifetimes, floats(p, addr, rows, cols), first, last);
}

// ---- the layers ----

// An array of a layer: made and last read forward, and last read backward.
struct of_layer {
    enum forward_phase made, read;
    enum backward_phase kept;
};

// Its lives for a layer. What is not kept, or is made again, lives forward as long as it is read.
static void live_in_layer(struct plan *p, size_t array, uint32_t l, const struct of_layer *w)
{
    struct vk_lifetimes *lives = &p->lifetimes;
    if (p->training && !made_again(p, l))
        vk_lifetimes_live(lives, array, forward(l, w->made), backward(p, l, w->kept));
    else
        vk_lifetimes_live(lives, array, forward(l, w->made), forward(l, w->read));
}

static void live_again(struct plan *p, size_t array, const struct of_layer *w)
{
    for (uint32_t l = p->layers; l-- > 0;)
        if (made_again(p, l))
            vk_lifetimes_live(&p->lifetimes, array, again(p, l, w->made), backward(p, l, w->kept));
}

// The arrays that backward wants of a layer beside its input. Without training, and where they are
// made again, one set serves all layers.
static void plan_insides(struct plan *p, struct model_layer_activations *layers, uint32_t T)
{
    const struct model_config *c = p->c;
    bool shared = !p->training || p->recompute;
    for (uint32_t l = 0; l < (shared ? 1 : p->layers); l++) {
        struct model_layer_activations *a = &layers[l];
        const struct {
            vk_addr *addr;
            uint32_t cols;
            struct of_layer when;
        } all[] = {
            {&a->norm1_rstd, 1, {NORM1, NORM1, NORM1_BWD}},
            {&a->qkv, model_qkv_cols(c), {QKV, ATTENTION, ATTENTION_BWD}},
            {&a->att, c->heads * c->head_dim, {ATTENTION, OUT, ATTENTION_BWD}},
            {&a->lse, c->heads, {ATTENTION, ATTENTION, ATTENTION_BWD}},
            {&a->mid, c->channels, {OUT, DOWN, NORM2_BWD}},
            {&a->norm2_rstd, 1, {NORM2, NORM2, NORM2_BWD}},
            {&a->gate_up, 2 * c->ffn, {GATE_UP, GATE_UP, GATE_UP_BWD}},
        };
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            size_t array = floats(p, all[i].addr, T, all[i].cols);
            for (uint32_t k = l; k < (shared ? p->layers : l + 1); k++)
                live_in_layer(p, array, k, &all[i].when);
            live_again(p, array, &all[i].when);
        }
    }
}

// The residual stream: what enters each layer, and what leaves the last.
static void plan_stream(struct plan *p, struct model_activations *a)
{
    uint32_t T = a->tokens, C = p->c->channels, L = p->layers;
    if (!p->training) {
        between(p, &a->layer[0].x, T, C, 0, head(p, GATHER));
        return;
    }
    for (uint32_t l = 0; l < L; l++)
        between(p, &a->layer[l].x, T, C, l ? forward(l - 1, DOWN) : 0, backward(p, l, NORM1_BWD));
    between(p, &a->x_last, T, C, forward(L - 1, DOWN), head(p, GATHER));
}

// ---- scratch ----

// A use of scratch in every layer; not backward where `backward` is not.
struct use {
    enum forward_phase first, last;
};
struct use_backward {
    enum backward_phase first, last;
};

static void live_forward(struct plan *p, size_t array, const struct use *uses, size_t count)
{
    for (uint32_t l = 0; l < p->layers; l++)
        for (size_t i = 0; i < count; i++)
            vk_lifetimes_live(&p->lifetimes, array, forward(l, uses[i].first),
                              forward(l, uses[i].last));
}

// `forward` are the uses that making a layer again repeats.
static void live_backward(struct plan *p, size_t array, const struct use *forward,
                          size_t forward_count, const struct use_backward *uses, size_t count)
{
    for (uint32_t l = p->layers; p->training && l-- > 0;) {
        for (size_t i = 0; made_again(p, l) && i < forward_count; i++)
            vk_lifetimes_live(&p->lifetimes, array, again(p, l, forward[i].first),
                              again(p, l, forward[i].last));
        for (size_t i = 0; i < count; i++)
            vk_lifetimes_live(&p->lifetimes, array, backward(p, l, uses[i].first),
                              backward(p, l, uses[i].last));
    }
}

static void plan_shared_scratch(struct plan *p, struct model_activations *a)
{
    static const struct use norm[] = {{NORM1, QKV}, {NORM2, GATE_UP}};
    static const struct use_backward norm_bwd[] = {{SWIGLU_BWD, GATE_UP_BWD}, {ROPE_BWD, QKV_BWD}};
    static const struct use hidden[] = {{GATE_UP, DOWN}}; // a product may end in it
    static const struct use_backward hidden_bwd[] = {{SWIGLU_BWD, DOWN_WEIGHT_BWD}};
    // Of products: that of DOWN is not made again.
    static const struct use products[] = {{QKV, QKV}, {OUT, OUT}, {GATE_UP, GATE_UP}, {DOWN, DOWN}};
    static const struct use_backward products_bwd[] = {{DOWN_INPUT_BWD, DOWN_INPUT_BWD},
                                                       {DOWN_WEIGHT_BWD, DOWN_WEIGHT_BWD},
                                                       {GATE_UP_BWD, GATE_UP_BWD},
                                                       {OUT_BWD, OUT_BWD},
                                                       {QKV_BWD, QKV_BWD}};
    uint32_t T = a->tokens;
    size_t array = floats(p, &a->norm, T, p->c->channels);
    live_forward(p, array, norm, 2);
    live_backward(p, array, norm, 2, norm_bwd, 2);

    array = floats(p, &a->hidden, T, p->c->ffn);
    live_forward(p, array, hidden, 1);
    live_backward(p, array, NULL, 0, hidden_bwd, 1);

    if (!a->matmul_bytes) return;
    array = add(p, &a->matmul, a->matmul_bytes);
    live_forward(p, array, products, 4);
    vk_lifetimes_live(&p->lifetimes, array, head(p, HEAD), head(p, HEAD_BWD));
    live_backward(p, array, products, 3, products_bwd, 5);
}

static void plan_backward_scratch(struct plan *p, struct model_activations *a)
{
    static const struct use_backward dnorm[] = {{GATE_UP_BWD, NORM2_BWD}, {QKV_BWD, NORM1_BWD}};
    static const struct use_backward datt[] = {{OUT_BWD, ATTENTION_BWD}};
    static const struct use_backward dqkv[] = {{ATTENTION_BWD, QKV_BWD}};
    static const struct use_backward dhidden[] = {{DOWN_INPUT_BWD, SWIGLU_BWD}};
    static const struct use_backward delta[] = {{ATTENTION_BWD, ATTENTION_BWD}};
    static const struct use_backward partial[] = {{NORM2_BWD, NORM2_BWD}, {NORM1_BWD, NORM1_BWD}};
    const struct model_config *c = p->c;
    uint32_t T = a->tokens, S = a->scored, C = c->channels;
    between(p, &a->dfinal, S, C, head(p, p->frozen_head ? HEAD : HEAD_BWD),
            head(p, FINAL_NORM_BWD));
    between(p, &a->dfinal_x, S, C, head(p, FINAL_NORM_BWD), head(p, GATHER_BWD));
    between(p, &a->dx, T, C, head(p, GATHER_BWD), end_of(p));
    live_backward(p, floats(p, &a->dnorm, T, C), NULL, 0, dnorm, 2);
    live_backward(p, floats(p, &a->datt, T, c->heads * c->head_dim), NULL, 0, datt, 1);
    live_backward(p, floats(p, &a->dqkv, T, model_qkv_cols(c)), NULL, 0, dqkv, 1);
    live_backward(p, floats(p, &a->dhidden, T, c->ffn), NULL, 0, dhidden, 1);
    live_backward(p, floats(p, &a->delta, T, c->heads), NULL, 0, delta, 1);
    size_t array = add(p, &a->partial, op_rmsnorm_partial_bytes(S > T ? S : T, C));
    vk_lifetimes_live(&p->lifetimes, array, head(p, FINAL_NORM_BWD), head(p, FINAL_NORM_BWD));
    live_backward(p, array, NULL, 0, partial, 2);
}

// ---- the head ----

static void plan_head(struct plan *p, struct model_activations *a)
{
    uint32_t S = a->scored, C = p->c->channels, end = end_of(p);
    bool t = p->training, kept = t && !p->frozen_head;
    between(p, &a->final_x, S, C, head(p, GATHER), head(p, t ? FINAL_NORM_BWD : FINAL_NORM));
    between(p, &a->final_rstd, S, 1, head(p, FINAL_NORM), head(p, t ? FINAL_NORM_BWD : FINAL_NORM));
    between(p, &a->final_norm, S, C, head(p, FINAL_NORM), head(p, kept ? HEAD_BWD : HEAD));
    // Backward does not make them again if all fit.
    between(p, &a->logits, a->chunk_rows, p->c->vocab, head(p, HEAD),
            head(p, kept ? HEAD_BWD : HEAD));
    // The caller's to read when all is done.
    between(p, &a->logp, S, 1, head(p, HEAD), end);
    between(p, &a->lse, S, 1, head(p, HEAD), end);
    between(p, &a->entropy, S, 1, head(p, HEAD), end);
    between(p, &a->is_argmax, S, 1, head(p, HEAD), end);
    if (p->collision) between(p, &a->collision, S, 1, head(p, HEAD), end);
    if (t) between(p, &a->dlogp, S, 1, head(p, HEAD), end);
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

// ---- the layout ----

static void place(struct plan *p, struct vk_arena *arena, bool apart)
{
    uint64_t from = (arena->used + VK_ARENA_ALIGN - 1) / VK_ARENA_ALIGN * VK_ARENA_ALIGN;
    if (!apart) vk_lifetimes_place(&p->lifetimes, from, arena->span_bytes, VK_ARENA_ALIGN);
    for (size_t i = 0; i < p->arrays.count; i++) {
        const struct vk_lifetime_array *array =
            &p->lifetimes.arrays.items[p->arrays.items[i].array];
        *p->arrays.items[i].addr = apart ? vk_arena_alloc(arena, array->bytes)
                                         : vk_arena_place(arena, array->offset, array->bytes);
    }
}

// The set that all layers share, in each.
static void share_insides(struct model_activations *a)
{
    for (uint32_t l = 1; l < a->layers; l++) {
        vk_addr x = a->layer[l].x;
        a->layer[l] = a->layer[0];
        if (a->training) a->layer[l].x = x;
    }
    if (!a->training) a->x_last = a->layer[0].x;
}

void model_activations_layout(struct model_activations *a, const struct model_config *c,
                              struct vk_arena *arena, const struct vk_device *device,
                              const struct model_activation_params *params)
{
    *a = (struct model_activations){
        .tokens = params->tokens,
        .scored = params->scored,
        .layers = c->layers,
        .training = params->training,
        .recompute = params->training && params->recompute,
        .frozen_head = params->training && params->frozen_head,
    };
    a->layer = MEM_ARRAY(struct model_layer_activations, c->layers);
    a->chunk_rows = chunk_rows(c, params);
    a->matmul_bytes = matmul_scratch_bytes(c, device, params->tokens, a->chunk_rows);
    struct plan p = {.c = c,
                     .lifetimes = {.shuffle = params->shuffle},
                     .layers = c->layers,
                     .training = a->training,
                     .recompute = a->recompute,
                     .collision = params->collision,
                     .frozen_head = a->frozen_head};
    plan_stream(&p, a);
    plan_insides(&p, a->layer, params->tokens);
    plan_shared_scratch(&p, a);
    plan_head(&p, a);
    if (a->training) plan_backward_scratch(&p, a);
    a->apart_bytes = vk_lifetimes_apart(&p.lifetimes, VK_ARENA_ALIGN);
    place(&p, arena, params->apart);
    if (!a->training || a->recompute) share_insides(a);
    vk_lifetimes_finish(&p.lifetimes);
    ARRAY_FREE(&p.arrays);
}

void model_activations_finish(struct model_activations *a)
{
    mem_free(a->layer);
    *a = (struct model_activations){0};
}
