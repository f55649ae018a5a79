#include "ops/rows.h"

#include "ops/extent.h"
#include "ops/variants.h"

static uint64_t floats(uint32_t rows, uint32_t cols)
{
    return (uint64_t)rows * cols;
}

static uint32_t quotient_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}

// The grid of rows.glsl.
static struct vk_launch row_parts(uint32_t rows, uint32_t cols)
{
    return groups((uint64_t)rows * quotient_up(cols, ROW_COLS_PER_GROUP));
}

void op_embed_fwd(struct vk_seq *s, const struct op_embed *p)
{
    uint64_t count = floats(p->rows, p->cols);
    CHECK(p->rows && p->cols && p->vocab);
    CHECK_WORDS(s, p->x, count);
    CHECK_ELEMENTS(s, p->weight, floats(p->vocab, p->cols), p->w_type);
    CHECK_WORDS(s, p->ids, p->rows);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, 0, (4.0 + op_type_bytes(p->w_type)) * (double)count);
    DISPATCH_ID(s, VARIANT_BY_WEIGHTS(s, embed_fwd, p->w_type), embed_fwd,
                row_parts(p->rows, p->cols), .x = p->x, .weight = p->weight, .ids = p->ids,
                .live = p->live, .rows = p->rows, .cols = p->cols);
}

void op_embed_bwd(struct vk_seq *s, const struct op_embed_bwd *p)
{
    uint64_t count = floats(p->unique, p->cols);
    CHECK(p->unique && p->cols && p->vocab);
    CHECK_ELEMENTS(s, p->dweight, floats(p->vocab, p->cols), p->dw_type);
    CHECK_WORDS(s, p->dx, count);
    CHECK_WORDS(s, p->unique_ids, p->unique);
    CHECK_WORDS(s, p->unique_first, (uint64_t)p->unique + 1);
    CHECK_WORDS(s, p->unique_slots, p->unique);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, (double)count, 12.0 * (double)count);
    DISPATCH_ID(s, KERNEL_BY_GRADS(embed_bwd, p->dw_type), embed_bwd, row_parts(p->unique, p->cols),
                .dweight = p->dweight, .dx = p->dx, .unique_ids = p->unique_ids,
                .unique_first = p->unique_first, .unique_slots = p->unique_slots, .live = p->live,
                .unique = p->unique, .cols = p->cols);
}

void op_rmsnorm_fwd(struct vk_seq *s, const struct op_rmsnorm *p)
{
    uint64_t count = floats(p->rows, p->cols);
    CHECK(p->rows && p->cols);
    CHECK_WORDS(s, p->y, count);
    CHECK_WORDS(s, p->x, count);
    CHECK_ELEMENTS(s, p->w, p->cols, p->w_type);
    CHECK_OPTIONAL_WORDS(s, p->rstd, p->rows);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, 4.0 * (double)count, 8.0 * (double)count);
    DISPATCH_ID(s, VARIANT_BY_WEIGHTS(s, rmsnorm_fwd, p->w_type), rmsnorm_fwd, groups(p->rows),
                .y = p->y, .rstd = p->rstd, .x = p->x, .w = p->w, .live = p->live, .rows = p->rows,
                .cols = p->cols, .eps = p->eps);
}

// Rows of one partial sum of dw: few enough sums for the scratch, enough rows to be worth one.
static uint32_t partial_rows(uint32_t rows)
{
    uint32_t share = quotient_up(rows, RMSNORM_PARTIALS);
    return share > RMSNORM_PARTIAL_ROWS ? share : RMSNORM_PARTIAL_ROWS;
}

uint64_t op_rmsnorm_partial_bytes(uint32_t rows, uint32_t cols)
{
    // Never less for more rows, so that scratch for the most rows does for fewer.
    uint32_t partials = quotient_up(rows, RMSNORM_PARTIAL_ROWS);
    return floats(partials < RMSNORM_PARTIALS ? partials : RMSNORM_PARTIALS, cols) * 4;
}

static void rmsnorm_bwd_dw(struct vk_seq *s, const struct op_rmsnorm_bwd *p)
{
    uint64_t count = floats(p->rows, p->cols);
    uint32_t group_rows = partial_rows(p->rows), partials = quotient_up(p->rows, group_rows);
    uint32_t blocks = quotient_up(p->cols, RMSNORM_COLS_PER_GROUP);
    vk_cost(s, 3.0 * (double)count, 8.0 * (double)count);
    DISPATCH_VARIANT(s, rmsnorm_bwd_dw, groups2(blocks, partials), .partial = p->partial,
                     .dy = p->dy, .x = p->x, .rstd = p->rstd, .live = p->live, .rows = p->rows,
                     .cols = p->cols, .group_rows = group_rows);
}

void op_rmsnorm_bwd(struct vk_seq *s, const struct op_rmsnorm_bwd *p)
{
    uint64_t count = floats(p->rows, p->cols);
    CHECK(p->rows && p->cols);
    CHECK_WORDS(s, p->dx, count);
    CHECK_WORDS(s, p->dy, count);
    CHECK_WORDS(s, p->x, count);
    CHECK_ELEMENTS(s, p->w, p->cols, p->w_type);
    CHECK_WORDS(s, p->rstd, p->rows);
    CHECK_OPTIONAL_WORDS(s, p->add, count);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    CHECK(p->dx != p->dy && p->dx != p->x); // the two kernels below run side by side
    if (p->dw) {
        CHECK_ELEMENTS(s, p->dw, p->cols, p->dw_type);
        CHECK_WORDS(s, p->partial, op_rmsnorm_partial_bytes(p->rows, p->cols) / 4);
    }
    vk_group_begin(s);
    vk_cost(s, 9.0 * (double)count, (p->add ? 16.0 : 12.0) * (double)count);
    DISPATCH_ID(s, VARIANT_BY_WEIGHTS(s, rmsnorm_bwd, p->w_type), rmsnorm_bwd, groups(p->rows),
                .dx = p->dx, .dy = p->dy, .x = p->x, .w = p->w, .rstd = p->rstd, .add = p->add,
                .live = p->live, .rows = p->rows, .cols = p->cols);
    if (p->dw) rmsnorm_bwd_dw(s, p);
    vk_group_end(s);
    if (!p->dw) return;
    uint32_t partials = quotient_up(p->rows, partial_rows(p->rows));
    vk_cost(s, (double)floats(partials, p->cols), 4.0 * (double)floats(partials + 2, p->cols));
    DISPATCH_ID(s, KERNEL_BY_GRADS(rmsnorm_bwd_dw_sum, p->dw_type), rmsnorm_bwd_dw_sum,
                groups_of(p->cols, RMSNORM_COLS_PER_GROUP), .dw = p->dw, .partial = p->partial,
                .partials = partials, .cols = p->cols);
}

void op_rope(struct vk_seq *s, const struct op_rope *p)
{
    uint64_t count = floats(p->heads, p->head_dim), all = count * p->rows;
    CHECK(p->rows && p->heads && p->head_dim && p->head_dim % 2 == 0);
    CHECK(count <= p->stride && p->table_rows);
    CHECK_WORDS(s, p->x, floats(p->rows - 1, p->stride) + count);
    CHECK_WORDS(s, p->positions, p->rows);
    CHECK_WORDS(s, p->table, floats(p->table_rows, p->head_dim));
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, 3.0 * (double)all, 8.0 * (double)all + 4.0 * (double)floats(p->rows, p->head_dim));
    DISPATCH_VARIANT(s, rope, groups(p->rows), .x = p->x, .table = p->table,
                     .positions = p->positions, .live = p->live, .rows = p->rows, .heads = p->heads,
                     .head_dim = p->head_dim, .stride = p->stride,
                     .sign = p->inverse ? -1.0f : 1.0f);
}

void op_swiglu_fwd(struct vk_seq *s, const struct op_swiglu *p)
{
    uint64_t count = floats(p->rows, p->cols);
    CHECK(p->rows && p->cols);
    CHECK_WORDS(s, p->h, count);
    CHECK_WORDS(s, p->gate_up, 2 * count);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, 12.0 * (double)count, 12.0 * (double)count);
    DISPATCH_VARIANT(s, swiglu_fwd, row_parts(p->rows, p->cols), .h = p->h, .gate_up = p->gate_up,
                     .live = p->live, .rows = p->rows, .cols = p->cols);
}

void op_swiglu_bwd(struct vk_seq *s, const struct op_swiglu_bwd *p)
{
    uint64_t count = floats(p->rows, p->cols);
    CHECK(p->rows && p->cols);
    CHECK_WORDS(s, p->dgate_up, 2 * count);
    CHECK_WORDS(s, p->dh, count);
    CHECK_WORDS(s, p->gate_up, 2 * count);
    CHECK_OPTIONAL_WORDS(s, p->h, count);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, 18.0 * (double)count, (p->h ? 24.0 : 20.0) * (double)count);
    DISPATCH_VARIANT(s, swiglu_bwd, row_parts(p->rows, p->cols), .dgate_up = p->dgate_up, .h = p->h,
                     .dh = p->dh, .gate_up = p->gate_up, .live = p->live, .rows = p->rows,
                     .cols = p->cols);
}

void op_add(struct vk_seq *s, vk_addr y, vk_addr a, vk_addr b, uint64_t count)
{
    if (count == 0) return;
    CHECK_WORDS(s, y, count);
    CHECK_WORDS(s, a, count);
    CHECK_WORDS(s, b, count);
    vk_cost(s, (double)count, 12.0 * (double)count);
    DISPATCH_VARIANT(s, add, groups_of(count, FILL_WORDS_PER_GROUP), .y = y, .a = a, .b = b,
                     .count = (uint32_t)count);
}

// Floats from the first element to the end of the last row.
static uint64_t strided(uint32_t rows, uint32_t cols, uint32_t stride)
{
    return floats(rows - 1, stride) + cols;
}

void op_gather_rows(struct vk_seq *s, const struct op_gather *p)
{
    uint32_t y_stride = p->y_stride ? p->y_stride : p->cols;
    uint32_t x_stride = p->x_stride ? p->x_stride : p->cols;
    CHECK(p->rows && p->cols && p->x_rows && y_stride >= p->cols && x_stride >= p->cols);
    CHECK_WORDS(s, p->y, strided(p->rows, p->cols, y_stride));
    CHECK_WORDS(s, p->x, strided(p->x_rows, p->cols, x_stride));
    CHECK_WORDS(s, p->index, p->rows);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, 0, 8.0 * (double)floats(p->rows, p->cols));
    DISPATCH_VARIANT(s, gather_rows, row_parts(p->rows, p->cols), .y = p->y, .x = p->x,
                     .index = p->index, .live = p->live, .rows = p->rows, .cols = p->cols,
                     .y_stride = y_stride, .x_stride = x_stride);
}

void op_scatter_rows(struct vk_seq *s, const struct op_gather *p)
{
    uint32_t y_stride = p->y_stride ? p->y_stride : p->cols;
    uint32_t x_stride = p->x_stride ? p->x_stride : p->cols;
    CHECK(p->rows && p->cols && p->x_rows && y_stride >= p->cols && x_stride >= p->cols);
    CHECK_WORDS(s, p->y, strided(p->x_rows, p->cols, y_stride));
    CHECK_WORDS(s, p->x, strided(p->rows, p->cols, x_stride));
    CHECK_WORDS(s, p->index, p->rows);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, 0, 8.0 * (double)floats(p->rows, p->cols));
    DISPATCH_VARIANT_AS(s, scatter_rows, gather_rows, row_parts(p->rows, p->cols), .y = p->y,
                        .x = p->x, .index = p->index, .live = p->live, .rows = p->rows,
                        .cols = p->cols, .y_stride = y_stride, .x_stride = x_stride);
}

void op_gather_rows_bwd(struct vk_seq *s, const struct op_gather_bwd *p)
{
    uint64_t count = floats(p->rows, p->cols), from = floats(p->dy_rows, p->cols);
    CHECK(p->rows && p->cols && p->dy_rows);
    CHECK_WORDS(s, p->dx, count);
    CHECK_WORDS(s, p->dy, from);
    CHECK_WORDS(s, p->first, (uint64_t)p->rows + 1);
    CHECK_WORDS(s, p->list, p->dy_rows);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, (double)from, 4.0 * (double)(count + from));
    DISPATCH(s, gather_rows_bwd, row_parts(p->rows, p->cols), .dx = p->dx, .dy = p->dy,
             .first = p->first, .list = p->list, .live = p->live, .rows = p->rows, .cols = p->cols);
}

void op_fill(struct vk_seq *s, vk_addr dst, uint32_t word, uint64_t count)
{
    if (count == 0) return;
    CHECK_WORDS(s, dst, count);
    vk_cost(s, 0, 4.0 * (double)count);
    DISPATCH(s, fill, groups_of(count, FILL_WORDS_PER_GROUP), .y = dst, .count = (uint32_t)count,
             .word = word);
}

void op_copy(struct vk_seq *s, vk_addr dst, vk_addr src, uint64_t count)
{
    if (count == 0) return;
    CHECK_WORDS(s, dst, count);
    CHECK_WORDS(s, src, count);
    vk_cost(s, 0, 8.0 * (double)count);
    DISPATCH_VARIANT(s, copy, groups_of(count, FILL_WORDS_PER_GROUP), .y = dst, .x = src,
                     .count = (uint32_t)count);
}
