// Products on GPUs: a tile in shared memory; where the result has too few tiles to fill a device,
// the depth is cut into slices whose sums are added up in a fixed order.
#include "ops/kernels.h"
#include "ops/matmul.h"

#include "base/error.h"

#define SLICE_DEPTH 256 // at least
#define SLICES_MOST 16
#define LANES 256
#define STRIP_DEPTH 16 // as in the kernel

struct tile {
    uint32_t rows, cols, rows_per_lane, cols_per_lane, lanes;
};

static bool fits(const struct vk_caps *caps, const struct tile *t)
{
    uint32_t shared = 4 * STRIP_DEPTH * (t->rows + t->cols + 8); // with the padding
    return t->lanes <= caps->max_workgroup_invocations && shared <= caps->max_shared_bytes;
}

static uint64_t tiles_of(const struct tile *t, uint32_t rows, uint32_t cols)
{
    return (uint64_t)((rows + t->rows - 1) / t->rows) * ((cols + t->cols - 1) / t->cols);
}

// The largest tile of which there are enough.
static struct tile choose(const struct vk_device *device, uint32_t rows, uint32_t cols)
{
    static const struct tile tiles[] = {
        {128, 128, 8, 8, LANES}, {64, 64, 4, 4, LANES}, {32, 32, 4, 4, 64}};
    const struct vk_caps *caps = vk_device_caps(device);
    size_t count = sizeof tiles / sizeof *tiles;
    for (size_t i = 0; i + 1 < count; i++)
        if (fits(caps, &tiles[i]) && tiles_of(&tiles[i], rows, cols) >= MATMUL_TILES_ENOUGH)
            return tiles[i];
    bool small = rows <= 32 || cols <= 32 || !fits(caps, &tiles[count - 2]);
    return tiles[small ? count - 1 : count - 2];
}

uint32_t matmul_slices(uint64_t tiles, uint32_t depth)
{
    uint64_t slices = MATMUL_TILES_ENOUGH / (tiles ? tiles : 1);
    if (slices > depth / SLICE_DEPTH) slices = depth / SLICE_DEPTH;
    if (slices > SLICES_MOST) slices = SLICES_MOST;
    return slices > 1 ? (uint32_t)slices : 1;
}

uint64_t matmul_shared_scratch(const struct vk_device *device, uint32_t rows, uint32_t cols,
                               uint32_t depth)
{
    struct tile tile = choose(device, rows, cols);
    uint32_t most = depth < MATMUL_DEPTH_MOST_BF16 ? depth : MATMUL_DEPTH_MOST_BF16;
    uint32_t slices = matmul_slices(tiles_of(&tile, rows, cols), most);
    return slices > 1 ? sizeof(float) * (uint64_t)slices * rows * cols : 0;
}

// Takes loads of four.
static bool aligned(vk_addr addr, enum op_type type)
{
    return addr % (4 * op_type_bytes(type)) == 0;
}

void matmul_sum_slices(struct vk_seq *s, const struct matmul *p, vk_addr partial, uint32_t slices)
{
    struct vk_launch launch = groups_of((uint64_t)p->rows * p->cols, LANES / 4);
    launch.local = LANES / 4;
    vk_cost(s, (double)slices * p->rows * p->cols, 4.0 * (slices + 1) * p->rows * p->cols);
    DISPATCH_ID(s, KERNEL_BY_TYPES(matmul_sum, p->b_type, p->y_type), matmul_sum, launch, .y = p->y,
                .partial = partial, .bias = p->bias, .add = p->add, .live = p->live,
                .rows = p->rows, .cols = p->cols, .slices = slices, .live_from = p->live_from,
                .live_depth = p->live_depth);
}

void matmul_shared(struct vk_seq *s, const struct matmul *p)
{
    struct tile tile = choose(vk_seq_device(s), p->rows, p->cols);
    uint32_t slices = matmul_slices(tiles_of(&tile, p->rows, p->cols), p->depth);
    uint64_t bytes;
    vk_addr scratch = vk_seq_scratch(s, &bytes);
    if (bytes < sizeof(float) * (uint64_t)slices * p->rows * p->cols) slices = 1;
    bool sliced = slices > 1;
    uint32_t slice = (p->depth + slices - 1) / slices;
    slice = (slice + STRIP_DEPTH - 1) / STRIP_DEPTH * STRIP_DEPTH;
    if (sliced) slices = (p->depth + slice - 1) / slice;

    enum op_type y_type = sliced ? OP_F32 : p->y_type; // slices are fp32
    vk_addr y = sliced ? scratch : p->y, add = sliced ? 0 : p->add, bias = sliced ? 0 : p->bias;
    struct vk_launch launch = groups3((p->cols + tile.cols - 1) / tile.cols,
                                      (p->rows + tile.rows - 1) / tile.rows, slices);
    launch.local = tile.lanes;
    launch.spec_count = 7;
    launch.spec[0] = tile.rows;
    launch.spec[1] = tile.cols;
    launch.spec[2] = tile.rows_per_lane;
    launch.spec[3] = tile.cols_per_lane;
    launch.spec[4] = p->a_by_depth;
    launch.spec[5] = p->b_by_depth;
    launch.spec[6] = aligned(y, y_type) && aligned(add, y_type) && aligned(bias, p->b_type) &&
                     aligned(p->a, OP_F32) && aligned(p->b, p->b_type) && p->cols % 4 == 0 &&
                     matmul_a_stride(p) % 4 == 0 && matmul_b_stride(p) % 4 == 0 &&
                     (!(p->a_by_depth || p->b_by_depth) || p->depth % 4 == 0) &&
                     (p->a_by_depth || p->rows % 4 == 0);
    vk_cost(s, 2.0 * p->rows * p->cols * p->depth, matmul_bytes(p));
    DISPATCH_ID(s, KERNEL_BY_TYPES(matmul_shared, p->b_type, y_type), matmul, launch, .y = y,
                .a = p->a, .b = p->b, .bias = bias, .add = add, .live = p->live, .rows = p->rows,
                .cols = p->cols, .depth = p->depth, .a_row = p->a_by_depth ? matmul_a_stride(p) : 1,
                .a_col = p->a_by_depth ? 1 : matmul_a_stride(p),
                .b_row = p->b_by_depth ? 1 : matmul_b_stride(p),
                .b_col = p->b_by_depth ? matmul_b_stride(p) : 1, .live_from = p->live_from,
                .live_depth = p->live_depth, .slice = sliced ? slice : 0);
    if (sliced) matmul_sum_slices(s, p, scratch, slices);
}
