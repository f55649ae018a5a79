#include "ops/head.h"

#include "base/error.h"
#include "ops/kernels.h"
#include "ops/matmul.h"

#define GPU_LANES 256

// What both directions know of a chunk of rows.
struct chunk {
    uint32_t first, rows;
    vk_addr x; // of its first row
};

static struct chunk chunk_at(uint32_t first, uint32_t rows, uint32_t chunk_rows, vk_addr x,
                             uint32_t cols)
{
    return (struct chunk){.first = first,
                          .rows = rows - first < chunk_rows ? rows - first : chunk_rows,
                          .x = x + sizeof(float) * (uint64_t)first * cols};
}

// Element `index` of an array of 32-bit words that may be absent.
static vk_addr element(vk_addr array, uint32_t index)
{
    return array ? array + sizeof(float) * (uint64_t)index : 0;
}

static bool words_ok(struct vk_seq *s, vk_addr addr, uint32_t count)
{
    return vk_range_ok(vk_seq_device(s), addr, sizeof(float) * (uint64_t)count);
}

static struct vk_launch row_groups(struct vk_seq *s, uint32_t rows)
{
    const struct vk_caps *caps = vk_device_caps(vk_seq_device(s));
    struct vk_launch launch = groups(rows);
    if (caps->kind != VK_KIND_CPU)
        launch.local = caps->max_workgroup_invocations < GPU_LANES ? caps->max_workgroup_invocations
                                                                   : GPU_LANES;
    return launch;
}

static void logits(struct vk_seq *s, const struct chunk *c, vk_addr z, vk_addr w,
                   enum op_type w_type, uint32_t cols, uint32_t vocab, vk_addr live)
{
    matmul_record(s, &(struct matmul){.y = z,
                                      .a = c->x,
                                      .b = w,
                                      .live = live,
                                      .live_from = c->first,
                                      .rows = c->rows,
                                      .cols = vocab,
                                      .depth = cols,
                                      .a_by_depth = true,
                                      .b_by_depth = true,
                                      .b_type = w_type});
}

uint32_t op_head_chunk_rows(uint32_t rows, uint32_t vocab, uint64_t bytes)
{
    uint64_t fit = bytes / (sizeof(float) * (uint64_t)(vocab ? vocab : 1));
    if (fit > rows) fit = rows;
    return fit ? (uint32_t)fit : 1;
}

static bool matrix_ok(struct vk_seq *s, vk_addr addr, uint32_t rows, uint32_t cols)
{
    return vk_range_ok(vk_seq_device(s), addr, sizeof(float) * (uint64_t)rows * cols);
}

// The chunk's logits become dz, or with no dlogp the slopes by the logits.
static void logit_gradient(struct vk_seq *s, const struct op_head_bwd *p, const struct chunk *c)
{
    vk_cost(s, 25.0 * c->rows * p->vocab, 8.0 * c->rows * p->vocab);
    DISPATCH(s, head_bwd, row_groups(s, c->rows), .logits = p->logits,
             .targets = element(p->targets, c->first), .dlogp = element(p->dlogp, c->first),
             .lse = element(p->lse, c->first), .live = p->live, .rows = c->rows, .vocab = p->vocab,
             .live_from = c->first);
}

// dx = dz w and dw += dz^T x for the chunk whose dz stands in `logits`.
static void products(struct vk_seq *s, const struct op_head_bwd *p, const struct chunk *c)
{
    matmul_record(s, &(struct matmul){.y = p->dx + sizeof(float) * (uint64_t)c->first * p->cols,
                                      .a = p->logits,
                                      .b = p->w,
                                      .live = p->live,
                                      .live_from = c->first,
                                      .rows = c->rows,
                                      .cols = p->cols,
                                      .depth = p->vocab,
                                      .a_by_depth = true,
                                      .b_type = p->w_type});
    if (!p->dw) return;
    matmul_record(s, &(struct matmul){.y = p->dw,
                                      .a = p->logits,
                                      .b = c->x,
                                      .add = p->dw,
                                      .live = p->live,
                                      .live_from = c->first,
                                      .live_depth = true,
                                      .rows = p->vocab,
                                      .cols = p->cols,
                                      .depth = c->rows,
                                      .y_type = p->dw_type});
}

// While the chunk's logits are there: by them, and then by x.
static void slopes(struct vk_seq *s, const struct op_head *p, const struct chunk *c)
{
    const struct op_head_bwd bwd = {.dx = p->slopes,
                                    .w = p->w,
                                    .targets = p->targets,
                                    .lse = p->lse,
                                    .logits = p->logits,
                                    .cols = p->cols,
                                    .vocab = p->vocab,
                                    .live = p->live,
                                    .w_type = p->w_type};
    logit_gradient(s, &bwd, c);
    products(s, &bwd, c);
}

void op_head_fwd(struct vk_seq *s, const struct op_head *p)
{
    if (p->rows == 0) return;
    CHECK(p->chunk_rows > 0 && p->vocab > 0);
    CHECK(words_ok(s, p->targets, p->rows) && words_ok(s, p->logp, p->rows) &&
          words_ok(s, p->lse, p->rows));
    CHECK(!p->entropy || words_ok(s, p->entropy, p->rows));
    CHECK(!p->is_argmax || words_ok(s, p->is_argmax, p->rows));
    CHECK(!p->collision || words_ok(s, p->collision, p->rows));
    CHECK(!p->slopes || matrix_ok(s, p->slopes, p->rows, p->cols));
    for (uint32_t first = 0; first < p->rows; first += p->chunk_rows) {
        struct chunk c = chunk_at(first, p->rows, p->chunk_rows, p->x, p->cols);
        logits(s, &c, p->logits, p->w, p->w_type, p->cols, p->vocab, p->live);
        vk_cost(s, 30.0 * c.rows * p->vocab, 8.0 * c.rows * p->vocab);
        DISPATCH(s, head_fwd, row_groups(s, c.rows), .logits = p->logits,
                 .targets = element(p->targets, first), .logp = element(p->logp, first),
                 .lse = element(p->lse, first), .entropy = element(p->entropy, first),
                 .is_argmax = element(p->is_argmax, first),
                 .collision = element(p->collision, first), .live = p->live, .rows = c.rows,
                 .vocab = p->vocab, .live_from = first);
        if (p->slopes) slopes(s, p, &c);
    }
}

static void scale_slopes(struct vk_seq *s, const struct op_head_bwd *p)
{
    CHECK(!p->dw);
    CHECK(words_ok(s, p->dlogp, p->rows) && matrix_ok(s, p->dx, p->rows, p->cols) &&
          matrix_ok(s, p->slopes, p->rows, p->cols));
    vk_cost(s, (double)p->rows * p->cols, 8.0 * p->rows * p->cols);
    DISPATCH(s, head_scale, row_groups(s, p->rows), .dx = p->dx, .slopes = p->slopes,
             .dlogp = p->dlogp, .live = p->live, .rows = p->rows, .cols = p->cols);
}

void op_head_bwd(struct vk_seq *s, const struct op_head_bwd *p)
{
    if (p->rows == 0) return;
    if (p->slopes) {
        scale_slopes(s, p);
        return;
    }
    CHECK(p->chunk_rows > 0 && p->vocab > 0);
    CHECK(words_ok(s, p->targets, p->rows) && words_ok(s, p->dlogp, p->rows) &&
          words_ok(s, p->lse, p->rows));
    for (uint32_t first = 0; first < p->rows; first += p->chunk_rows) {
        struct chunk c = chunk_at(first, p->rows, p->chunk_rows, p->x, p->cols);
        if (p->rows > p->chunk_rows)
            logits(s, &c, p->logits, p->w, p->w_type, p->cols, p->vocab, p->live);
        logit_gradient(s, p, &c);
        products(s, p, &c);
    }
}
