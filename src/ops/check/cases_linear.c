#include "ops/check/harness.h"
#include "ops/linear.h"
#include "ops/matmul.h"
#include "ops/ref.h"
#include "ops/rows.h"

#include "base/dtype.h"

#include <math.h>

// Sizes of a case. live 0: no count. tier 0: the op itself with all the scratch it asks for; else
// an enum vk_tier with `scratch` KiB, so that every kernel runs on every device. That of matrix
// units is reached by the op: 4 is fp16's, 8 bf16's; with matrices of free sizes 16 and 32.
enum { M, N, K, LIVE, TIER, WITH, SCRATCH };
enum { TIER_FP16 = 4, TIER_BF16 = 8, TIER_FREE_FP16 = 16, TIER_FREE_BF16 = 32 };
#define LETTERS "M N K live tier with scratch"
// Bits of `with`; an orientation takes those it knows. BIAS is dbias in bwd_weight; TWO_PASSES are
// a product and an activation, to be timed beside the product that ends in one.
enum { BIAS = 1, ADD = 2, IN_PLACE = 4, TWO_PASSES = 8 };

static uint32_t rows_in_use(const uint32_t *n)
{
    return n[LIVE] ? n[LIVE] : n[M];
}

static vk_addr live_count(struct check *c, const uint32_t *n)
{
    return n[LIVE] ? check_word(c, "live", n[LIVE])->addr : 0;
}

// Rows beyond those in use must not be read (NaN, in f32 only), nor written (NaN in f64).
static struct check_array *input_rows(struct check *c, const char *name, const uint32_t *n,
                                      uint32_t cols)
{
    struct check_array *a = check_normal(c, name, (uint64_t)n[M] * cols, 1);
    for (uint64_t i = (uint64_t)rows_in_use(n) * cols; i < a->count; i++)
        a->f32[i] = NAN;
    return a;
}

static struct check_array *output_rows(struct check *c, const char *name, const uint32_t *n,
                                       uint32_t cols)
{
    if (!(n[WITH] & IN_PLACE)) return check_output(c, name, (uint64_t)n[M] * cols);
    struct check_array *a = check_updated(c, name, (uint64_t)n[M] * cols, 1);
    for (uint64_t i = (uint64_t)rows_in_use(n) * cols; i < a->count; i++)
        a->f64[i] = (double)NAN;
    return a;
}

// What is added: nothing, an array, or the output's own values.
static struct check_array *added(struct check *c, const uint32_t *n, struct check_array *out,
                                 uint32_t cols)
{
    if (n[WITH] & IN_PLACE) return out;
    return n[WITH] & ADD ? input_rows(c, "add", n, cols) : NULL;
}

struct recorded {
    struct matmul product;
    uint32_t tier;
    struct check_array *scratch;
    const struct op_linear *fwd;
    const struct op_linear_bwd_input *bwd_input;
    const struct op_linear_bwd_weight *bwd_weight;
    const struct op_linear_swiglu *swiglu;
    const struct op_swiglu *then; // of two passes
};

static enum op_units units_of(uint32_t tier)
{
    return tier == TIER_FP16 || tier == TIER_FREE_FP16   ? OP_UNITS_FP16
           : tier == TIER_BF16 || tier == TIER_FREE_BF16 ? OP_UNITS_BF16
                                                         : OP_UNITS_FP32;
}

// False if the device has no kernels for the case.
static bool can_compute(struct check *c, const uint32_t *n)
{
    return check_has_units(c, units_of(n[TIER]), n[TIER] >= TIER_FREE_FP16);
}

// What a factor is to matrix units. Sums are of their products, so wanted values are as near as
// ever.
static void round_factor(const struct check *c, const uint32_t *n, struct check_array *a)
{
    enum op_units units = units_of(n[TIER]);
    for (uint64_t i = 0; units != OP_UNITS_FP32 && c->judged && i < a->count; i++)
        a->f64[i] = (double)(units == OP_UNITS_FP16 ? dtype_from_f16(dtype_to_f16(a->f32[i]))
                                                    : dtype_from_bf16(dtype_to_bf16(a->f32[i])));
}

static void record(struct vk_seq *s, void *ctx)
{
    const struct recorded *r = ctx;
    struct op_linear_setup setup = {.units = units_of(r->tier)};
    if (r->scratch) setup.scratch = r->scratch->addr;
    if (r->scratch) setup.scratch_bytes = r->scratch->count * 4;
    op_linear_use(s, &setup);
    bool free_sizes = r->tier >= TIER_FREE_FP16;
    bool tier_given = free_sizes || (r->tier && setup.units == OP_UNITS_FP32);
    enum vk_tier tier = free_sizes ? VK_TIER_COOPMAT2 : (enum vk_tier)r->tier;
    if (r->swiglu && tier_given)
        linear_swiglu_tier(s, r->swiglu, tier);
    else if (r->swiglu)
        op_linear_swiglu_fwd(s, r->swiglu);
    else if (tier_given)
        matmul_record_tier(s, &r->product, tier);
    else if (r->fwd)
        op_linear_fwd(s, r->fwd);
    else if (r->bwd_input)
        op_linear_bwd_input(s, r->bwd_input);
    else
        op_linear_bwd_weight(s, r->bwd_weight);
    if (r->then) op_swiglu_fwd(s, r->then);
}

static void run(struct check *c, const uint32_t *n, struct recorded *r)
{
    struct op_linear_shape shape = {n[M], n[K], n[N]};
    uint64_t bytes =
        n[TIER] ? 1024 * (uint64_t)n[SCRATCH] : op_linear_scratch_bytes(c->device, &shape, 1);
    r->tier = n[TIER];
    r->scratch = bytes ? check_scratch(c, "scratch", bytes) : NULL;
    double rows = rows_in_use(n), out = n[N], in = n[K];
    check_cost(c, 2 * rows * out * in, 4 * (rows * out + rows * in + out * in));
    check_run(c, record, r);
}

static double *f64_of(struct check_array *a)
{
    return a ? a->f64 : NULL;
}

static vk_addr addr_of(const struct check_array *a)
{
    return a ? a->addr : 0;
}

static void linear_fwd(struct check *c, const uint32_t *n)
{
    if (!can_compute(c, n)) return;
    struct check_array *x = input_rows(c, "x", n, n[K]);
    struct check_array *w = check_weights(c, "w", (uint64_t)n[N] * n[K], 1 / sqrt(n[K]));
    round_factor(c, n, x);
    round_factor(c, n, w);
    struct check_array *bias = n[WITH] & BIAS ? check_weights(c, "bias", n[N], 1) : NULL;
    struct check_array *y = output_rows(c, "y", n, n[N]);
    struct check_array *add = added(c, n, y, n[N]);
    struct op_linear op = {.y = y->addr,
                           .x = x->addr,
                           .w = w->addr,
                           .bias = addr_of(bias),
                           .add = addr_of(add),
                           .rows = n[M],
                           .in = n[K],
                           .out = n[N],
                           .live = live_count(c, n),
                           .w_type = c->w_type};
    if (c->judged)
        ref_linear_fwd_f64(&(struct ref_linear_f64){.y = y->f64,
                                                    .x = x->f64,
                                                    .w = w->f64,
                                                    .bias = f64_of(bias),
                                                    .add = f64_of(add),
                                                    .rows = rows_in_use(n),
                                                    .in = n[K],
                                                    .out = n[N]});
    run(c, n, &(struct recorded){.product = matmul_of_fwd(&op), .fwd = &op});
}

static void linear_bwd_input(struct check *c, const uint32_t *n)
{
    if (!can_compute(c, n)) return;
    struct check_array *dy = input_rows(c, "dy", n, n[N]);
    struct check_array *w = check_weights(c, "w", (uint64_t)n[N] * n[K], 1 / sqrt(n[N]));
    round_factor(c, n, dy);
    round_factor(c, n, w);
    struct check_array *dx = output_rows(c, "dx", n, n[K]);
    struct check_array *add = added(c, n, dx, n[K]);
    struct op_linear_bwd_input op = {.dx = dx->addr,
                                     .dy = dy->addr,
                                     .w = w->addr,
                                     .add = addr_of(add),
                                     .rows = n[M],
                                     .in = n[K],
                                     .out = n[N],
                                     .live = live_count(c, n),
                                     .w_type = c->w_type};
    if (c->judged)
        ref_linear_bwd_input_f64(&(struct ref_linear_bwd_input_f64){.dx = dx->f64,
                                                                    .dy = dy->f64,
                                                                    .w = w->f64,
                                                                    .add = f64_of(add),
                                                                    .rows = rows_in_use(n),
                                                                    .in = n[K],
                                                                    .out = n[N]});
    run(c, n, &(struct recorded){.product = matmul_of_bwd_input(&op), .bwd_input = &op});
}

static void linear_bwd_weight(struct check *c, const uint32_t *n)
{
    if (!can_compute(c, n)) return;
    struct check_array *dy = input_rows(c, "dy", n, n[N]);
    struct check_array *x = input_rows(c, "x", n, n[K]);
    round_factor(c, n, dy);
    round_factor(c, n, x);
    struct check_array *dw = check_gradient(c, "dw", (uint64_t)n[N] * n[K], 1);
    // Of the op alone: a product has none.
    bool with_bias = n[WITH] & BIAS && !n[TIER];
    struct check_array *dbias = with_bias ? check_gradient(c, "dbias", n[N], 1) : NULL;
    struct op_linear_bwd_weight op = {.dw = dw->addr,
                                      .dbias = addr_of(dbias),
                                      .dy = dy->addr,
                                      .x = x->addr,
                                      .rows = n[M],
                                      .in = n[K],
                                      .out = n[N],
                                      .live = live_count(c, n),
                                      .dw_type = c->dw_type};
    if (c->judged)
        ref_linear_bwd_weight_f64(&(struct ref_linear_bwd_weight_f64){.dw = dw->f64,
                                                                      .dbias = f64_of(dbias),
                                                                      .dy = dy->f64,
                                                                      .x = x->f64,
                                                                      .rows = rows_in_use(n),
                                                                      .in = n[K],
                                                                      .out = n[N]});
    run(c, n, &(struct recorded){.product = matmul_of_bwd_weight(&op), .bwd_weight = &op});
}

// N is that of h, and half that of the product.
static void linear_swiglu(struct check *c, const uint32_t *n)
{
    if (!can_compute(c, n)) return;
    uint32_t out[CHECK_SIZES] = {n[M], 2 * n[N], n[K], n[LIVE], n[TIER], n[WITH], n[SCRATCH]};
    struct check_array *x = input_rows(c, "x", n, n[K]);
    struct check_array *w = check_weights(c, "w", (uint64_t)out[N] * n[K], 1 / sqrt(n[K]));
    round_factor(c, n, x);
    round_factor(c, n, w);
    struct check_array *bias = n[WITH] & BIAS ? check_weights(c, "bias", out[N], 1) : NULL;
    struct check_array *y = output_rows(c, "gate_up", n, out[N]), *h = output_rows(c, "h", n, n[N]);
    struct op_linear product = {.y = y->addr,
                                .x = x->addr,
                                .w = w->addr,
                                .bias = addr_of(bias),
                                .rows = n[M],
                                .in = n[K],
                                .out = out[N],
                                .live = live_count(c, n),
                                .w_type = c->w_type};
    struct op_linear_swiglu op = {.h = h->addr,
                                  .gate_up = y->addr,
                                  .x = x->addr,
                                  .w = w->addr,
                                  .bias = product.bias,
                                  .rows = n[M],
                                  .in = n[K],
                                  .ffn = n[N],
                                  .live = product.live,
                                  .w_type = c->w_type};
    struct op_swiglu then = {h->addr, y->addr, n[M], n[N], product.live};
    if (c->judged) {
        ref_linear_fwd_f64(&(struct ref_linear_f64){.y = y->f64,
                                                    .x = x->f64,
                                                    .w = w->f64,
                                                    .bias = f64_of(bias),
                                                    .rows = rows_in_use(n),
                                                    .in = n[K],
                                                    .out = out[N]});
        ref_swiglu_fwd_f64(h->f64, y->f64, rows_in_use(n), n[N]);
    }
    struct recorded r = {.swiglu = &op};
    if (n[WITH] & TWO_PASSES)
        r = (struct recorded){.product = matmul_of_fwd(&product), .fwd = &product, .then = &then};
    run(c, out, &r);
}

// Sizes that every orientation and tier is put through: M, N, K, live, tier, with, scratch.
// clang-format off
#define SIZES(op)                                                                                  \
    SIZES_AS(op, NULL), TIERS(op, NULL, 1), TIERS(op, NULL, 2), ALL_UNITS(op, NULL)
#define SIZES_AS(op, dtype)                                                                        \
    CASE_AS(op, dtype, 1, 1, 1, 0, 0, 0, 0), CASE_AS(op, dtype, 31, 33, 257, 0, 0, 0, 0),          \
    CASE_AS(op, dtype, 33, 257, 31, 17, 0, BIAS, 0),                                               \
    CASE_AS(op, dtype, 257, 31, 33, 200, 0, ADD, 0),                                               \
    CASE_AS(op, dtype, 257, 257, 257, 0, 0, IN_PLACE, 0),                                          \
    CASE_AS(op, dtype, 128, 192, 64, 100, 0, ADD | BIAS, 0),                                       \
    CASE_AS(op, dtype, 512, 768, 256, 500, 0, 0, 0)
#define TIERS(op, dtype, tier)                                                                     \
    CASE_AS(op, dtype, 1, 1, 1, 0, tier, 0, 0), CASE_AS(op, dtype, 1, 257, 64, 0, tier, 0, 0),     \
    CASE_AS(op, dtype, 31, 33, 1, 0, tier, IN_PLACE, 0),                                           \
    CASE_AS(op, dtype, 33, 31, 257, 0, tier, ADD | BIAS, 64),                                      \
    CASE_AS(op, dtype, 257, 33, 31, 256, tier, 0, 1024),                                           \
    CASE_AS(op, dtype, 65, 96, 128, 0, tier, IN_PLACE, 1024),                                      \
    CASE_AS(op, dtype, 64, 64, 64, 64, tier, ADD, 0),                                              \
    CASE_AS(op, dtype, 130, 200, 72, 129, tier, BIAS, 0),                                          \
    CASE_AS(op, dtype, 192, 160, 256, 100, tier, ADD, 256),                                        \
    CASE_AS(op, dtype, 40, 48, 1100, 33, tier, 0, 1024),                                           \
    CASE_AS(op, dtype, 40, 1100, 48, 33, tier, BIAS, 1024),                                        \
    CASE_AS(op, dtype, 1100, 40, 48, 700, tier, 0, 1024)
// Matrix units: also a large tile with edges, a long depth in slices, and real sizes.
#define UNITS(op, dtype, tier)                                                                     \
    TIERS(op, dtype, tier), CASE_AS(op, dtype, 1, 33, 257, 0, tier, BIAS, 0),                      \
    CASE_AS(op, dtype, 257, 1, 31, 0, tier, BIAS, 0),                                              \
    CASE_AS(op, dtype, 31, 257, 33, 30, tier, BIAS, 0),                                            \
    CASE_AS(op, dtype, 2040, 1530, 40, 2001, tier, BIAS | ADD, 0),                                 \
    CASE_AS(op, dtype, 512, 768, 256, 500, tier, IN_PLACE, 8192),                                  \
    CASE_AS(op, dtype, 48, 40, 4200, 39, tier, BIAS | ADD, 1024),                                  \
    CASE_AS(op, dtype, 4200, 40, 48, 4100, tier, ADD, 1024),                                       \
    TIMED_AS(op, dtype, 1024, 1024, 1024, tier), TIMED_AS(op, dtype, 512, 4096, 256, tier),        \
    TIMED_AS(op, dtype, 4096, 4096, 4096, tier), TIMED_AS(op, dtype, 1024, 2048, 8192, tier)
#define ALL_UNITS(op, dtype)                                                                       \
    UNITS(op, dtype, 4), UNITS(op, dtype, 8), UNITS(op, dtype, 16), UNITS(op, dtype, 32)
#define BF16(op, dtype)                                                                            \
    SIZES_AS(op, dtype), TIERS(op, dtype, 1), TIERS(op, dtype, 2), ALL_UNITS(op, dtype),           \
    CASE_AS(op, dtype, 4, 40, 258, 0, 0, BIAS, 0), CASE_AS(op, dtype, 8, 512, 255, 7, 0, ADD, 0)
#define CASE(op, ...) CASE_AS(op, NULL, __VA_ARGS__)
#define CASE_AS(op, dtype, m, n, k, live, tier, with, scratch)                                     \
    {#op, op, LETTERS, {m, n, k, live, tier, with, scratch}, 0, 0, false, dtype}
#define TIMED(op, m, n, k) TIMED_AS(op, NULL, m, n, k, 0)
#define TIMED_AS(op, dtype, m, n, k, tier)                                                         \
    {#op, op, LETTERS, {m, n, k, 0, tier, 0, tier ? 65536 : 0}, 0, 0, true, dtype}
// Tiles of every size, with edges; depths that are cut or in slices or both, with the last part whole
// and not; timed beside two passes.
#define SWIGLU(dtype, tier)                                                                        \
    CASE_AS(linear_swiglu, dtype, 1, 1, 1, 0, tier, 0, 0),                                         \
    CASE_AS(linear_swiglu, dtype, 1, 257, 64, 0, tier, BIAS, 0),                                   \
    CASE_AS(linear_swiglu, dtype, 31, 33, 31, 30, tier, 0, 0),                                     \
    CASE_AS(linear_swiglu, dtype, 33, 31, 257, 0, tier, BIAS, 64),                                 \
    CASE_AS(linear_swiglu, dtype, 70, 65, 100, 66, tier, BIAS, 64),                                \
    CASE_AS(linear_swiglu, dtype, 130, 72, 96, 129, tier, 0, 0),                                   \
    CASE_AS(linear_swiglu, dtype, 192, 256, 80, 100, tier, BIAS, 256),                             \
    CASE_AS(linear_swiglu, dtype, 40, 48, 1100, 33, tier, BIAS, 1024),                             \
    CASE_AS(linear_swiglu, dtype, 40, 20, 2048, 39, tier, BIAS, 1024),                             \
    CASE_AS(linear_swiglu, dtype, 33, 33, 2100, 0, tier, BIAS, 0),                                 \
    CASE_AS(linear_swiglu, dtype, 1700, 836, 24, 1600, tier, 0, 0),                                \
    CASE_AS(linear_swiglu, dtype, 1665, 833, 9, 0, tier, BIAS, 0)
#define SWIGLU_TIMED(m, n, k, tier)                                                                \
    {"linear_swiglu", linear_swiglu, LETTERS, {m, n, k, 0, tier, 0, 65536}, 0, 0, true, NULL},     \
    {"linear_swiglu", linear_swiglu, LETTERS, {m, n, k, 0, tier, TWO_PASSES, 65536}, 0, 0, true, NULL}
#define REAL_SIZES(op)                                                                             \
    TIMED(op, 1024, 1024, 1024), TIMED(op, 512, 768, 256), TIMED(op, 1024, 2048, 512),             \
    TIMED(op, 2048, 6144, 2048), TIMED(op, 512, 4096, 256), TIMED(op, 256, 32000, 512)

static const struct check_case cases[] = {
    SIZES(linear_fwd),
    // Depths that are cut.
    CASE(linear_fwd, 40, 40, 4200, 39, 0, BIAS | ADD, 0), CASE(linear_fwd, 40, 40, 4202, 39, 2, BIAS, 64),
    CASE(linear_fwd, 4, 40, 4202, 0, 0, BIAS | IN_PLACE, 0), CASE(linear_fwd, 4, 40, 4201, 0, 0, BIAS, 0),
    CASE(linear_fwd, 8, 512, 256, 7, 0, BIAS | ADD, 0), CASE(linear_fwd, 2, 33, 34, 0, 0, 0, 0),
    CASE(linear_fwd, 5, 259, 70, 0, 1, IN_PLACE, 0), CASE(linear_fwd, 3, 17, 31, 0, 0, ADD, 0),
    BF16(linear_fwd, CHECK_BF16), BF16(linear_bwd_input, CHECK_BF16),
    // With bf16 gradients a depth that is cut is rounded at each cut.
    BF16(linear_bwd_weight, CHECK_BF16_GRADS),
    REAL_SIZES(linear_fwd), TIMED(linear_fwd, 1, 768, 256), TIMED(linear_fwd, 8, 4096, 256),
    SIZES(linear_bwd_input),
    CASE(linear_bwd_input, 40, 4200, 40, 39, 0, ADD, 0),
    CASE(linear_bwd_input, 8, 32000, 32, 7, 1, ADD, 0), CASE(linear_bwd_input, 8, 32000, 32, 7, 2, 0, 64),
    REAL_SIZES(linear_bwd_input),
    SIZES(linear_bwd_weight),
    CASE(linear_bwd_weight, 4200, 40, 40, 2048, 0, BIAS, 0),
    CASE(linear_bwd_weight, 4200, 40, 40, 4100, 0, BIAS, 0),
    CASE(linear_bwd_weight, 4200, 36, 40, 2100, 1, 0, 0),
    CASE(linear_bwd_weight, 4200, 36, 40, 4100, 2, 0, 1024),
    REAL_SIZES(linear_bwd_weight),
    SWIGLU(NULL, 0), SWIGLU(NULL, 1), SWIGLU(NULL, 2), SWIGLU(NULL, 4), SWIGLU(NULL, 8), SWIGLU(NULL, 16),
    SWIGLU(CHECK_BF16, 0), SWIGLU(CHECK_BF16, 2), SWIGLU(CHECK_BF16, 4), SWIGLU(CHECK_BF16, 8),
    CASE(linear_swiglu, 4, 20, 34, 0, 0, TWO_PASSES, 0), CASE(linear_swiglu, 70, 65, 100, 66, 2, TWO_PASSES, 0),
    SWIGLU_TIMED(512, 256, 128, 2), SWIGLU_TIMED(512, 1408, 512, 2), SWIGLU_TIMED(2048, 1408, 512, 2),
    SWIGLU_TIMED(2048, 1408, 512, 4), SWIGLU_TIMED(2048, 2816, 1024, 4), SWIGLU_TIMED(2048, 2816, 1024, 8),
};
const struct check_table check_linear = {cases, sizeof cases / sizeof *cases};
