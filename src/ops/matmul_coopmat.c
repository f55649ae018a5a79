// Products on matrix units: factors rounded to fp16 or bf16, sums in fp32. The tile and its share
// for each subgroup follow the device's matrices and subgroups and the product's shape.
#include "ops/kernels.h"
#include "ops/matmul.h"

#include "base/error.h"

// A workgroup's tile, and the part of it that is a subgroup's.
struct tile {
    uint32_t rows, cols, lanes;
    uint32_t part_rows, part_cols;
};

static uint32_t shared_bytes(const struct vk_caps *caps, const struct vk_matrix_size *m,
                             const struct tile *t, uint32_t lanes)
{
    uint32_t strips = 2 * (t->rows + t->cols) * (MATMUL_COOPMAT_DEPTH + 8);
    return strips + 4 * (lanes / caps->subgroup_size) * m->m * (m->n + 4);
}

// Lanes for a tile: four subgroups, whose large parts read the least shared memory for a product,
// or more where sums would take more than a quarter of a lane's registers; a lane copies at least
// eight elements of a strip. On CPU devices as many as can be, since their compiler takes seconds
// for each matrix that a subgroup has.
static uint32_t lanes_for(const struct vk_caps *caps, const struct vk_matrix_size *m,
                          const struct tile *t)
{
    uint32_t lanes = 4 * caps->subgroup_size, most = t->rows * MATMUL_COOPMAT_DEPTH / 8;
    uint32_t sums = caps->kind == VK_KIND_CPU ? 8 : caps->lane_registers / 4;
    while (t->rows * t->cols / lanes > sums)
        lanes *= 2;
    while (lanes > caps->subgroup_size &&
           (lanes > most || lanes > caps->max_workgroup_invocations ||
            shared_bytes(caps, m, t, lanes) > caps->max_shared_bytes))
        lanes /= 2;
    return lanes;
}

// Shares a tile out to its subgroups in the squarest parts. False if the device's matrices or
// subgroups do not fit into it.
static bool share_out(const struct vk_caps *caps, const struct vk_matrix_size *m, struct tile *t)
{
    t->lanes = lanes_for(caps, m, t);
    uint32_t subgroups = t->lanes / caps->subgroup_size, least = 0;
    for (uint32_t across = 1; across <= subgroups; across *= 2) {
        uint32_t down = subgroups / across;
        if (subgroups % across || t->rows % (down * m->m) || t->cols % (across * m->n)) continue;
        uint32_t rows = t->rows / down, cols = t->cols / across;
        if (least && rows + cols >= least) continue;
        least = rows + cols;
        t->part_rows = rows;
        t->part_cols = cols;
    }
    return least && t->lanes <= caps->max_workgroup_invocations &&
           shared_bytes(caps, m, t, t->lanes) <= caps->max_shared_bytes;
}

static uint64_t tiles_of(const struct tile *t, uint32_t rows, uint32_t cols)
{
    return (uint64_t)((rows + t->rows - 1) / t->rows) * ((cols + t->cols - 1) / t->cols);
}

// The large tile where there are enough of it, else the middling one; the small one where the
// result fills no more. False if the device can run none.
static bool choose(const struct vk_device *device, const struct vk_matrix_size *m, uint32_t rows,
                   uint32_t cols, struct tile *tile)
{
    static const struct tile tiles[] = {
        {.rows = 128, .cols = 128}, {.rows = 64, .cols = 64}, {.rows = 32, .cols = 32}};
    const struct vk_caps *caps = vk_device_caps(device);
    const size_t last = sizeof tiles / sizeof *tiles - 1;
    if (!m) return false;
    for (size_t i = 0; i <= last; i++) {
        const struct tile *t = &tiles[i];
        if (i < last && (rows <= t->rows / 2 || cols <= t->cols / 2)) continue;
        if (i == 0 && tiles_of(t, rows, cols) < MATMUL_TILES_ENOUGH) continue;
        *tile = *t;
        if (share_out(caps, m, tile)) return true;
    }
    return false;
}

uint64_t matmul_coopmat_scratch(const struct vk_device *device, uint32_t rows, uint32_t cols,
                                uint32_t depth)
{
    uint64_t most = 0;
    for (int units = 0; units < OP_UNITS_COUNT; units++) {
        struct tile tile;
        if (!choose(device, op_units_matrix(device, (enum op_units)units), rows, cols, &tile))
            continue;
        uint64_t bytes = matmul_slices_scratch(tiles_of(&tile, rows, cols), rows, cols, depth);
        if (bytes > most) most = bytes;
    }
    return most;
}

// Whether all lines of an operand begin where a load of eight elements may.
static bool takes_vectors(vk_addr addr, uint32_t stride, enum op_type type)
{
    uint32_t most = type == OP_BF16 ? 8 : 4; // elements in 16 bytes
    return addr % 16 == 0 && stride % most == 0;
}

static uint32_t form_of(const struct matmul *p)
{
    bool y_vectors = matmul_aligned(p->y, p->y_type) && matmul_aligned(p->add, p->y_type) &&
                     matmul_aligned(p->bias, p->b_type) && p->cols % 4 == 0;
    return (p->a_by_depth ? MATMUL_A_BY_DEPTH : 0) | (p->b_by_depth ? MATMUL_B_BY_DEPTH : 0) |
           (takes_vectors(p->a, matmul_a_stride(p), OP_F32) ? MATMUL_A_VECTORS : 0) |
           (takes_vectors(p->b, matmul_b_stride(p), p->b_type) ? MATMUL_B_VECTORS : 0) |
           (y_vectors ? MATMUL_Y_VECTORS : 0);
}

bool matmul_coopmat(struct vk_seq *s, const struct matmul *p)
{
    struct vk_device *device = vk_seq_device(s);
    enum op_units units = (enum op_units)vk_seq_maths(s);
    const struct vk_matrix_size *m = op_units_matrix(device, units);
    struct tile tile;
    if (!choose(device, m, p->rows, p->cols, &tile)) return false;
    struct matmul_slices cut =
        matmul_slice(s, p, tiles_of(&tile, p->rows, p->cols), MATMUL_COOPMAT_DEPTH);
    const struct matmul *product = &cut.product;
    struct vk_launch launch = groups3((p->cols + tile.cols - 1) / tile.cols,
                                      (p->rows + tile.rows - 1) / tile.rows, cut.count);
    launch.local = tile.lanes;
    launch.spec_count = 8;
    launch.spec[0] = tile.rows;
    launch.spec[1] = tile.cols;
    launch.spec[2] = tile.part_rows;
    launch.spec[3] = tile.part_cols;
    launch.spec[4] = m->m;
    launch.spec[5] = m->n;
    launch.spec[6] = m->k;
    launch.spec[7] = form_of(product);
    vk_cost(s, 2.0 * p->rows * p->cols * p->depth, matmul_bytes(p));
    enum op_kernel kernel =
        units == OP_UNITS_BF16
            ? KERNEL_BY_TYPES(matmul_coopmat_bf16, product->b_type, product->y_type)
            : KERNEL_BY_TYPES(matmul_coopmat, product->b_type, product->y_type);
    DISPATCH_ID(s, kernel, matmul, launch, MATMUL_ARGS(product), .slice = cut.depth);
    matmul_sum_slices(s, p, &cut);
    return true;
}
