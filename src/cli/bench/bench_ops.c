#include "cli/bench/bench.h"

#include "args.h"
#include "base/dtype.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/system.h"
#include "ops/attention.h"
#include "ops/linear.h"

#include <math.h>

// ---- timing ----

struct repeated {
    vk_record_fn record;
    void *ctx;
    uint32_t times;
};

static void record_repeated(struct vk_seq *s, void *ctx)
{
    const struct repeated *r = ctx;
    for (uint32_t i = 0; i < r->times; i++)
        r->record(s, r->ctx);
}

// Seconds of a sequence, the best of `runs` after one that warms up.
static bool time_sequence(const struct bench *b, const char *name, struct repeated *r, int runs,
                          double *seconds)
{
    struct vk_seq *s = vk_seq_create(b->device, name, record_repeated, r);
    bool ok = vk_seq_submit(s) && vk_wait_all(b->device);
    *seconds = HUGE_VAL;
    for (int i = 0; ok && i < runs; i++) {
        double begin = sys_seconds();
        ok = vk_seq_submit(s) && vk_wait_all(b->device);
        double took = sys_seconds() - begin;
        if (took < *seconds) *seconds = took;
    }
    vk_seq_destroy(s);
    return ok;
}

bool bench_time(const struct bench *b, const char *name, vk_record_fn record, void *ctx,
                double *seconds)
{
    const double enough = 0.05;
    struct repeated r = {record, ctx, 1};
    if (!time_sequence(b, name, &r, 2, seconds)) return false;
    r.times = *seconds < enough ? (uint32_t)(enough / (*seconds + 1e-9)) + 1 : 1;
    if (r.times > 512) r.times = 512;
    if (!time_sequence(b, name, &r, b->runs, seconds)) return false;
    *seconds /= r.times;
    return true;
}

const char *bench_tier(const struct bench *b, enum op_units units)
{
    if (units != OP_UNITS_FP32)
        return op_units_tier(b->device, units) == VK_TIER_COOPMAT2 ? "coopmat2" : "coopmat";
    return op_linear_tier(b->device) == VK_TIER_SHARED ? "shared" : "direct";
}

// An array of `count` elements; normal numbers, so that no kernel meets denormals or constants.
static vk_addr numbers_of(struct vk_arena *arena, uint64_t count, enum op_type type, bool *ok)
{
    const uint64_t drawn = 1u << 16;
    vk_addr addr = vk_arena_alloc(arena, count * op_type_bytes(type));
    float *values = MEM_ARRAY(float, count);
    struct rng rng = rng_begin(42, RNG_TEST);
    for (uint64_t i = 0; i < count; i++)
        values[i] = i < drawn ? (float)rng_normal(&rng) : values[i - drawn];
    uint8_t *bytes = MEM_ARRAY(uint8_t, count * op_type_bytes(type));
    dtype_encode(bytes, values, type == OP_BF16 ? DTYPE_BF16 : DTYPE_F32, count);
    *ok = *ok && vk_write(arena->device, addr, bytes, count * op_type_bytes(type));
    mem_free(bytes);
    mem_free(values);
    return addr;
}

vk_addr bench_numbers(struct vk_arena *arena, uint64_t count, bool *ok)
{
    return numbers_of(arena, count, OP_F32, ok);
}

// What products are computed in.
static const char *dtype_of(enum op_units units)
{
    static const char *const names[OP_UNITS_COUNT] = {"f32", "f16", "bf16"};
    return names[units];
}

// ---- products ----

enum orientation { FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT };

struct product {
    enum orientation which;
    uint32_t rows, in, out; // of the linear layer
    vk_addr x, w, y, scratch;
    uint64_t scratch_bytes;
    enum op_units units;
    enum op_type w_type; // of weights, not of their gradient
};

static void record_product(struct vk_seq *s, void *ctx)
{
    const struct product *p = ctx;
    op_linear_use(s, &(struct op_linear_setup){.scratch = p->scratch,
                                               .scratch_bytes = p->scratch_bytes,
                                               .units = p->units});
    if (p->which == FORWARD)
        op_linear_fwd(s, &(struct op_linear){.y = p->y,
                                             .x = p->x,
                                             .w = p->w,
                                             .rows = p->rows,
                                             .in = p->in,
                                             .out = p->out,
                                             .w_type = p->w_type});
    else if (p->which == BACKWARD_INPUT)
        op_linear_bwd_input(s, &(struct op_linear_bwd_input){.dx = p->x,
                                                             .dy = p->y,
                                                             .w = p->w,
                                                             .rows = p->rows,
                                                             .in = p->in,
                                                             .out = p->out,
                                                             .w_type = p->w_type});
    else
        op_linear_bwd_weight(
            s, &(struct op_linear_bwd_weight){
                   .dw = p->w, .dy = p->y, .x = p->x, .rows = p->rows, .in = p->in, .out = p->out});
}

// One product [m, k] x [k, n] in one of the orientations that training needs. On matrix units as in
// mixed precision: weights lie there as bf16.
static bool time_product(const struct bench *b, enum orientation which, enum op_units units,
                         const uint32_t mnk[3])
{
    static const char *const names[] = {"matmul", "matmul_bwd_input", "matmul_bwd_weight"};
    uint32_t m = mnk[0], n = mnk[1], k = mnk[2];
    struct product p = {.which = which, .rows = m, .out = n, .in = k};
    if (which == BACKWARD_INPUT) p = (struct product){.which = which, .rows = m, .in = n, .out = k};
    if (which == BACKWARD_WEIGHT)
        p = (struct product){.which = which, .rows = k, .in = n, .out = m};
    p.units = units;
    if (units != OP_UNITS_FP32 && which != BACKWARD_WEIGHT) p.w_type = OP_BF16;
    struct op_linear_shape shape = {p.rows, p.in, p.out};
    p.scratch_bytes = op_linear_scratch_bytes(b->device, &shape, 1);
    uint64_t x = (uint64_t)p.rows * p.in, w = (uint64_t)p.in * p.out, y = (uint64_t)p.rows * p.out;
    struct vk_arena arena = {0};
    bool ok =
        vk_arena_init(&arena, b->device,
                      &(struct vk_arena_params){.name = "bench matmul",
                                                .bytes = 4 * (x + w + y) + p.scratch_bytes + 4096});
    if (ok) {
        p.x = bench_numbers(&arena, x, &ok);
        p.w = numbers_of(&arena, w, p.w_type, &ok);
        p.y = bench_numbers(&arena, y, &ok);
        if (p.scratch_bytes) p.scratch = vk_arena_alloc(&arena, p.scratch_bytes);
    }
    double seconds = 0;
    ok = ok && bench_time(b, names[which], record_product, &p, &seconds);
    if (ok)
        b->report(b->ctx, &(struct bench_result){.name = names[which],
                                                 .shape = {m, n, k},
                                                 .dtype = dtype_of(units),
                                                 .tier = bench_tier(b, units),
                                                 .seconds = seconds,
                                                 .gflops = 2e-9 * m * n * k / seconds});
    vk_arena_finish(&arena);
    return ok;
}

bool bench_matmul(const struct bench *b)
{
    // Square ones, and those of a layer of a small model: 2048 tokens, 512 channels.
    static const uint32_t own[][3] = {{1024, 1024, 1024}, {2048, 2048, 2048}, {2048, 1536, 512}};
    const uint32_t(*shapes)[3] = b->shape ? (const uint32_t(*)[3])b->shape : own;
    size_t count = b->shape ? 1 : sizeof own / sizeof *own;
    // In fp32, then on the matrix units that mixed precision would use.
    enum op_units units[] = {OP_UNITS_FP32, op_linear_best_units(b->device)};
    for (int turn = 0; turn < (units[1] ? 2 : 1); turn++)
        for (size_t i = 0; i < count; i++)
            for (int which = FORWARD; which <= BACKWARD_WEIGHT; which++)
                if (!time_product(b, (enum orientation)which, units[turn], shapes[i])) return false;
    return true;
}

// ---- attention ----

#define HEADS 8u
#define KV_HEADS 4u
#define HEAD_DIM 64u
#define STRIDE ((HEADS + 2 * KV_HEADS) * HEAD_DIM)

struct attention {
    struct op_attention fwd;
    struct op_attention_bwd bwd;
    enum op_units units;
};

static void record_forward(struct vk_seq *s, void *ctx)
{
    const struct attention *a = ctx;
    op_linear_use(s, &(struct op_linear_setup){.units = a->units});
    op_attention_fwd(s, &a->fwd);
}

static void record_backward(struct vk_seq *s, void *ctx)
{
    const struct attention *a = ctx;
    op_linear_use(s, &(struct op_linear_setup){.units = a->units});
    op_attention_bwd(s, &a->bwd);
}

// Spans of rows of `length` tokens, each attending to its own row up to itself.
static bool write_spans(struct vk_arena *arena, uint32_t tokens, uint32_t length, vk_addr *spans,
                        vk_addr *key_end)
{
    struct token_span *span = MEM_ARRAY(struct token_span, tokens);
    uint32_t *end = MEM_ARRAY(uint32_t, tokens);
    for (uint32_t t = 0; t < tokens; t++) {
        uint32_t first = t / length * length;
        span[t] = (struct token_span){first, first, first, t + 1};
        end[t] = first + length < tokens ? first + length : tokens;
    }
    *spans = vk_arena_alloc(arena, tokens * sizeof *span);
    *key_end = vk_arena_alloc(arena, tokens * sizeof *end);
    bool ok = vk_write(arena->device, *spans, span, tokens * sizeof *span) &&
              vk_write(arena->device, *key_end, end, tokens * sizeof *end);
    mem_free(span);
    mem_free(end);
    return ok;
}

static bool fill_attention(struct attention *a, struct vk_arena *arena, uint32_t tokens,
                           uint32_t length)
{
    bool ok = true;
    uint64_t T = tokens, out = T * HEADS * HEAD_DIM;
    vk_addr qkv = bench_numbers(arena, T * STRIDE, &ok),
            dqkv = bench_numbers(arena, T * STRIDE, &ok);
    vk_addr k = qkv + 4ull * HEADS * HEAD_DIM, v = k + 4ull * KV_HEADS * HEAD_DIM;
    vk_addr o = bench_numbers(arena, out, &ok), dout = bench_numbers(arena, out, &ok);
    vk_addr lse = vk_arena_alloc(arena, T * HEADS * 4),
            delta = vk_arena_alloc(arena, T * HEADS * 4);
    vk_addr spans, key_end;
    ok = ok && write_spans(arena, tokens, length, &spans, &key_end);
    if (!ok) return false;
    float scale = 1.0f / sqrtf((float)HEAD_DIM);
    a->fwd =
        (struct op_attention){o,      lse,   qkv,      k,        v,      spans,  tokens,
                              tokens, HEADS, KV_HEADS, HEAD_DIM, STRIDE, STRIDE, HEADS * HEAD_DIM,
                              scale,  0};
    a->bwd = (struct op_attention_bwd){.dq = dqkv,
                                       .dk = dqkv + (k - qkv),
                                       .dv = dqkv + (v - qkv),
                                       .dout = dout,
                                       .o = o,
                                       .lse = lse,
                                       .q = qkv,
                                       .k = k,
                                       .v = v,
                                       .spans = spans,
                                       .key_end = key_end,
                                       .delta = delta,
                                       .rows = tokens,
                                       .heads = HEADS,
                                       .kv_heads = KV_HEADS,
                                       .head_dim = HEAD_DIM,
                                       .q_stride = STRIDE,
                                       .kv_stride = STRIDE,
                                       .o_stride = HEADS * HEAD_DIM,
                                       .scale = scale};
    return true;
}

static bool time_attention(const struct bench *b, enum op_units units, uint32_t tokens,
                           uint32_t length)
{
    struct attention a = {.units = units};
    struct vk_arena arena = {0};
    uint64_t bytes = 4ull * tokens * (2 * STRIDE + 2 * HEADS * HEAD_DIM + 2 * HEADS + 8);
    double forward = 0, backward = 0;
    bool ok = vk_arena_init(&arena, b->device,
                            &(struct vk_arena_params){.name = "bench attention",
                                                      .bytes = bytes + 16 * 1024}) &&
              fill_attention(&a, &arena, tokens, length) &&
              bench_time(b, "attention_fwd", record_forward, &a, &forward) &&
              bench_time(b, "attention_bwd", record_backward, &a, &backward);
    vk_arena_finish(&arena);
    if (!ok) return false;
    // Two products forward, five backward (the scores are made again), over what is attended to.
    double attended = (double)tokens / length * length * (length + 1) / 2;
    double product = 2.0 * HEADS * HEAD_DIM * attended;
    struct bench_result r = {.shape = {tokens, length, HEADS, HEAD_DIM},
                             .dtype = dtype_of(units),
                             .tier = units ? "coopmat" : bench_tier(b, units)};
    r.name = "attention_fwd";
    r.seconds = forward;
    r.gflops = 2e-9 * product / forward;
    b->report(b->ctx, &r);
    r.name = "attention_bwd";
    r.seconds = backward;
    r.gflops = 5e-9 * product / backward;
    b->report(b->ctx, &r);
    return true;
}

bool bench_attention(const struct bench *b)
{
    enum op_units units[] = {OP_UNITS_FP32, op_linear_best_units(b->device)};
    for (int turn = 0; turn < (units[1] ? 2 : 1); turn++)
        if (!time_attention(b, units[turn], 2048, 256) ||
            !time_attention(b, units[turn], 2048, 2048))
            return false;
    return true;
}
