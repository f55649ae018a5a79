// The part of rows.h that moves data: gather, scatter, add, fill, copy.
#include "ops/check/harness.h"
#include "ops/ref.h"
#include "ops/rows.h"

#include <math.h>
#include <string.h>

// Sizes: rows, columns, rows in use (0: all), rows of the other side, gap between its rows.
static uint32_t rows_in_use(const uint32_t *n)
{
    return n[2] ? n[2] : n[0];
}

static vk_addr live_count(struct check *c, const uint32_t *n)
{
    return n[2] ? check_word(c, "live", n[2])->addr : 0;
}

CHECK_RECORD(op_gather_rows, op_gather)
static void gather_rows(struct check *c, const uint32_t *n)
{
    uint32_t x_stride = n[1] + n[4];
    struct check_array *x = check_normal(c, "x", (uint64_t)n[3] * x_stride, 1);
    struct check_array *index = check_indices(c, "index", n[0], n[3]);
    struct check_array *y = check_output(c, "y", (uint64_t)n[0] * n[1]);
    struct op_gather op = {.y = y->addr,
                           .x = x->addr,
                           .index = index->addr,
                           .rows = n[0],
                           .cols = n[1],
                           .x_rows = n[3],
                           .x_stride = x_stride,
                           .live = live_count(c, n)};
    if (c->judged)
        ref_gather_rows_f64(&(struct ref_gather_f64){.y = y->f64,
                                                     .x = x->f64,
                                                     .index = index->u32,
                                                     .rows = rows_in_use(n),
                                                     .cols = n[1],
                                                     .x_stride = x_stride});
    check_cost(c, 0, 8.0 * n[0] * n[1]);
    check_run(c, record_op_gather_rows, &op);
}

CHECK_RECORD(op_scatter_rows, op_gather)
static void scatter_rows(struct check *c, const uint32_t *n)
{
    uint32_t y_stride = n[1] + n[4];
    struct check_array *x = check_normal(c, "x", (uint64_t)n[0] * n[1], 1);
    struct check_array *index = check_words(c, "index", n[0]);
    struct check_array *y = check_output(c, "y", (uint64_t)n[3] * y_stride);
    rng_permutation(&c->rng, index->u32, n[0]); // distinct, as the op wants them
    struct op_gather op = {.y = y->addr,
                           .x = x->addr,
                           .index = index->addr,
                           .rows = n[0],
                           .cols = n[1],
                           .x_rows = n[3],
                           .y_stride = y_stride,
                           .live = live_count(c, n)};
    if (c->judged)
        ref_scatter_rows_f64(&(struct ref_gather_f64){.y = y->f64,
                                                      .x = x->f64,
                                                      .index = index->u32,
                                                      .rows = rows_in_use(n),
                                                      .cols = n[1],
                                                      .y_stride = y_stride});
    check_cost(c, 0, 8.0 * n[0] * n[1]);
    check_run(c, record_op_scatter_rows, &op);
}

CHECK_RECORD(op_gather_rows_bwd, op_gather_bwd)
// Rows are those of dx here, and the other side's are scored positions.
static void gather_rows_bwd(struct check *c, const uint32_t *n)
{
    uint32_t used = rows_in_use(n), listed = 0;
    struct check_array *dy = check_normal(c, "dy", (uint64_t)n[3] * n[1], 1);
    struct check_array *slot = check_indices(c, "slots", n[3], used);
    struct check_array *first = check_words(c, "first", (uint64_t)n[0] + 1);
    struct check_array *list = check_words(c, "list", n[3]);
    struct check_array *dx = check_output(c, "dx", (uint64_t)n[0] * n[1]);
    for (uint32_t t = 0; t < n[0]; t++) {
        first->u32[t] = listed;
        for (uint32_t j = 0; j < n[3]; j++)
            if (slot->u32[j] == t) list->u32[listed++] = j;
    }
    first->u32[n[0]] = listed;
    struct op_gather_bwd op = {.dx = dx->addr,
                               .dy = dy->addr,
                               .first = first->addr,
                               .list = list->addr,
                               .rows = n[0],
                               .cols = n[1],
                               .dy_rows = n[3],
                               .live = live_count(c, n)};
    if (c->judged)
        ref_gather_rows_bwd_f64(
            dx->f64, used,
            &(struct ref_gather_f64){.x = dy->f64, .index = slot->u32, .rows = n[3], .cols = n[1]});
    check_cost(c, (double)n[3] * n[1], 4.0 * ((double)n[0] + n[3]) * n[1]);
    check_run(c, record_op_gather_rows_bwd, &op);
}

// ---- whole arrays ----

struct move {
    vk_addr y, a, b;
    uint64_t count;
};

static void record_add(struct vk_seq *s, void *ctx)
{
    const struct move *m = ctx;
    op_add(s, m->y, m->a, m->b, m->count);
}

// Second size: floats by which the arrays are out of step with 16-byte vectors.
static void add(struct check *c, const uint32_t *n)
{
    uint64_t count = n[0], skip = n[1];
    struct check_array *a = check_normal(c, "a", count + skip, 1);
    struct check_array *b = check_normal(c, "b", count + skip, 1);
    struct check_array *y = check_output(c, "y", count + skip);
    struct move m = {y->addr + 4 * skip, a->addr + 4 * skip, b->addr + 4 * skip, count};
    if (c->judged) ref_add_f64(y->f64 + skip, a->f64 + skip, b->f64 + skip, count);
    check_cost(c, (double)count, 12.0 * (double)count);
    check_run(c, record_add, &m);
}

static void add_in_place(struct check *c, const uint32_t *n)
{
    struct check_array *a = check_updated(c, "a", n[0], 1);
    struct check_array *b = check_normal(c, "b", n[0], 1);
    struct move m = {a->addr, a->addr, b->addr, n[0]};
    if (c->judged) ref_add_f64(a->f64, a->f64, b->f64, n[0]);
    check_cost(c, n[0], 12.0 * n[0]);
    check_run(c, record_add, &m);
}

#define FILL_WORD 0x3f9d70a4u // 1.23

static void record_fill(struct vk_seq *s, void *ctx)
{
    const struct move *m = ctx;
    op_fill(s, m->y, FILL_WORD, m->count);
}

static void fill(struct check *c, const uint32_t *n)
{
    uint64_t count = n[0], skip = n[1];
    struct check_array *y = check_output(c, "y", count + skip);
    struct move m = {.y = y->addr + 4 * skip, .count = count};
    uint32_t word = FILL_WORD;
    float value;
    memcpy(&value, &word, 4);
    for (uint64_t i = skip; i < count + skip; i++)
        y->f64[i] = (double)value;
    check_cost(c, 0, 4.0 * (double)count);
    check_run(c, record_fill, &m);
}

static void record_copy(struct vk_seq *s, void *ctx)
{
    const struct move *m = ctx;
    op_copy(s, m->y, m->a, m->count);
}

// Every bit pattern must arrive: words, not floats.
static void copied(struct check *c, const uint32_t *n, vk_record_fn record)
{
    uint64_t count = n[0], skip = n[1];
    struct check_array *x = check_words(c, "x", count + skip);
    struct check_array *y = check_scratch(c, "y", 4 * (count + skip));
    struct move m = {.y = y->addr + 4 * skip, .a = x->addr + 4 * skip, .count = count};
    for (uint64_t i = 0; i < count + skip; i++)
        x->u32[i] = (uint32_t)(i * 2654435761u); // NaNs and denormals among them
    check_cost(c, 0, 8.0 * (double)count);
    check_run(c, record, &m);
    if (c->device_failed) return;
    if (memcmp(y->got + 4 * skip, x->u32 + skip, 4 * count) != 0)
        check_fail(c, "the copy differs from the original");
    if (memcmp(y->got, y->u32, 4 * skip) != 0) check_fail(c, "y: wrote before its place");
}

static void copy(struct check *c, const uint32_t *n)
{
    copied(c, n, record_copy);
}

// The plain copy of the device: the rate that the reference update is measured by.
static void record_device_copy(struct vk_seq *s, void *ctx)
{
    const struct move *m = ctx;
    vk_copy(s, m->y, m->a, m->count * 4);
}

static void device_copy(struct check *c, const uint32_t *n)
{
    copied(c, n, record_device_copy);
}

// ---- the table ----

#define SIZES(name, run)                                                                           \
    CHECK_CASE(name, run, "T C live U gap", 1, 1, 0, 1, 0),                                        \
        CHECK_CASE(name, run, "T C live U gap", 31, 33, 0, 257, 3),                                \
        CHECK_CASE(name, run, "T C live U gap", 257, 31, 33, 300, 0),                              \
        CHECK_CASE(name, run, "T C live U gap", 33, 257, 20, 40, 1),                               \
        CHECK_CASE(name, run, "T C live U gap", 256, 576, 200, 512, 192),                          \
        CHECK_CASE(name, run, "T C live U gap", 3, 2050, 2, 5, 0),                                 \
        CHECK_TIMED(name, run, "T C live U gap", 4096, 2048, 0, 4096, 0)

#define COUNTS(name, run)                                                                          \
    CHECK_CASE(name, run, "N skip", 1, 0), CHECK_CASE(name, run, "N skip", 31, 1),                 \
        CHECK_CASE(name, run, "N skip", 4096, 0), CHECK_CASE(name, run, "N skip", 4097, 2),        \
        CHECK_CASE(name, run, "N skip", 100003, 0), CHECK_CASE(name, run, "N skip", 100003, 3),    \
        CHECK_TIMED(name, run, "N skip", 32 << 20, 0)

static const struct check_case cases[] = {
    SIZES("gather_rows", gather_rows),
    SIZES("scatter_rows", scatter_rows),
    SIZES("gather_rows_bwd", gather_rows_bwd),
    COUNTS("add", add),
    CHECK_CASE("add", add_in_place, "N", 10007),
    COUNTS("fill", fill),
    COUNTS("copy", copy),
    CHECK_CASE("device_copy", device_copy, "N skip", 4097, 2),
    CHECK_TIMED("device_copy", device_copy, "N skip", 32 << 20, 0),
};
const struct check_table check_move = {cases, sizeof cases / sizeof *cases};
