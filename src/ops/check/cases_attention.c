#include "ops/attention.h"
#include "ops/check/harness.h"
#include "ops/linear.h"
#include "ops/ref.h"

#include "base/dtype.h"
#include "base/mem.h"

#include <math.h>

// ---- batches ----
//
// A packed batch holds rows of about L slots, laid out as the trainer does it: a prompt, a chosen
// and a rejected completion that both attend to it. Rows vary in length, and every fourth has no
// prompt. L = 0: one row that fills the batch.
struct batch {
    uint32_t slots, live, heads, kv_heads, head_dim, row, std;
    enum poison { NOTHING, FIRST_ROW, CHOSEN } poison;
};

// To prove that a block of slots that none of a workgroup's rows has in its ranges is not even
// loaded: all that stands in some slots is NaN, and whatever is multiplied by it becomes NaN,
// however small the weight. Rows are of one length then and their parts multiples of any
// workgroup's rows, so that no workgroup has both slots that may meet those and slots that may not.
static bool poisoned(const struct batch *b, uint32_t t)
{
    uint32_t begin = b->poison == CHOSEN ? b->row + b->row / 2 : 0;
    return b->poison && t >= begin && t < begin + (b->poison == CHOSEN ? b->row / 4 : b->row);
}

// What lies beyond the slots in use must not be read.
#define NO_COUNT 0x7fffffffu

static void put_token(struct check_array *spans, struct check_array *key_end, uint32_t t,
                      struct token_span span, uint32_t end)
{
    uint32_t *w = spans->u32 + 4 * (uint64_t)t;
    w[0] = span.prefix_begin;
    w[1] = span.prefix_end;
    w[2] = span.own_begin;
    w[3] = span.own_end;
    if (key_end) key_end->u32[t] = end;
}

// Makes spans and key_end. Returns the (query, key) pairs of a head.
static double pack(const struct batch *b, struct check_array *spans, struct check_array *key_end)
{
    double pairs = 0;
    uint32_t begin = 0;
    for (uint32_t n = 0; begin < b->live; n++) {
        uint32_t length = b->poison ? b->row
                          : b->row  ? b->row - (n * 7) % (b->row / 4 + 1)
                                    : b->live;
        if (length > b->live - begin) length = b->live - begin;
        uint32_t prompt = begin + (n % 4 == 3 ? 0 : length / 2);
        uint32_t rejected = prompt + (begin + length - prompt) / 2, end = begin + length;
        for (uint32_t t = begin; t < end; t++) {
            uint32_t own = t < prompt ? begin : t < rejected ? prompt : rejected;
            uint32_t own_end = t < prompt ? end : t < rejected ? rejected : end;
            uint32_t prefix_end = t < prompt ? begin : prompt;
            put_token(spans, key_end, t, (struct token_span){begin, prefix_end, own, t + 1},
                      own_end);
            pairs += prefix_end - begin + t + 1 - own;
        }
        begin = end;
    }
    for (uint32_t t = b->live; t < b->slots; t++)
        put_token(spans, key_end, t, (struct token_span){0, NO_COUNT, 0, NO_COUNT}, NO_COUNT);
    return pairs;
}

static struct batch batch_of(const uint32_t *n)
{
    return (struct batch){.slots = n[0],
                          .heads = n[1],
                          .kv_heads = n[2],
                          .head_dim = n[3],
                          .row = n[4],
                          .live = n[5] ? n[5] : n[0],
                          .std = n[6] ? n[6] : 1,
                          .poison = (enum poison)n[7]};
}

// Queries, keys and values of a slot side by side, as the model has them.
static uint32_t fused_cols(const struct batch *b)
{
    return (b->heads + 2 * b->kv_heads) * b->head_dim;
}

// What a case computes in, and whether its inputs are numbers that have no more digits than that.
struct maths {
    enum op_units units;
    bool rounded;
};

static struct check_array *slots_normal(struct check *c, const char *name, const struct batch *b,
                                        uint32_t cols, double std, const struct maths *m)
{
    struct check_array *a = check_normal(c, name, (uint64_t)b->slots * cols, std);
    for (uint64_t i = 0; m->rounded && !c->params->compile && i < a->count; i++) {
        a->f32[i] = m->units == OP_UNITS_FP16 ? dtype_from_f16(dtype_to_f16(a->f32[i]))
                                              : dtype_from_bf16(dtype_to_bf16(a->f32[i]));
        a->f64[i] = (double)a->f32[i];
    }
    for (uint64_t i = (uint64_t)b->live * cols; i < a->count; i++)
        a->f32[i] = NAN;
    return a;
}

// Makes what the device gets of the poisoned slots NaN.
static void poison(const struct batch *b, struct check_array *a, uint32_t cols)
{
    for (uint32_t t = 0; t < b->live; t++)
        for (uint32_t i = 0; i < cols && poisoned(b, t); i++)
            a->f32[(uint64_t)t * cols + i] = NAN;
}

// Columns from `from` on of the poisoned slots, and of those of the prompt if it meets them, may be
// anything.
static void excuse(const struct batch *b, struct check_array *a, uint32_t cols, uint32_t from,
                   bool prompt)
{
    for (uint32_t t = 0; t < b->live; t++) {
        bool meets = prompt && b->poison == CHOSEN && t >= b->row && t < b->row + b->row / 2;
        for (uint32_t i = from; i < cols && (meets || poisoned(b, t)); i++)
            a->f64[(uint64_t)t * cols + i] = (double)INFINITY;
    }
}

// ---- forward ----

struct fwd_call {
    const struct op_attention *op;
    enum op_units units;
};

static void record_fwd(struct vk_seq *s, void *ctx)
{
    const struct fwd_call *call = ctx;
    op_linear_use(s, &(struct op_linear_setup){.units = call->units});
    op_attention_fwd(s, call->op);
}

static void fwd_in(struct check *c, const uint32_t *n, const struct maths *m)
{
    struct batch b = batch_of(n);
    if (!check_has_units(c, m->units, false)) return;
    uint32_t cols = b.heads * b.head_dim, stride = fused_cols(&b);
    uint64_t k_at = cols, v_at = cols + (uint64_t)b.kv_heads * b.head_dim;
    struct check_array *qkv = slots_normal(c, "qkv", &b, stride, b.std, m);
    struct check_array *spans = check_words(c, "spans", 4 * (uint64_t)b.slots);
    struct check_array *o = check_output(c, "o", (uint64_t)b.slots * cols);
    struct check_array *lse = check_output(c, "lse", (uint64_t)b.slots * b.heads);
    double pairs = pack(&b, spans, NULL), scale = 1 / sqrt(b.head_dim);
    struct op_attention op = {.o = o->addr,
                              .lse = lse->addr,
                              .q = qkv->addr,
                              .k = qkv->addr + 4 * k_at,
                              .v = qkv->addr + 4 * v_at,
                              .spans = spans->addr,
                              .rows = b.slots,
                              .keys = b.slots,
                              .heads = b.heads,
                              .kv_heads = b.kv_heads,
                              .head_dim = b.head_dim,
                              .q_stride = stride,
                              .kv_stride = stride,
                              .o_stride = cols,
                              .scale = (float)scale,
                              .live = n[5] ? check_word(c, "live", b.live)->addr : 0};
    if (c->judged)
        ref_attention_fwd_f64(&(struct ref_attention_f64){
            o->f64, lse->f64, qkv->f64, qkv->f64 + k_at, qkv->f64 + v_at,
            (const struct token_span *)spans->u32, b.live, b.live, b.heads, b.kv_heads, b.head_dim,
            stride, stride, cols, scale});
    poison(&b, qkv, stride);
    excuse(&b, o, cols, 0, false);
    excuse(&b, lse, b.heads, 0, false);
    check_cost(c, 4 * pairs * cols, 4.0 * b.live * (stride + cols));
    check_run(c, record_fwd, &(struct fwd_call){&op, m->units});
}

static void attention_fwd(struct check *c, const uint32_t *n)
{
    fwd_in(c, n, &(struct maths){OP_UNITS_FP32, false});
}

static void attention_fwd_fp16(struct check *c, const uint32_t *n)
{
    fwd_in(c, n, &(struct maths){OP_UNITS_FP16, true});
}

static void attention_fwd_fp16_rounding(struct check *c, const uint32_t *n)
{
    fwd_in(c, n, &(struct maths){OP_UNITS_FP16, false});
}

static void attention_fwd_bf16(struct check *c, const uint32_t *n)
{
    fwd_in(c, n, &(struct maths){OP_UNITS_BF16, true});
}

static void attention_fwd_bf16_rounding(struct check *c, const uint32_t *n)
{
    fwd_in(c, n, &(struct maths){OP_UNITS_BF16, false});
}

// Queries of a key/value cache: `keys` slots shared out to T sequences, of which each query sees a
// prefix in the first part and its own slots in the second, with a gap that no query sees, whose
// values are NaN. The first query sees nothing. All strides differ and leave gaps.
static void cache_in(struct check *c, const uint32_t *n, const struct maths *m)
{
    if (!check_has_units(c, m->units, false)) return;
    uint32_t rows = n[0], keys = n[1], heads = n[2], kv_heads = n[3], dim = n[4];
    uint32_t cols = heads * dim, q_stride = cols + 2, o_stride = cols + 6;
    uint32_t kv_stride = kv_heads * dim + 4, half = keys / 2;
    struct check_array *q = check_normal(c, "q", (uint64_t)rows * q_stride, 1);
    struct check_array *k = check_normal(c, "k", (uint64_t)keys * kv_stride, 1);
    struct check_array *v = check_normal(c, "v", (uint64_t)keys * kv_stride, 1);
    struct check_array *spans = check_words(c, "spans", 4 * (uint64_t)rows);
    struct check_array *o = check_output(c, "o", (uint64_t)rows * o_stride);
    struct check_array *lse = check_output(c, "lse", (uint64_t)rows * heads);
    double pairs = 0, scale = 1 / sqrt(dim);
    uint8_t *seen = MEM_ARRAY(uint8_t, keys);
    for (uint32_t t = 0; t < rows; t++) {
        struct token_span span = {t * half / rows, half - 3, half + t * half / rows,
                                  half + (t + 1) * half / rows};
        if (t == 0) span = (struct token_span){keys, keys, 5, 5};
        if (t == 1) span.own_end = span.own_begin;
        if (t == 2) span.prefix_end = span.prefix_begin;
        put_token(spans, NULL, t, span, 0);
        for (uint32_t u = span.prefix_begin; u < span.prefix_end; u++, pairs++)
            seen[u] = 1;
        for (uint32_t u = span.own_begin; u < span.own_end; u++, pairs++)
            seen[u] = 1;
    }
    for (uint64_t i = 0; i < k->count; i++)
        if (!seen[i / kv_stride]) k->f32[i] = v->f32[i] = NAN;
    mem_free(seen);
    struct op_attention op = {.o = o->addr,
                              .lse = lse->addr,
                              .q = q->addr,
                              .k = k->addr,
                              .v = v->addr,
                              .spans = spans->addr,
                              .rows = rows,
                              .keys = keys,
                              .heads = heads,
                              .kv_heads = kv_heads,
                              .head_dim = dim,
                              .q_stride = q_stride,
                              .kv_stride = kv_stride,
                              .o_stride = o_stride,
                              .scale = (float)scale};
    if (c->judged)
        ref_attention_fwd_f64(&(struct ref_attention_f64){
            o->f64, lse->f64, q->f64, k->f64, v->f64, (const struct token_span *)spans->u32, rows,
            keys, heads, kv_heads, dim, q_stride, kv_stride, o_stride, scale});
    check_cost(c, 4 * pairs * cols, 4 * (2.0 * rows * cols + pairs * kv_heads * dim));
    check_run(c, record_fwd, &(struct fwd_call){&op, m->units});
}

static void attention_cache(struct check *c, const uint32_t *n)
{
    cache_in(c, n, &(struct maths){OP_UNITS_FP32, false});
}

static void attention_cache_rounding(struct check *c, const uint32_t *n)
{
    cache_in(c, n, &(struct maths){OP_UNITS_FP16, false});
}

// ---- backward ----

// o and lse as the forward pass leaves them.
static void forward_results(const struct batch *b, struct check_array *o, struct check_array *lse,
                            const struct check_array *qkv, const struct check_array *spans)
{
    uint32_t cols = b->heads * b->head_dim, stride = fused_cols(b);
    ref_attention_fwd_f64(&(struct ref_attention_f64){
        o->f64, lse->f64, qkv->f64, qkv->f64 + cols,
        qkv->f64 + cols + (uint64_t)b->kv_heads * b->head_dim,
        (const struct token_span *)spans->u32, b->live, b->live, b->heads, b->kv_heads, b->head_dim,
        stride, stride, cols, 1 / sqrt(b->head_dim)});
    for (uint64_t i = 0; i < (uint64_t)b->live * cols; i++)
        o->f32[i] = (float)o->f64[i];
    for (uint64_t i = 0; i < (uint64_t)b->live * b->heads; i++)
        lse->f32[i] = (float)lse->f64[i];
}

struct bwd_call {
    const struct op_attention_bwd *op;
    enum op_units units;
};

static void record_bwd(struct vk_seq *s, void *ctx)
{
    const struct bwd_call *call = ctx;
    op_linear_use(s, &(struct op_linear_setup){.units = call->units});
    op_attention_bwd(s, call->op);
}

static void bwd_in(struct check *c, const uint32_t *n, const struct maths *m)
{
    struct batch b = batch_of(n);
    if (!check_has_units(c, m->units, false)) return;
    uint32_t cols = b.heads * b.head_dim, stride = fused_cols(&b);
    uint64_t k_at = cols, v_at = cols + (uint64_t)b.kv_heads * b.head_dim;
    struct check_array *qkv = slots_normal(c, "qkv", &b, stride, b.std, m);
    struct check_array *dout = slots_normal(c, "dout", &b, cols, 1, m);
    struct check_array *o = slots_normal(c, "o", &b, cols, 1, m);
    struct check_array *lse = slots_normal(c, "lse", &b, b.heads, 1, m);
    struct check_array *spans = check_words(c, "spans", 4 * (uint64_t)b.slots);
    struct check_array *key_end = check_words(c, "key_end", b.slots);
    struct check_array *dqkv = check_output(c, "dqkv", (uint64_t)b.slots * stride);
    struct check_array *delta = check_scratch(c, "delta", 4 * (uint64_t)b.slots * b.heads);
    double pairs = pack(&b, spans, key_end), scale = 1 / sqrt(b.head_dim);
    struct op_attention_bwd op = {.dq = dqkv->addr,
                                  .dk = dqkv->addr + 4 * k_at,
                                  .dv = dqkv->addr + 4 * v_at,
                                  .dout = dout->addr,
                                  .o = o->addr,
                                  .lse = lse->addr,
                                  .q = qkv->addr,
                                  .k = qkv->addr + 4 * k_at,
                                  .v = qkv->addr + 4 * v_at,
                                  .spans = spans->addr,
                                  .key_end = key_end->addr,
                                  .delta = delta->addr,
                                  .rows = b.slots,
                                  .heads = b.heads,
                                  .kv_heads = b.kv_heads,
                                  .head_dim = b.head_dim,
                                  .q_stride = stride,
                                  .kv_stride = stride,
                                  .o_stride = cols,
                                  .scale = (float)scale,
                                  .live = n[5] ? check_word(c, "live", b.live)->addr : 0};
    if (c->judged) {
        forward_results(&b, o, lse, qkv, spans);
        ref_attention_bwd_f64(&(struct ref_attention_bwd_f64){
            dqkv->f64, dqkv->f64 + k_at, dqkv->f64 + v_at, dout->f64, qkv->f64, qkv->f64 + k_at,
            qkv->f64 + v_at, (const struct token_span *)spans->u32, b.live, b.heads, b.kv_heads,
            b.head_dim, stride, stride, cols, scale});
    }
    poison(&b, qkv, stride);
    poison(&b, dout, cols);
    poison(&b, o, cols);
    poison(&b, lse, b.heads);
    excuse(&b, dqkv, stride, 0, false);
    excuse(&b, dqkv, stride, (uint32_t)k_at, true);
    check_cost(c, 14 * pairs * cols, 4.0 * b.live * (2.0 * stride + 2.0 * cols));
    check_run(c, record_bwd, &(struct bwd_call){&op, m->units});
}

static void attention_bwd(struct check *c, const uint32_t *n)
{
    bwd_in(c, n, &(struct maths){OP_UNITS_FP32, false});
}

static void attention_bwd_fp16(struct check *c, const uint32_t *n)
{
    bwd_in(c, n, &(struct maths){OP_UNITS_FP16, true});
}

static void attention_bwd_fp16_rounding(struct check *c, const uint32_t *n)
{
    bwd_in(c, n, &(struct maths){OP_UNITS_FP16, false});
}

static void attention_bwd_bf16(struct check *c, const uint32_t *n)
{
    bwd_in(c, n, &(struct maths){OP_UNITS_BF16, true});
}

static void attention_bwd_bf16_rounding(struct check *c, const uint32_t *n)
{
    bwd_in(c, n, &(struct maths){OP_UNITS_BF16, false});
}

// ---- the table ----

#define PACKED "T H K D row live std poison"
#define SIZES(name, run)                                                                           \
    CHECK_CASE(name, run, PACKED, 1, 1, 1, 2), CHECK_CASE(name, run, PACKED, 31, 4, 1, 12),        \
        CHECK_CASE(name, run, PACKED, 33, 3, 1, 16, 9, 20),                                        \
        CHECK_CASE(name, run, PACKED, 257, 9, 3, 64, 60, 250),                                     \
        CHECK_CASE(name, run, PACKED, 300, 4, 2, 80, 133, 299),                                    \
        CHECK_CASE(name, run, PACKED, 129, 3, 1, 96, 50, 127),                                     \
        CHECK_CASE(name, run, PACKED, 257, 4, 4, 128, 100),                                        \
        CHECK_CASE(name, run, PACKED, 70, 2, 1, 128, 31, 65),                                      \
        CHECK_CASE(name, run, PACKED, 70, 2, 1, 256, 30),                                          \
        CHECK_CASE(name, run, PACKED, 1024, 2, 1, 64, 512, 0, 0, FIRST_ROW),                       \
        CHECK_CASE(name, run, PACKED, 1024, 2, 1, 64, 512, 0, 0, CHOSEN),                          \
        CHECK_TIMED(name, run, PACKED, 2048, 8, 8, 64, 256),                                       \
        CHECK_TIMED(name, run, PACKED, 2048, 9, 3, 64, 256),                                       \
        CHECK_TIMED(name, run, PACKED, 2048, 8, 8, 64),                                            \
        CHECK_TIMED(name, run, PACKED, 2048, 8, 8, 128, 256)

// One row of a thousand slots or more. Gradients of its first keys are sums over all queries and
// ten times the root mean square, so an error of their last places stands out against it.
#define LONG_ROWS(name, run)                                                                       \
    CHECK_CASE(name, run, PACKED, 1003, 3, 1, 64),                                                 \
        CHECK_CASE(name, run, PACKED, 1030, 1, 1, 128, 0, 1025),                                   \
        CHECK_CASE(name, run, PACKED, 3001, 1, 1, 12)

// Scores of several thousand: single precision holds them to a thousandth, so that is how well
// probabilities are known.
#define LARGE_SCORES(name, function, limit)                                                        \
    {                                                                                              \
        .op = (name), .run = (function), .letters = PACKED, .size = {130, 2, 1, 64, 65, 0, 40},    \
        .nmse = 1e-6, .worst = (limit)                                                             \
    }

// On matrix units. Half a last place of fp16 is 2^-11 of a number. Where the inputs are fp16
// numbers already, only probabilities and their gradients are rounded, each sum's terms by errors
// of their own: the mean square error is less than 2^-22 of the mean square. An element's error is
// at most 2^-11 of the sum of its terms' sizes, which for gradients of a row's first keys is many
// times the root mean square. Other inputs are rounded as well: q and k, whose error in a score of
// size 1 is another 2^-11 or so of a probability, and the other factor of each product. bf16 has
// three digits less.
#define HALF(name, function, type, mean, limit, ...)                                               \
    {                                                                                              \
        .op = (name), .run = (function), .letters = PACKED, .size = {__VA_ARGS__}, .nmse = (mean), \
        .worst = (limit), .dtype = #type                                                           \
    }
#define HALF_SIZES(name, run, type, mean, limit)                                                   \
    HALF(name, run##_##type, type, mean, limit, 1, 1, 1, 64),                                      \
        HALF(name, run##_##type, type, mean, limit, 130, 6, 2, 64, 60, 127),                       \
        HALF(name, run##_##type, type, mean, limit, 150, 4, 2, 80, 71, 149),                       \
        HALF(name, run##_##type, type, mean, limit, 129, 3, 1, 96, 50, 127),                       \
        HALF(name, run##_##type, type, mean, limit, 131, 2, 1, 128, 70),                           \
        HALF(name, run##_##type, type, mean, limit, 70, 2, 1, 256, 30),                            \
        HALF(name, run##_##type, type, mean, limit, 512, 2, 1, 64, 256, 0, 0, FIRST_ROW),          \
        HALF(name, run##_##type, type, mean, limit, 512, 2, 1, 64, 256, 0, 0, CHOSEN),             \
        HALF(name, run##_##type, type, mean, limit, 515, 3, 1, 64),                                \
        HALF(name, run##_##type##_rounding, type, 4 * (mean), 2 * (limit), 130, 6, 2, 64, 60, 127)

static const struct check_case cases[] = {
    SIZES("attention_fwd", attention_fwd),
    LONG_ROWS("attention_fwd", attention_fwd),
    LARGE_SCORES("attention_fwd", attention_fwd, 1e-3),
    CHECK_CASE("attention_fwd", attention_cache, "T U H K D", 3, 40, 4, 2, 12),
    CHECK_CASE("attention_fwd", attention_cache, "T U H K D", 7, 1030, 6, 2, 64),
    CHECK_CASE("attention_fwd", attention_cache, "T U H K D", 40, 333, 4, 1, 80),
    {.op = "attention_fwd", // the mean of four thousand values, which nearly cancel
     .run = attention_cache,
     .letters = "T U H K D",
     .size = {4, 8192, 2, 1, 64},
     .nmse = 4e-12},
    CHECK_TIMED("attention_fwd", attention_cache, "T U H K D", 8, 8192, 8, 2, 64),
    HALF_SIZES("attention_fwd", attention_fwd, fp16, 0x1p-22, 4e-3),
    HALF_SIZES("attention_fwd", attention_fwd, bf16, 0x1p-16, 4e-3 * 8),
    {.op = "attention_fwd",
     .run = attention_cache_rounding,
     .letters = "T U H K D",
     .size = {40, 333, 4, 1, 80},
     .nmse = 0x1p-20,
     .worst = 8e-3,
     .dtype = "fp16"},
    SIZES("attention_bwd", attention_bwd),
    LONG_ROWS("attention_bwd", attention_bwd),
    LARGE_SCORES("attention_bwd", attention_bwd, 1e-1),
    HALF_SIZES("attention_bwd", attention_bwd, fp16, 0x1p-22, 2e-2),
    HALF_SIZES("attention_bwd", attention_bwd, bf16, 0x1p-16, 2e-2 * 8),
};
const struct check_table check_attention = {cases, sizeof cases / sizeof *cases};
