// Where a result has too few tiles to fill a device, the depth of a product is cut into slices
// whose sums are added up in a fixed order.
#include "ops/kernels.h"
#include "ops/matmul.h"

#define SLICE_DEPTH 256 // at least
#define SLICES_MOST 16
#define SUM_LANES 64

static uint32_t slices_of(uint64_t tiles, uint32_t depth)
{
    uint64_t slices = MATMUL_TILES_ENOUGH / (tiles ? tiles : 1);
    if (slices > depth / SLICE_DEPTH) slices = depth / SLICE_DEPTH;
    if (slices > SLICES_MOST) slices = SLICES_MOST;
    return slices > 1 ? (uint32_t)slices : 1;
}

static uint64_t partial_bytes(uint32_t slices, uint32_t rows, uint32_t cols)
{
    return slices > 1 ? sizeof(float) * (uint64_t)slices * rows * cols : 0;
}

uint64_t matmul_slices_scratch(uint64_t tiles, uint32_t rows, uint32_t cols, uint32_t depth)
{
    return partial_bytes(slices_of(tiles, depth), rows, cols);
}

struct matmul_slices matmul_slice(struct vk_seq *s, const struct matmul *p, uint64_t tiles,
                                  uint32_t step)
{
    struct matmul_slices cut = {.product = *p, .count = 1};
    uint32_t slices = slices_of(tiles, p->depth);
    uint64_t bytes;
    vk_addr scratch = vk_seq_scratch(s, &bytes);
    if (slices == 1 || bytes < partial_bytes(slices, p->rows, p->cols)) return cut;
    uint32_t depth = (p->depth + slices - 1) / slices;
    cut.depth = (depth + step - 1) / step * step;
    cut.count = (p->depth + cut.depth - 1) / cut.depth;
    cut.product.y = scratch;
    cut.product.y_type = OP_F32;
    cut.product.bias = cut.product.add = 0;
    cut.product.swiglu = false;
    return cut;
}

void matmul_sum_slices(struct vk_seq *s, const struct matmul *p, const struct matmul_slices *cut)
{
    if (!cut->depth) return;
    struct vk_launch launch = groups_of((uint64_t)p->rows * p->cols, SUM_LANES);
    launch.local = SUM_LANES;
    vk_cost(s, (double)cut->count * p->rows * p->cols, 4.0 * (cut->count + 1) * p->rows * p->cols);
    DISPATCH_ID(s, KERNEL_BY_TYPES(matmul_sum, p->b_type, p->y_type), matmul_sum, launch, .y = p->y,
                .partial = cut->product.y, .bias = p->bias, .add = p->add, .live = p->live,
                .rows = p->rows, .cols = p->cols, .slices = cut->count, .live_from = p->live_from,
                .live_depth = p->live_depth);
}
