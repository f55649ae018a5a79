// Products on GPUs: a tile in shared memory.
#include "ops/kernels.h"
#include "ops/matmul.h"

#include "base/error.h"

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

// Lanes of a product that ends in SwiGLU have two groups of columns, one of gate and one of up.
static void pair_columns(struct tile *t)
{
    t->lanes /= 8 / t->cols_per_lane;
    t->cols_per_lane = 8;
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

uint64_t matmul_shared_scratch(const struct vk_device *device, uint32_t rows, uint32_t cols,
                               uint32_t depth)
{
    struct tile tile = choose(device, rows, cols);
    uint32_t most = depth < MATMUL_DEPTH_MOST_BF16 ? depth : MATMUL_DEPTH_MOST_BF16;
    return matmul_slices_scratch(tiles_of(&tile, rows, cols), rows, cols, most);
}

static bool takes_vectors(const struct matmul *p)
{
    return matmul_aligned(p->y, p->y_type) && matmul_aligned(p->add, p->y_type) &&
           matmul_aligned(p->bias, p->b_type) && matmul_aligned(p->a, OP_F32) &&
           matmul_aligned(p->b, p->b_type) && matmul_aligned(p->h, OP_F32) &&
           matmul_cols_together(p) % 4 == 0 && matmul_a_stride(p) % 4 == 0 &&
           matmul_b_stride(p) % 4 == 0 &&
           (!(p->a_by_depth || p->b_by_depth) || p->depth % 4 == 0) &&
           (p->a_by_depth || p->rows % 4 == 0);
}

bool matmul_shared_alone(struct vk_seq *s, const struct matmul *p)
{
    struct tile tile = choose(vk_seq_device(s), p->rows, p->cols);
    return p->depth <= matmul_depth_most(p->y_type) &&
           matmul_slice(s, p, tiles_of(&tile, p->rows, p->cols), STRIP_DEPTH).depth == 0;
}

bool matmul_shared(struct vk_seq *s, const struct matmul *p)
{
    struct tile tile = choose(vk_seq_device(s), p->rows, p->cols);
    struct matmul_slices cut = matmul_slice(s, p, tiles_of(&tile, p->rows, p->cols), STRIP_DEPTH);
    const struct matmul *product = &cut.product;
    if (product->swiglu) pair_columns(&tile);
    struct vk_launch launch = groups3((p->cols + tile.cols - 1) / tile.cols,
                                      (p->rows + tile.rows - 1) / tile.rows, cut.count);
    launch.local = tile.lanes;
    launch.spec_count = 8;
    launch.spec[0] = tile.rows;
    launch.spec[1] = tile.cols;
    launch.spec[2] = tile.rows_per_lane;
    launch.spec[3] = tile.cols_per_lane;
    launch.spec[4] = p->a_by_depth;
    launch.spec[5] = p->b_by_depth;
    launch.spec[6] = takes_vectors(product);
    launch.spec[7] = product->swiglu;
    vk_cost(s, 2.0 * p->rows * p->cols * p->depth, matmul_bytes(product));
    DISPATCH_ID(s, KERNEL_BY_TYPES(matmul_shared, product->b_type, product->y_type), matmul, launch,
                MATMUL_ARGS(product), .slice = cut.depth);
    matmul_sum_slices(s, p, &cut);
    return product->swiglu;
}
