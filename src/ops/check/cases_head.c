#include "ops/check/harness.h"
#include "ops/head.h"
#include "ops/linear.h"
#include "ops/ref.h"

#include "base/mem.h"

#include <math.h>

enum { S, C, V, CHUNK, LIVE, WITH };
#define LETTERS "S C V chunk live with"
// Bits of `with`. TIES: the weights of the second half of the vocabulary repeat those of the first.
// SHARP: distributions with almost all weight on one token. FROZEN: no dw. BARE: no entropy, no
// is_argmax and no collision.
enum { TIES = 1, SHARP = 2, FROZEN = 4, BARE = 8 };

struct head {
    struct check_array *x, *w, *targets, *logp, *lse, *entropy, *is_argmax, *collision, *scratch;
    struct check_array *dlogp, *dx, *dw; // backward
    struct op_head fwd;
    struct op_head_bwd bwd;
    uint32_t rows; // in use
};

static void record_fwd(struct vk_seq *s, void *ctx)
{
    const struct head *h = ctx;
    if (h->scratch)
        op_linear_use(s, &(struct op_linear_setup){.scratch = h->scratch->addr,
                                                   .scratch_bytes = h->scratch->count * 4});
    op_head_fwd(s, &h->fwd);
}

// Backward takes lse, and where one chunk holds everything the logits, from forward.
static void record_bwd(struct vk_seq *s, void *ctx)
{
    const struct head *h = ctx;
    record_fwd(s, ctx);
    op_head_bwd(s, &h->bwd);
}

// The first largest logit of a row.
static uint32_t first_largest(const struct head *h, const uint32_t *n, uint32_t row)
{
    uint32_t best = 0;
    double largest = -HUGE_VAL;
    for (uint32_t v = 0; v < n[V]; v++) {
        double z = 0;
        for (uint32_t c = 0; c < n[C]; c++)
            z += h->x->f64[(uint64_t)row * n[C] + c] * h->w->f64[(uint64_t)v * n[C] + c];
        if (z > largest) {
            largest = z;
            best = v;
        }
    }
    return best;
}

// Every other target is the likeliest token or, with ties, the token that equals it.
static void choose_targets(struct check *c, struct head *h, const uint32_t *n)
{
    for (uint32_t row = 0; c->judged && row < h->rows; row += 2)
        h->targets->u32[row] = first_largest(h, n, row);
    for (uint32_t row = 0; (n[WITH] & TIES) && row < h->rows; row += 4)
        h->targets->u32[row] = (h->targets->u32[row] + n[V] / 2) % n[V];
}

static struct check_array *per_row(struct check *c, const char *name, const uint32_t *n, bool there)
{
    return there ? check_output(c, name, n[S]) : NULL;
}

static vk_addr addr_of(const struct check_array *a)
{
    return a ? a->addr : 0;
}

static void forward(struct check *c, const uint32_t *n, struct head *h)
{
    uint64_t half = (uint64_t)n[V] / 2 * n[C];
    double std = (n[WITH] & SHARP ? 16 : 2) / sqrt(n[C]);
    h->rows = n[LIVE] ? n[LIVE] : n[S];
    h->x = check_normal(c, "x", (uint64_t)n[S] * n[C], 1);
    h->w = check_weights(c, "w", (uint64_t)n[V] * n[C], std);
    for (uint64_t i = 0; (n[WITH] & TIES) && i < half; i++) {
        h->w->f32[half + i] = h->w->f32[i];
        h->w->f64[half + i] = h->w->f64[i];
    }
    for (uint64_t i = (uint64_t)h->rows * n[C]; i < h->x->count; i++)
        h->x->f32[i] = NAN;
    h->targets = check_indices(c, "targets", n[S], n[V]);
    choose_targets(c, h, n);
    h->logp = per_row(c, "logp", n, true);
    h->lse = per_row(c, "lse", n, true);
    h->entropy = per_row(c, "entropy", n, !(n[WITH] & BARE));
    h->is_argmax = per_row(c, "is_argmax", n, !(n[WITH] & BARE));
    h->collision = per_row(c, "collision", n, !(n[WITH] & BARE));
    struct op_linear_shape shape = {n[CHUNK], n[C], n[V]};
    uint64_t bytes = op_linear_scratch_bytes(c->device, &shape, 1);
    h->scratch = bytes ? check_scratch(c, "scratch", bytes) : NULL;
    h->fwd = (struct op_head){.x = h->x->addr,
                              .w = h->w->addr,
                              .targets = h->targets->addr,
                              .logp = h->logp->addr,
                              .lse = h->lse->addr,
                              .entropy = addr_of(h->entropy),
                              .is_argmax = addr_of(h->is_argmax),
                              .collision = addr_of(h->collision),
                              .logits = check_scratch(c, "logits", 4ull * n[CHUNK] * n[V])->addr,
                              .rows = n[S],
                              .cols = n[C],
                              .vocab = n[V],
                              .chunk_rows = n[CHUNK],
                              .live = n[LIVE] ? check_word(c, "live", n[LIVE])->addr : 0,
                              .w_type = c->w_type};
    if (c->judged)
        ref_head_fwd_f64(
            &(struct ref_head_f64){.logp = h->logp->f64,
                                   .lse = h->lse->f64,
                                   .entropy = h->entropy ? h->entropy->f64 : NULL,
                                   .is_argmax = h->is_argmax ? h->is_argmax->f64 : NULL,
                                   .collision = h->collision ? h->collision->f64 : NULL,
                                   .x = h->x->f64,
                                   .w = h->w->f64,
                                   .targets = h->targets->u32,
                                   .rows = h->rows,
                                   .cols = n[C],
                                   .vocab = n[V]});
}

static void head_fwd(struct check *c, const uint32_t *n)
{
    struct head h = {0};
    forward(c, n, &h);
    double products = 2.0 * h.rows * n[C] * n[V];
    check_cost(c, products, 4.0 * n[C] * ((double)h.rows + n[V]));
    check_run(c, record_fwd, &h);
}

static void backward(struct check *c, const uint32_t *n, struct head *h, bool dw)
{
    h->dlogp = check_normal(c, "dlogp", n[S], 1);
    for (uint64_t i = h->rows; i < n[S]; i++)
        h->dlogp->f32[i] = NAN;
    h->dx = check_output(c, "dx", (uint64_t)n[S] * n[C]);
    h->dw = dw ? check_gradient(c, "dw", (uint64_t)n[V] * n[C], 1) : NULL;
    h->bwd = (struct op_head_bwd){.dx = h->dx->addr,
                                  .dw = addr_of(h->dw),
                                  .dlogp = h->dlogp->addr,
                                  .x = h->fwd.x,
                                  .w = h->fwd.w,
                                  .targets = h->fwd.targets,
                                  .lse = h->fwd.lse,
                                  .logits = h->fwd.logits,
                                  .rows = n[S],
                                  .cols = n[C],
                                  .vocab = n[V],
                                  .chunk_rows = n[CHUNK],
                                  .live = h->fwd.live,
                                  .w_type = c->w_type,
                                  .dw_type = c->dw_type};
    if (c->judged)
        ref_head_bwd_f64(&(struct ref_head_bwd_f64){.dx = h->dx->f64,
                                                    .dw = h->dw ? h->dw->f64 : NULL,
                                                    .dlogp = h->dlogp->f64,
                                                    .x = h->x->f64,
                                                    .w = h->w->f64,
                                                    .targets = h->targets->u32,
                                                    .rows = h->rows,
                                                    .cols = n[C],
                                                    .vocab = n[V]});
}

static void head_bwd(struct check *c, const uint32_t *n)
{
    struct head h = {0};
    forward(c, n, &h);
    backward(c, n, &h, !(n[WITH] & FROZEN));
    int products = 1 + (n[CHUNK] < n[S]) + 1 + !(n[WITH] & FROZEN);
    check_cost(c, 2.0 * products * h.rows * n[C] * n[V], 8.0 * n[C] * ((double)h.rows + n[V]));
    check_run(c, record_bwd, &h);
}

// The slopes of forward, made in place what backward leaves.
static void head_frozen(struct check *c, const uint32_t *n)
{
    struct head h = {0};
    forward(c, n, &h);
    backward(c, n, &h, false);
    h.fwd.slopes = h.bwd.slopes = h.bwd.dx;
    h.bwd.lse = h.bwd.logits = 0;
    check_cost(c, 4.0 * h.rows * n[C] * n[V], 4.0 * n[C] * (4.0 * h.rows + n[V]));
    check_run(c, record_bwd, &h);
}

// S, C, V, rows of a chunk, live, with. Errors of the logits, not of this op, limit SHARP.
// clang-format off
#define CASE(op, ...) CASE_AS(op, NULL, __VA_ARGS__)
#define CASE_AS(op, dtype, s, c, v, chunk, live, with)                                             \
    {#op, op, LETTERS, {s, c, v, chunk, live, with},                                               \
     (with) & SHARP ? 1e-10 : 0, (with) & SHARP ? 1e-4 : 0, false, dtype}
// With bf16 gradients the sum of several chunks is rounded at each.
#define BF16(op, dtype)                                                                            \
    CASE_AS(op, dtype, 1, 64, 257, 1, 0, 0), CASE_AS(op, dtype, 40, 64, 512, 40, 33, 0)
#define TIMED(op, s, c, v, chunk)                                                                  \
    {#op, op, LETTERS, {s, c, v, chunk, 0, 0}, 0, 0, true, NULL}
#define SIZES(op)                                                                                  \
    CASE(op, 1, 1, 1, 1, 0, 0), CASE(op, 1, 64, 257, 1, 0, 0), CASE(op, 31, 33, 257, 31, 0, 0),     \
    CASE(op, 33, 31, 1000, 10, 0, 0), CASE(op, 257, 64, 31, 100, 201, 0),                          \
    CASE(op, 64, 48, 4096, 32, 20, 0), CASE(op, 40, 64, 512, 40, 33, TIES),                        \
    CASE(op, 32, 64, 300, 16, 0, SHARP), CASE(op, 20, 32, 100, 7, 0, BARE),                        \
    CASE(op, 48, 64, 515, 32, 47, FROZEN)

static const struct check_case cases[] = {
    SIZES(head_fwd),
    BF16(head_fwd, CHECK_BF16), CASE_AS(head_fwd, CHECK_BF16, 33, 31, 1000, 10, 0, 0),
    CASE(head_fwd, 16, 32, 32000, 16, 0, 0),
    TIMED(head_fwd, 512, 256, 4096, 512), TIMED(head_fwd, 512, 512, 32000, 512),
    SIZES(head_bwd),
    BF16(head_bwd, CHECK_BF16), CASE_AS(head_bwd, CHECK_BF16, 33, 31, 1000, 10, 0, 0),
    BF16(head_bwd, CHECK_BF16_GRADS),
    CASE(head_bwd, 16, 32, 32000, 8, 0, 0),
    TIMED(head_bwd, 512, 256, 4096, 512), TIMED(head_bwd, 512, 512, 32000, 512),
    TIMED(head_bwd, 512, 512, 32000, 256),
};
const struct check_table check_head = {cases, sizeof cases / sizeof *cases};

// Behind all others, whose inputs their number in the table decides.
static const struct check_case frozen[] = {
    SIZES(head_frozen),
    BF16(head_frozen, CHECK_BF16), CASE_AS(head_frozen, CHECK_BF16, 33, 31, 1000, 10, 0, 0),
    CASE(head_frozen, 16, 32, 32000, 8, 0, 0),
    TIMED(head_frozen, 512, 256, 4096, 512), TIMED(head_frozen, 512, 512, 32000, 256),
};
const struct check_table check_head_frozen = {frozen, sizeof frozen / sizeof *frozen};
