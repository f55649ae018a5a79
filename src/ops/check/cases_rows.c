#include "ops/check/harness.h"
#include "ops/ref.h"
#include "ops/rows.h"

#include "base/mem.h"

#include <math.h>

// Rows in use of a case: its third size, where 0 means all of them and no `live` count.
static uint32_t rows_in_use(const uint32_t *n)
{
    return n[2] ? n[2] : n[0];
}

static vk_addr live_count(struct check *c, const uint32_t *n)
{
    return n[2] ? check_word(c, "live", n[2])->addr : 0;
}

// What lies beyond the rows in use must not be read: NaN from element `from`.
static void poison(struct check_array *a, uint64_t from)
{
    for (uint64_t i = from; i < a->count; i++)
        a->f32[i] = NAN;
}

// Elements from `from` are not the op's to write.
static void untouched(struct check_array *a, uint64_t from)
{
    for (uint64_t i = from; i < a->count; i++)
        a->f64[i] = (double)NAN;
}

static struct check_array *normal_rows(struct check *c, const char *name, const uint32_t *n,
                                       uint32_t cols, double std)
{
    struct check_array *a = check_normal(c, name, (uint64_t)n[0] * cols, std);
    poison(a, (uint64_t)rows_in_use(n) * cols);
    return a;
}

// ---- embedding ----

#define VOCAB 101u

CHECK_RECORD(op_embed_fwd, op_embed)
static void embed_fwd(struct check *c, const uint32_t *n)
{
    uint64_t count = (uint64_t)n[0] * n[1];
    struct check_array *weight = check_weights(c, "weight", (uint64_t)VOCAB * n[1], 1);
    struct check_array *ids = check_indices(c, "ids", n[0], VOCAB);
    struct check_array *x = check_output(c, "x", count);
    struct op_embed op = {.x = x->addr,
                          .weight = weight->addr,
                          .ids = ids->addr,
                          .rows = n[0],
                          .cols = n[1],
                          .vocab = VOCAB,
                          .live = live_count(c, n),
                          .w_type = c->w_type};
    if (c->judged)
        ref_embed_fwd_f64(
            &(struct ref_embed_f64){x->f64, weight->f64, ids->u32, rows_in_use(n), n[1]});
    check_cost(c, 0, 8.0 * (double)count);
    check_run(c, record_op_embed_fwd, &op);
}

// Distinct ids in ascending order, with the slots of each; returns how many.
static uint32_t sort_ids(const uint32_t *ids, uint32_t rows, struct check_array *unique,
                         struct check_array *first, struct check_array *slots)
{
    uint32_t distinct = 0, placed = 0;
    for (uint32_t id = 0; id < VOCAB; id++) {
        uint32_t begin = placed;
        for (uint32_t t = 0; t < rows; t++)
            if (ids[t] == id) slots->u32[placed++] = t;
        if (placed == begin) continue;
        unique->u32[distinct] = id;
        first->u32[distinct++] = begin;
    }
    first->u32[distinct] = placed;
    return distinct;
}

CHECK_RECORD(op_embed_bwd, op_embed_bwd)
static void embed_bwd(struct check *c, const uint32_t *n)
{
    uint64_t count = (uint64_t)n[0] * n[1];
    uint32_t *ids = MEM_ARRAY(uint32_t, n[0]);
    bool *used = MEM_ARRAY(bool, VOCAB);
    struct check_array *dweight = check_gradient(c, "dweight", (uint64_t)VOCAB * n[1], 1);
    struct check_array *dx = normal_rows(c, "dx", n, n[1], 1);
    struct check_array *unique = check_words(c, "unique_ids", n[0]);
    struct check_array *first = check_words(c, "unique_first", (uint64_t)n[0] + 1);
    struct check_array *slots = check_words(c, "unique_slots", n[0]);
    for (uint32_t t = 0; t < n[0]; t++) // one id in every three rows, as a real text has it
        ids[t] = t % 3 == 0 ? VOCAB - 1 : (uint32_t)rng_below(&c->rng, VOCAB);
    for (uint32_t t = 0; t < rows_in_use(n); t++)
        used[ids[t]] = true;
    uint32_t distinct = sort_ids(ids, rows_in_use(n), unique, first, slots);
    struct op_embed_bwd op = {.dweight = dweight->addr,
                              .dx = dx->addr,
                              .unique_ids = unique->addr,
                              .unique_first = first->addr,
                              .unique_slots = slots->addr,
                              .unique = n[0],
                              .cols = n[1],
                              .vocab = VOCAB,
                              .live = check_word(c, "live", distinct)->addr,
                              .dw_type = c->dw_type};
    if (c->judged) {
        ref_embed_bwd_f64(dweight->f64, dx->f64, ids, rows_in_use(n), n[1]);
        for (uint32_t id = 0; id < VOCAB; id++)
            for (uint32_t i = 0; !used[id] && i < n[1]; i++)
                dweight->f64[(uint64_t)id * n[1] + i] = (double)NAN;
    }
    check_cost(c, (double)count, 12.0 * (double)count);
    check_run(c, record_op_embed_bwd, &op);
    mem_free(ids);
    mem_free(used);
}

// ---- RMSNorm ----

#define EPS 1e-5f

CHECK_RECORD(op_rmsnorm_fwd, op_rmsnorm)
static void rmsnorm(struct check *c, const uint32_t *n, bool keeps_rstd)
{
    uint64_t count = (uint64_t)n[0] * n[1];
    struct check_array *x = normal_rows(c, "x", n, n[1], 3);
    struct check_array *w = check_weights(c, "w", n[1], 1);
    struct check_array *y = check_output(c, "y", count);
    struct check_array *rstd = check_output(c, "rstd", n[0]);
    struct op_rmsnorm op = {.y = y->addr,
                            .rstd = keeps_rstd ? rstd->addr : 0,
                            .x = x->addr,
                            .w = w->addr,
                            .rows = n[0],
                            .cols = n[1],
                            .eps = EPS,
                            .live = live_count(c, n),
                            .w_type = c->w_type};
    if (c->judged)
        ref_rmsnorm_fwd_f64(&(struct ref_rmsnorm_f64){.y = y->f64,
                                                      .rstd = keeps_rstd ? rstd->f64 : NULL,
                                                      .x = x->f64,
                                                      .w = w->f64,
                                                      .rows = rows_in_use(n),
                                                      .cols = n[1],
                                                      .eps = (double)EPS});
    check_cost(c, 4.0 * (double)count, 8.0 * (double)count);
    check_run(c, record_op_rmsnorm_fwd, &op);
}

static void rmsnorm_fwd(struct check *c, const uint32_t *n)
{
    rmsnorm(c, n, true);
}

static void rmsnorm_again(struct check *c, const uint32_t *n)
{
    rmsnorm(c, n, false);
}

// rstd as the forward pass keeps it: rounded to float.
static struct check_array *kept_rstd(struct check *c, const uint32_t *n,
                                     const struct check_array *x)
{
    struct check_array *rstd = check_floats(c, "rstd", n[0]);
    for (uint32_t t = 0; t < n[0]; t++) {
        double sum = 0;
        for (uint32_t i = 0; i < n[1]; i++)
            sum += x->f64[(uint64_t)t * n[1] + i] * x->f64[(uint64_t)t * n[1] + i];
        rstd->f32[t] = (float)(1 / sqrt(sum / n[1] + (double)EPS));
        rstd->f64[t] = (double)rstd->f32[t];
    }
    poison(rstd, rows_in_use(n));
    return rstd;
}

enum norm_add { ADD_NOTHING, ADD_OTHER, ADD_ITSELF };

CHECK_RECORD(op_rmsnorm_bwd, op_rmsnorm_bwd)
static void rmsnorm_backward(struct check *c, const uint32_t *n, enum norm_add adds, bool frozen)
{
    uint64_t count = (uint64_t)n[0] * n[1], used = (uint64_t)rows_in_use(n) * n[1];
    struct check_array *x = normal_rows(c, "x", n, n[1], 3);
    struct check_array *dy = normal_rows(c, "dy", n, n[1], 1);
    struct check_array *w = check_weights(c, "w", n[1], 1);
    struct check_array *rstd = kept_rstd(c, n, x);
    struct check_array *add = adds == ADD_OTHER ? normal_rows(c, "add", n, n[1], 1) : NULL;
    struct check_array *dx =
        adds == ADD_ITSELF ? check_updated(c, "dx", count, 1) : check_output(c, "dx", count);
    struct check_array *dw = frozen ? NULL : check_gradient(c, "dw", n[1], 1);
    if (adds == ADD_ITSELF) {
        add = dx;
        untouched(dx, used);
    }
    struct op_rmsnorm_bwd op = {
        .dx = dx->addr,
        .dw = dw ? dw->addr : 0,
        .dy = dy->addr,
        .x = x->addr,
        .w = w->addr,
        .rstd = rstd->addr,
        .add = add ? add->addr : 0,
        .partial = dw ? check_scratch(c, "partial", op_rmsnorm_partial_bytes(n[0], n[1]))->addr : 0,
        .rows = n[0],
        .cols = n[1],
        .live = live_count(c, n),
        .w_type = c->w_type,
        .dw_type = c->dw_type};
    if (c->judged)
        ref_rmsnorm_bwd_f64(&(struct ref_rmsnorm_bwd_f64){.dx = dx->f64,
                                                          .dw = dw ? dw->f64 : NULL,
                                                          .dy = dy->f64,
                                                          .x = x->f64,
                                                          .w = w->f64,
                                                          .rstd = rstd->f64,
                                                          .add = add ? add->f64 : NULL,
                                                          .rows = rows_in_use(n),
                                                          .cols = n[1]});
    check_cost(c, 12.0 * (double)count, 24.0 * (double)count);
    check_run(c, record_op_rmsnorm_bwd, &op);
}

static void rmsnorm_bwd(struct check *c, const uint32_t *n)
{
    rmsnorm_backward(c, n, ADD_NOTHING, false);
}

static void rmsnorm_bwd_add(struct check *c, const uint32_t *n)
{
    rmsnorm_backward(c, n, ADD_OTHER, false);
}

static void rmsnorm_bwd_in_place(struct check *c, const uint32_t *n)
{
    rmsnorm_backward(c, n, ADD_ITSELF, false);
}

static void rmsnorm_bwd_frozen(struct check *c, const uint32_t *n)
{
    rmsnorm_backward(c, n, ADD_ITSELF, true);
}

// ---- rotary positions ----

#define POSITIONS 300u

CHECK_RECORD(op_rope, op_rope)
// Sizes: rows, heads, rows in use, head size, floats between heads and the next row.
static void rotary(struct check *c, const uint32_t *n, bool inverse)
{
    uint32_t cols = n[1] * n[3], stride = cols + n[4], half = n[3] / 2;
    uint64_t count = (uint64_t)n[0] * stride;
    struct check_array *x = check_updated(c, "x", count, 1);
    struct check_array *positions = check_indices(c, "positions", n[0], POSITIONS);
    struct check_array *table = check_floats(c, "table", (uint64_t)POSITIONS * n[3]);
    for (uint64_t i = 0; i < (uint64_t)POSITIONS * half; i++) {
        double angle = (double)(i / half) * pow(10000, -(double)(i % half) / half);
        table->f32[2 * i] = (float)cos(angle);
        table->f32[2 * i + 1] = (float)sin(angle);
    }
    for (uint64_t i = 0; i < table->count; i++)
        table->f64[i] = (double)table->f32[i];
    struct op_rope op = {.x = x->addr,
                         .positions = positions->addr,
                         .table = table->addr,
                         .rows = n[0],
                         .heads = n[1],
                         .head_dim = n[3],
                         .stride = stride,
                         .table_rows = POSITIONS,
                         .inverse = inverse,
                         .live = live_count(c, n)};
    if (c->judged) {
        ref_rope_f64(&(struct ref_rope_f64){.x = x->f64,
                                            .positions = positions->u32,
                                            .table = table->f64,
                                            .rows = rows_in_use(n),
                                            .heads = n[1],
                                            .head_dim = n[3],
                                            .stride = stride,
                                            .inverse = inverse});
        untouched(x, (uint64_t)rows_in_use(n) * stride);
        for (uint64_t i = 0; i < count; i++)
            if (i % stride >= cols) x->f64[i] = (double)NAN;
    }
    check_cost(c, 3.0 * n[0] * cols, 8.0 * n[0] * cols);
    check_run(c, record_op_rope, &op);
}

static void rope(struct check *c, const uint32_t *n)
{
    rotary(c, n, false);
}

static void rope_inverse(struct check *c, const uint32_t *n)
{
    rotary(c, n, true);
}

// ---- SwiGLU ----

// Gates far out, where exp() leaves the range of floats.
static void stretch_gates(struct check_array *gate_up)
{
    const float far[] = {-1000, -88.8f, -80, -30, 20};
    for (uint64_t i = 0; i < 5 && 17 * i + 5 < gate_up->count; i++)
        if (!isnan(gate_up->f32[17 * i + 5]))
            gate_up->f64[17 * i + 5] = gate_up->f32[17 * i + 5] = far[i];
}

CHECK_RECORD(op_swiglu_fwd, op_swiglu)
static void swiglu_fwd(struct check *c, const uint32_t *n)
{
    uint64_t count = (uint64_t)n[0] * n[1];
    struct check_array *gate_up = normal_rows(c, "gate_up", n, 2 * n[1], 2);
    struct check_array *h = check_output(c, "h", count);
    stretch_gates(gate_up);
    struct op_swiglu op = {h->addr, gate_up->addr, n[0], n[1], live_count(c, n)};
    if (c->judged) ref_swiglu_fwd_f64(h->f64, gate_up->f64, rows_in_use(n), n[1]);
    check_cost(c, 12.0 * (double)count, 12.0 * (double)count);
    check_run(c, record_op_swiglu_fwd, &op);
}

CHECK_RECORD(op_swiglu_bwd, op_swiglu_bwd)
// In place, as the model does it, with h made again.
static void swiglu_bwd_in_place(struct check *c, const uint32_t *n)
{
    uint64_t count = (uint64_t)n[0] * n[1];
    struct check_array *dh = normal_rows(c, "dh", n, n[1], 1);
    struct check_array *gate_up = check_updated(c, "gate_up", 2 * count, 2);
    struct check_array *h = check_output(c, "h", count);
    stretch_gates(gate_up);
    struct op_swiglu_bwd op = {gate_up->addr, h->addr, dh->addr,        gate_up->addr,
                               n[0],          n[1],    live_count(c, n)};
    if (c->judged) {
        ref_swiglu_bwd_f64(&(struct ref_swiglu_bwd_f64){gate_up->f64, h->f64, dh->f64, gate_up->f64,
                                                        rows_in_use(n), n[1]});
        untouched(gate_up, (uint64_t)rows_in_use(n) * 2 * n[1]);
    }
    check_cost(c, 18.0 * (double)count, 24.0 * (double)count);
    check_run(c, record_op_swiglu_bwd, &op);
}

static void swiglu_bwd(struct check *c, const uint32_t *n)
{
    uint64_t count = (uint64_t)n[0] * n[1];
    struct check_array *dh = normal_rows(c, "dh", n, n[1], 1);
    struct check_array *gate_up = normal_rows(c, "gate_up", n, 2 * n[1], 2);
    struct check_array *dgate_up = check_output(c, "dgate_up", 2 * count);
    stretch_gates(gate_up);
    struct op_swiglu_bwd op = {.dgate_up = dgate_up->addr,
                               .dh = dh->addr,
                               .gate_up = gate_up->addr,
                               .rows = n[0],
                               .cols = n[1],
                               .live = live_count(c, n)};
    if (c->judged)
        ref_swiglu_bwd_f64(&(struct ref_swiglu_bwd_f64){dgate_up->f64, NULL, dh->f64, gate_up->f64,
                                                        rows_in_use(n), n[1]});
    check_cost(c, 16.0 * (double)count, 20.0 * (double)count);
    check_run(c, record_op_swiglu_bwd, &op);
}

// ---- the table ----

// One row a size; the last two as models have them.
#define SIZES(name, run)                                                                           \
    CHECK_CASE(name, run, "T C live", 1, 1, 0), CHECK_CASE(name, run, "T C live", 31, 33, 0),      \
        CHECK_CASE(name, run, "T C live", 33, 31, 17),                                             \
        CHECK_CASE(name, run, "T C live", 257, 257, 1),                                            \
        CHECK_CASE(name, run, "T C live", 5, 1056, 4),                                             \
        CHECK_CASE(name, run, "T C live", 300, 576, 280),                                          \
        CHECK_TIMED(name, run, "T C live", 4096, 2048, 0)

#define BF16(name, run, type)                                                                      \
    CHECK_CASE_AS(type, name, run, "T C live", 1, 64, 0),                                          \
        CHECK_CASE_AS(type, name, run, "T C live", 33, 31, 17),                                    \
        CHECK_CASE_AS(type, name, run, "T C live", 257, 257, 201),                                 \
        CHECK_CASE_AS(type, name, run, "T C live", 300, 1056, 280)

#define ROPE_SIZES(name, run)                                                                      \
    CHECK_CASE(name, run, "T heads live D gap", 1, 1, 0, 2, 0),                                    \
        CHECK_CASE(name, run, "T heads live D gap", 31, 3, 0, 6, 5),                               \
        CHECK_CASE(name, run, "T heads live D gap", 33, 1, 20, 258, 1),                            \
        CHECK_CASE(name, run, "T heads live D gap", 257, 12, 200, 64, 192),                        \
        CHECK_CASE(name, run, "T heads live D gap", 20, 40, 0, 128, 1024),                         \
        CHECK_TIMED(name, run, "T heads live D gap", 4096, 24, 0, 64, 512)

static const struct check_case cases[] = {
    SIZES("embed_fwd", embed_fwd),
    SIZES("embed_bwd", embed_bwd),
    SIZES("rmsnorm_fwd", rmsnorm_fwd),
    BF16("embed_fwd", embed_fwd, CHECK_BF16),
    BF16("embed_bwd", embed_bwd, CHECK_BF16_GRADS),
    BF16("rmsnorm_fwd", rmsnorm_fwd, CHECK_BF16),
    BF16("rmsnorm_bwd", rmsnorm_bwd, CHECK_BF16),
    BF16("rmsnorm_bwd", rmsnorm_bwd_add, CHECK_BF16_GRADS),
    CHECK_CASE("rmsnorm_fwd", rmsnorm_again, "T C live", 33, 257, 30),
    SIZES("rmsnorm_bwd", rmsnorm_bwd_in_place),
    CHECK_CASE("rmsnorm_bwd", rmsnorm_bwd, "T C live", 33, 257, 30),
    CHECK_CASE("rmsnorm_bwd", rmsnorm_bwd_add, "T C live", 33, 257, 30),
    CHECK_CASE("rmsnorm_bwd", rmsnorm_bwd_frozen, "T C live", 33, 257, 30),
    CHECK_CASE("rmsnorm_bwd", rmsnorm_bwd, "T C live", 1025, 64, 0),
    CHECK_CASE("rmsnorm_bwd", rmsnorm_bwd, "T C live", 2051, 129, 1030),
    ROPE_SIZES("rope", rope),
    ROPE_SIZES("rope_inverse", rope_inverse),
    SIZES("swiglu_fwd", swiglu_fwd),
    SIZES("swiglu_bwd", swiglu_bwd_in_place),
    CHECK_CASE("swiglu_bwd", swiglu_bwd, "T C live", 33, 257, 30),
};
const struct check_table check_rows = {cases, sizeof cases / sizeof *cases};
