#include "model/generator.h"

#include "../shaders/args.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/rows.h"
#include "vk/sequence.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

// Token rows of a chunk of prompt.
#define PREFILL_ROWS 256

// One pass over up to `rows` tokens, recorded once for prompts and once for single tokens. The host
// block is the image of the device block: counts, then the arrays below.
struct pass {
    struct model_generator *g;
    struct vk_seq *seq;
    uint32_t rows; // capacity
    vk_addr block, counts, ids, positions, spans, slots, wanted;
    uint64_t block_bytes;
    uint8_t *host;
};

// A sequence being continued.
struct lane {
    size_t prompt; // index, or SIZE_MAX: free
    uint32_t fed;  // tokens in the cache
    uint32_t drawn;
    int32_t next; // token to feed after the prompt
};

struct model_generator {
    struct vk_device *device;
    const struct model_weights *weights;
    const struct model_config *config;
    struct vk_arena arena;
    uint32_t sequences, max_length;
    vk_addr *k_cache, *v_cache; // [L] of [sequences * max_length, K D]
    vk_addr rope;
    vk_addr x, norm, qkv, att, lse, gate_up, hidden, last, last_norm, logits, matmul;
    uint64_t matmul_bytes;
    struct pass prefill, decode;
    float *host_logits;
    struct lane *lanes;
};

static vk_addr words(struct vk_arena *a, uint64_t rows, uint64_t cols)
{
    return vk_arena_alloc(a, rows * cols * 4);
}

static void pass_layout(struct pass *p, struct model_generator *g, struct vk_arena *arena,
                        uint32_t rows)
{
    p->g = g;
    p->rows = rows;
    uint64_t array = (uint64_t)rows * 4;
    p->block_bytes = 256 + array * 7 + (uint64_t)g->sequences * 4;
    p->block = vk_arena_alloc(arena, p->block_bytes);
    p->counts = p->block;
    p->spans = p->block + 256;
    p->ids = p->spans + array * 4;
    p->positions = p->ids + array;
    p->slots = p->positions + array;
    p->wanted = p->slots + array;
}

static void layout(struct model_generator *g, struct vk_arena *arena,
                   const struct vk_device *device)
{
    const struct model_config *c = g->config;
    uint32_t rows = PREFILL_ROWS > g->sequences ? PREFILL_ROWS : g->sequences;
    uint64_t slots = (uint64_t)g->sequences * g->max_length;
    for (uint32_t l = 0; l < c->layers; l++) {
        g->k_cache[l] = words(arena, slots, c->kv_heads * c->head_dim);
        g->v_cache[l] = words(arena, slots, c->kv_heads * c->head_dim);
    }
    g->rope = words(arena, g->max_length, c->head_dim);
    g->x = words(arena, rows, c->channels);
    g->norm = words(arena, rows, c->channels);
    g->qkv = words(arena, rows, model_qkv_cols(c));
    g->att = words(arena, rows, c->heads * c->head_dim);
    g->lse = words(arena, rows, c->heads);
    g->gate_up = words(arena, rows, 2 * c->ffn);
    g->hidden = words(arena, rows, c->ffn);
    g->last = words(arena, g->sequences, c->channels);
    g->last_norm = words(arena, g->sequences, c->channels);
    g->logits = words(arena, g->sequences, c->vocab);
    const struct op_linear_shape shapes[] = {
        {rows, c->channels, model_qkv_cols(c)}, {rows, c->heads * c->head_dim, c->channels},
        {rows, c->channels, 2 * c->ffn},        {rows, c->ffn, c->channels},
        {g->sequences, c->channels, c->vocab},
    };
    g->matmul_bytes = op_linear_scratch_bytes(device, shapes, sizeof shapes / sizeof *shapes);
    g->matmul = g->matmul_bytes ? vk_arena_alloc(arena, g->matmul_bytes) : 0;
    pass_layout(&g->prefill, g, arena, rows);
    pass_layout(&g->decode, g, arena, g->sequences);
}

// ---- recorded commands ----

static vk_addr live_tokens(const struct pass *p)
{
    return p->counts + offsetof(struct pack_counts, tokens);
}

static void linear(struct vk_seq *s, const struct pass *p, const struct model_linear *l, vk_addr y,
                   vk_addr x, vk_addr add)
{
    op_linear_fwd(s, &(struct op_linear){.y = y,
                                         .x = x,
                                         .w = l->w,
                                         .bias = l->bias,
                                         .add = add,
                                         .rows = p->rows,
                                         .in = l->in,
                                         .out = l->out,
                                         .live = live_tokens(p),
                                         .w_type = l->type});
}

static void norm(struct vk_seq *s, const struct pass *p, vk_addr w, enum op_type type)
{
    op_rmsnorm_fwd(s, &(struct op_rmsnorm){.y = p->g->norm,
                                           .x = p->g->x,
                                           .w = w,
                                           .rows = p->rows,
                                           .cols = p->g->config->channels,
                                           .eps = p->g->config->norm_eps,
                                           .live = live_tokens(p),
                                           .w_type = type});
}

static void attention(struct vk_seq *s, const struct pass *p, uint32_t layer)
{
    struct model_generator *g = p->g;
    const struct model_config *c = g->config;
    uint32_t q_cols = c->heads * c->head_dim, kv_cols = c->kv_heads * c->head_dim;
    uint32_t stride = model_qkv_cols(c), slots = g->sequences * g->max_length;
    op_rope(s, &(struct op_rope){.x = g->qkv,
                                 .positions = p->positions,
                                 .table = g->rope,
                                 .rows = p->rows,
                                 .heads = c->heads + c->kv_heads,
                                 .head_dim = c->head_dim,
                                 .stride = stride,
                                 .table_rows = g->max_length,
                                 .live = live_tokens(p)});
    struct op_gather store = {.y = g->k_cache[layer],
                              .x = g->qkv + 4ull * q_cols,
                              .index = p->slots,
                              .rows = p->rows,
                              .cols = kv_cols,
                              .x_rows = slots,
                              .y_stride = kv_cols,
                              .x_stride = stride,
                              .live = live_tokens(p)};
    vk_group_begin(s);
    op_scatter_rows(s, &store);
    store.y = g->v_cache[layer];
    store.x += 4ull * kv_cols;
    op_scatter_rows(s, &store);
    vk_group_end(s);
    op_attention_fwd(s, &(struct op_attention){.o = g->att,
                                               .lse = g->lse,
                                               .q = g->qkv,
                                               .k = g->k_cache[layer],
                                               .v = g->v_cache[layer],
                                               .spans = p->spans,
                                               .rows = p->rows,
                                               .keys = slots,
                                               .heads = c->heads,
                                               .kv_heads = c->kv_heads,
                                               .head_dim = c->head_dim,
                                               .q_stride = stride,
                                               .kv_stride = kv_cols,
                                               .o_stride = q_cols,
                                               .scale = 1.0f / sqrtf((float)c->head_dim),
                                               .live = live_tokens(p)});
}

static void record_pass(struct vk_seq *s, void *ctx)
{
    const struct pass *p = ctx;
    struct model_generator *g = p->g;
    const struct model_config *c = g->config;
    const struct model_weights *w = g->weights;
    vk_addr live_wanted = p->counts + offsetof(struct pack_counts, scored);

    op_linear_use(
        s, &(struct op_linear_setup){.scratch = g->matmul, .scratch_bytes = g->matmul_bytes});
    op_embed_fwd(s, &(struct op_embed){.x = g->x,
                                       .weight = w->embed,
                                       .ids = p->ids,
                                       .rows = p->rows,
                                       .cols = c->channels,
                                       .vocab = c->vocab,
                                       .live = live_tokens(p),
                                       .w_type = w->type});
    for (uint32_t l = 0; l < c->layers; l++) {
        norm(s, p, w->layers[l].attention_norm, w->type);
        linear(s, p, &w->layers[l].qkv, g->qkv, g->norm, 0);
        attention(s, p, l);
        linear(s, p, &w->layers[l].out, g->x, g->att, g->x);
        norm(s, p, w->layers[l].mlp_norm, w->type);
        const struct model_linear *gate_up = &w->layers[l].gate_up;
        op_linear_swiglu_fwd(s, &(struct op_linear_swiglu){.h = g->hidden,
                                                           .gate_up = g->gate_up,
                                                           .x = g->norm,
                                                           .w = gate_up->w,
                                                           .bias = gate_up->bias,
                                                           .rows = p->rows,
                                                           .in = gate_up->in,
                                                           .ffn = c->ffn,
                                                           .live = live_tokens(p),
                                                           .w_type = gate_up->type});
        linear(s, p, &w->layers[l].down, g->x, g->hidden, g->x);
    }
    op_gather_rows(s, &(struct op_gather){.y = g->last,
                                          .x = g->x,
                                          .index = p->wanted,
                                          .rows = g->sequences,
                                          .cols = c->channels,
                                          .x_rows = p->rows,
                                          .live = live_wanted});
    op_rmsnorm_fwd(s, &(struct op_rmsnorm){.y = g->last_norm,
                                           .x = g->last,
                                           .w = w->final_norm,
                                           .rows = g->sequences,
                                           .cols = c->channels,
                                           .eps = c->norm_eps,
                                           .live = live_wanted,
                                           .w_type = w->type});
    op_linear_fwd(s, &(struct op_linear){.y = g->logits,
                                         .x = g->last_norm,
                                         .w = w->head,
                                         .rows = g->sequences,
                                         .in = c->channels,
                                         .out = c->vocab,
                                         .live = live_wanted,
                                         .w_type = w->type});
}

// ---- set-up ----

static struct model_generator *new_generator(const struct model_layout *layout_,
                                             const struct model_generator_params *params)
{
    struct model_generator *g = MEM_NEW(struct model_generator);
    g->config = &layout_->config;
    g->sequences = params->sequences ? params->sequences : 8;
    g->max_length = params->max_length;
    g->k_cache = MEM_ARRAY(vk_addr, g->config->layers);
    g->v_cache = MEM_ARRAY(vk_addr, g->config->layers);
    return g;
}

// The span of the arena: it must hold the largest array, a layer's keys or the widest rows. 0
// (err_user) if the device has no such span.
static uint64_t choose_span(const struct model_generator *g, const struct vk_device *device)
{
    const struct model_config *c = g->config;
    uint64_t slots = (uint64_t)g->sequences * g->max_length, span = (uint64_t)1 << 30;
    uint64_t rows = PREFILL_ROWS > g->sequences ? PREFILL_ROWS : g->sequences;
    uint64_t largest = slots * c->kv_heads * c->head_dim * 4;
    if (rows * 2 * c->ffn * 4 > largest) largest = rows * 2 * c->ffn * 4;
    if ((uint64_t)g->sequences * c->vocab * 4 > largest)
        largest = (uint64_t)g->sequences * c->vocab * 4;
    while (span < largest)
        span *= 2;
    // A kernel's index has 31 bits.
    if (largest / 4 <= INT32_MAX &&
        (span == (uint64_t)1 << 30 || span <= vk_max_span_bytes(device)))
        return span;
    char need[32];
    err_user(
        "%u texts of up to %u tokens need a cache of %s a layer, more than the device holds in "
        "one piece: ask for fewer tokens, or for fewer texts at once",
        g->sequences, g->max_length, str_bytes(need, largest));
    return 0;
}

uint64_t model_generator_bytes(const struct model_layout *layout_, const struct vk_device *device,
                               const struct model_generator_params *params)
{
    struct model_generator *g = new_generator(layout_, params);
    struct vk_arena measure;
    uint64_t bytes = 0, span = choose_span(g, device);
    if (span) {
        vk_arena_init(&measure, NULL,
                      &(struct vk_arena_params){.name = "generation", .span_bytes = span});
        layout(g, &measure, device);
        bytes = measure.peak;
        vk_arena_finish(&measure);
    }
    model_generator_destroy(g);
    return bytes;
}

static bool write_rope(struct model_generator *g)
{
    uint64_t count = (uint64_t)g->max_length * g->config->head_dim;
    float *table = MEM_ARRAY(float, count);
    model_rope_table(g->config, g->max_length, table);
    bool ok = vk_write(g->device, g->rope, table, count * sizeof(float));
    mem_free(table);
    return ok;
}

struct model_generator *model_generator_create(struct vk_device *device,
                                               const struct model_weights *weights,
                                               const struct model_generator_params *params)
{
    CHECK(params->max_length > 0);
    struct model_generator *g = new_generator(weights->layout, params);
    g->device = device;
    g->weights = weights;
    uint64_t bytes = model_generator_bytes(weights->layout, device, params);
    if (!bytes || !vk_arena_init(&g->arena, device,
                                 &(struct vk_arena_params){.name = "generation",
                                                           .bytes = bytes,
                                                           .span_bytes = choose_span(g, device)}))
        goto fail;
    layout(g, &g->arena, device);
    if (!write_rope(g)) goto fail;
    g->prefill.host = mem_calloc(g->prefill.block_bytes, 1);
    g->decode.host = mem_calloc(g->decode.block_bytes, 1);
    g->prefill.seq = vk_seq_create(device, "prefill", record_pass, &g->prefill);
    g->decode.seq = vk_seq_create(device, "decode", record_pass, &g->decode);
    g->host_logits = MEM_ARRAY(float, (size_t)g->sequences * g->config->vocab);
    g->lanes = MEM_ARRAY(struct lane, g->sequences);
    return g;
fail:
    model_generator_destroy(g);
    return NULL;
}

void model_generator_destroy(struct model_generator *g)
{
    if (!g) return;
    vk_seq_destroy(g->prefill.seq);
    vk_seq_destroy(g->decode.seq);
    vk_arena_finish(&g->arena);
    mem_free(g->prefill.host);
    mem_free(g->decode.host);
    mem_free(g->host_logits);
    mem_free(g->lanes);
    mem_free(g->k_cache);
    mem_free(g->v_cache);
    mem_free(g);
}

// ---- running ----

struct run {
    struct model_generator *g;
    const struct model_prompt *prompts;
    size_t count, started;
    const struct model_generation *how;
    uint32_t *wanted_lane; // lane of each row of logits
    bool stopped;
};

static void put_row(struct pass *p, uint32_t row, uint32_t lane, uint32_t position, int32_t id)
{
    uint32_t first = lane * p->g->max_length;
    ((uint32_t *)(void *)(p->host + (p->ids - p->block)))[row] = (uint32_t)id;
    ((uint32_t *)(void *)(p->host + (p->positions - p->block)))[row] = position;
    ((uint32_t *)(void *)(p->host + (p->slots - p->block)))[row] = first + position;
    ((struct token_span *)(void *)(p->host + (p->spans - p->block)))[row] =
        (struct token_span){first, first, first, first + position + 1};
}

static bool is_eos(const struct model_generation *how, int32_t id)
{
    for (uint32_t i = 0; i < how->eos_count; i++)
        if (how->eos[i] == id) return true;
    return false;
}

// Gives free lanes the next prompts; returns the number of busy lanes.
static uint32_t fill_lanes(struct run *r)
{
    uint32_t busy = 0;
    for (uint32_t i = 0; i < r->g->sequences; i++) {
        struct lane *lane = &r->g->lanes[i];
        if (lane->prompt == SIZE_MAX && r->started < r->count)
            *lane = (struct lane){.prompt = r->started++};
        busy += lane->prompt != SIZE_MAX;
    }
    return busy;
}

// Writes the rows of the next pass: whole prompts' chunks, or one token of each lane. Returns the
// pass.
static struct pass *fill_rows(struct run *r, uint32_t *wanted)
{
    struct model_generator *g = r->g;
    bool prompting = false;
    for (uint32_t i = 0; i < g->sequences; i++) {
        const struct lane *lane = &g->lanes[i];
        prompting |= lane->prompt != SIZE_MAX && lane->fed < r->prompts[lane->prompt].count;
    }
    struct pass *p = prompting ? &g->prefill : &g->decode;
    uint32_t rows = 0;
    *wanted = 0;
    uint32_t *wanted_rows = (uint32_t *)(void *)(p->host + (p->wanted - p->block));
    for (uint32_t i = 0; i < g->sequences && rows < p->rows; i++) {
        struct lane *lane = &g->lanes[i];
        if (lane->prompt == SIZE_MAX) continue;
        const struct model_prompt *prompt = &r->prompts[lane->prompt];
        bool in_prompt = lane->fed < prompt->count;
        if (in_prompt != prompting) continue;
        do {
            put_row(p, rows++, i, lane->fed, in_prompt ? prompt->ids[lane->fed] : lane->next);
            lane->fed++;
        } while (lane->fed < prompt->count && rows < p->rows);
        if (lane->fed < prompt->count) break;
        wanted_rows[*wanted] = rows - 1;
        r->wanted_lane[(*wanted)++] = i;
    }
    struct pack_counts counts = {.tokens = rows, .scored = *wanted};
    memcpy(p->host, &counts, sizeof counts);
    return p;
}

// Draws the next token of a lane from its logits and decides whether the lane goes on.
static bool advance(struct run *r, uint32_t lane_index, const float *logits)
{
    struct model_generator *g = r->g;
    struct lane *lane = &g->lanes[lane_index];
    int32_t id =
        model_sample(logits, g->config->vocab, &r->how->sampling, lane->prompt, lane->drawn);
    if (id < 0)
        return err_user(
            "the model's output for prompt %zu is not a number: its weights are damaged",
            lane->prompt);
    bool eos = is_eos(r->how, id), ended = eos;
    if (!ended) {
        lane->drawn++;
        lane->next = id;
        if (r->how->on_token && !r->how->on_token(r->how->ctx, lane->prompt, id)) r->stopped = true;
        ended = lane->drawn >= r->how->max_new_tokens ||
                r->prompts[lane->prompt].count + lane->drawn >= g->max_length;
    }
    if (!ended) return true;
    if (r->how->on_end && !r->how->on_end(r->how->ctx, lane->prompt, eos)) r->stopped = true;
    lane->prompt = SIZE_MAX;
    return true;
}

bool model_generate(struct model_generator *g, const struct model_prompt *prompts, size_t count,
                    const struct model_generation *how)
{
    for (size_t i = 0; i < count; i++)
        CHECK(prompts[i].count > 0 && prompts[i].count < g->max_length);
    if (!how->max_new_tokens) return true;
    struct run r = {.g = g, .prompts = prompts, .count = count, .how = how};
    r.wanted_lane = MEM_ARRAY(uint32_t, g->sequences);
    for (uint32_t i = 0; i < g->sequences; i++)
        g->lanes[i].prompt = SIZE_MAX;
    bool ok = true;
    while (ok && !r.stopped && fill_lanes(&r)) {
        uint32_t wanted;
        struct pass *p = fill_rows(&r, &wanted);
        ok = vk_upload(g->device, p->block, p->host, p->block_bytes) && vk_seq_submit(p->seq);
        if (ok && wanted) {
            uint64_t bytes = (uint64_t)wanted * g->config->vocab * sizeof(float);
            ok = vk_read(g->device, g->logits, g->host_logits, bytes);
        }
        for (uint32_t i = 0; ok && i < wanted; i++)
            ok = advance(&r, r.wanted_lane[i], g->host_logits + (size_t)i * g->config->vocab);
    }
    mem_free(r.wanted_lane);
    return vk_wait_all(g->device) && ok;
}
