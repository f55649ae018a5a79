// Products on matrix units: factors rounded to fp16 or bf16, sums in fp32. The tile and its share
// for each subgroup follow the device's matrices and subgroups and the product's shape.
#include "ops/kernels.h"
#include "ops/matmul.h"

#include "base/error.h"

// A workgroup's tile, and the part of it that is a subgroup's, or with matrices of a workgroup all
// of it. Parts are made of matrices of a device's size, or (free) are one matrix each.
struct tile {
    uint32_t rows, cols, lanes;
    uint32_t part_rows, part_cols;
    uint32_t depth; // of a free matrix
    bool workgroup;
};

// What a device multiplies: matrices of one size, or of free sizes in these grains.
struct matrices {
    const struct vk_matrix_size *size;
    const struct vk_matrix_grain *grains;
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

// Shares a tile out to the subgroups of its lanes in the squarest parts of which `abreast` matrices
// lie side by side, or a multiple. False if the device's matrices or subgroups do not fit into it.
static bool share_out_to(const struct vk_caps *caps, const struct vk_matrix_size *m, struct tile *t,
                         uint32_t abreast)
{
    uint32_t subgroups = t->lanes / caps->subgroup_size, least = 0;
    for (uint32_t across = 1; across <= subgroups; across *= 2) {
        uint32_t down = subgroups / across;
        if (subgroups % across || t->rows % (down * m->m) || t->cols % (across * abreast * m->n))
            continue;
        uint32_t rows = t->rows / down, cols = t->cols / across;
        if (least && rows + cols >= least) continue;
        least = rows + cols;
        t->part_rows = rows;
        t->part_cols = cols;
    }
    return least && t->lanes <= caps->max_workgroup_invocations &&
           shared_bytes(caps, m, t, t->lanes) <= caps->max_shared_bytes;
}

static bool share_out(const struct vk_caps *caps, const struct vk_matrix_size *m, struct tile *t)
{
    t->lanes = lanes_for(caps, m, t);
    return share_out_to(caps, m, t, 1);
}

// For a product that ends in SwiGLU, whose parts hold pairs of matrices: of gate and of up. Parts
// may be twice as large then. False, and the tile as it was, if that fits nowhere.
static bool share_out_pairs(const struct vk_caps *caps, const struct vk_matrix_size *m,
                            struct tile *t)
{
    struct tile pairs = *t;
    if (!share_out_to(caps, m, &pairs, 2)) {
        pairs.lanes /= 2;
        if (!share_out_to(caps, m, &pairs, 2)) return false;
    }
    *t = pairs;
    return true;
}

// Gives a tile to a workgroup whose matrices may have this grain.
static bool take_whole(const struct vk_caps *caps, const struct vk_matrix_grain *grain,
                       struct tile *t)
{
    const struct vk_matrix_size none = {0};
    t->lanes = grain->lanes;
    t->part_rows = t->rows;
    t->part_cols = t->cols;
    t->workgroup = true;
    return t->rows % grain->m == 0 && t->cols % grain->n == 0 &&
           t->lanes <= t->rows * MATMUL_COOPMAT_DEPTH / 8 &&
           t->lanes <= caps->max_workgroup_invocations &&
           t->rows * t->cols / t->lanes <= caps->lane_registers / 4 &&
           shared_bytes(caps, &none, t, t->lanes) + caps->matrix_shared_bytes <=
               caps->max_shared_bytes;
}

// The first of a list of grains that a tile can be shared out by.
static bool share_free(const struct vk_caps *caps, const struct vk_matrix_grain *grains,
                       struct tile *tile)
{
    const struct tile whole = *tile;
    for (int i = 0; i < VK_MATRIX_GRAINS && grains[i].m; i++) {
        struct vk_matrix_size least = {grains[i].m, grains[i].n, grains[i].k};
        if (MATMUL_COOPMAT_DEPTH % least.k) continue;
        *tile = whole;
        // A subgroup holds its factors in registers, so no more at a time than must be.
        tile->depth = grains[i].lanes ? MATMUL_COOPMAT_DEPTH : least.k;
        if (!(grains[i].lanes ? take_whole(caps, &grains[i], tile) : share_out(caps, &least, tile)))
            continue;
        uint32_t most = caps->matrix_most;
        if (tile->part_rows <= most && tile->part_cols <= most && tile->depth <= most) return true;
    }
    return false;
}

static uint64_t tiles_of(const struct tile *t, uint32_t rows, uint32_t cols)
{
    return (uint64_t)((rows + t->rows - 1) / t->rows) * ((cols + t->cols - 1) / t->cols);
}

// The large tile where there are enough of it, else the middling one; the small one where the
// result fills no more. False if the device can run none.
static bool choose(const struct vk_device *device, const struct matrices *m, uint32_t rows,
                   uint32_t cols, struct tile *tile)
{
    static const struct tile tiles[] = {
        {.rows = 128, .cols = 128}, {.rows = 64, .cols = 64}, {.rows = 32, .cols = 32}};
    const struct vk_caps *caps = vk_device_caps(device);
    const size_t last = sizeof tiles / sizeof *tiles - 1;
    if (!m->size && !m->grains) return false;
    for (size_t i = 0; i <= last; i++) {
        const struct tile *t = &tiles[i];
        if (i < last && (rows <= t->rows / 2 || cols <= t->cols / 2)) continue;
        if (i == 0 && tiles_of(t, rows, cols) < MATMUL_TILES_ENOUGH) continue;
        *tile = *t;
        if (m->grains ? share_free(caps, m->grains, tile) : share_out(caps, m->size, tile))
            return true;
    }
    return false;
}

static struct matrices matrices_of(const struct vk_device *device, enum op_units units,
                                   enum vk_tier tier)
{
    if (tier == VK_TIER_COOPMAT2)
        return (struct matrices){.grains = op_units_grains(device, units)};
    return (struct matrices){.size = op_units_matrix(device, units)};
}

uint64_t matmul_coopmat_scratch(const struct vk_device *device, uint32_t rows, uint32_t cols,
                                uint32_t depth)
{
    uint64_t most = 0;
    for (int kind = 0; kind < 2 * OP_UNITS_COUNT; kind++) {
        enum vk_tier tier = kind % 2 ? VK_TIER_COOPMAT2 : VK_TIER_COOPMAT;
        struct matrices m = matrices_of(device, (enum op_units)(kind / 2), tier);
        struct tile tile;
        if (!choose(device, &m, rows, cols, &tile)) continue;
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
                     matmul_aligned(p->bias, p->b_type) && matmul_aligned(p->h, OP_F32) &&
                     matmul_cols_together(p) % 4 == 0;
    return (p->a_by_depth ? MATMUL_A_BY_DEPTH : 0) | (p->b_by_depth ? MATMUL_B_BY_DEPTH : 0) |
           (takes_vectors(p->a, matmul_a_stride(p), OP_F32) ? MATMUL_A_VECTORS : 0) |
           (takes_vectors(p->b, matmul_b_stride(p), p->b_type) ? MATMUL_B_VECTORS : 0) |
           (y_vectors ? MATMUL_Y_VECTORS : 0) | (p->swiglu ? MATMUL_SWIGLU : 0);
}

static enum op_kernel kernel_of(const struct matmul *p, enum op_units units, enum vk_tier tier)
{
    bool bf16 = units == OP_UNITS_BF16;
    if (tier == VK_TIER_COOPMAT2)
        return bf16 ? KERNEL_BY_TYPES(matmul_coopmat2_bf16, p->b_type, p->y_type)
                    : KERNEL_BY_TYPES(matmul_coopmat2, p->b_type, p->y_type);
    return bf16 ? KERNEL_BY_TYPES(matmul_coopmat_bf16, p->b_type, p->y_type)
                : KERNEL_BY_TYPES(matmul_coopmat, p->b_type, p->y_type);
}

bool matmul_coopmat_alone(struct vk_seq *s, const struct matmul *p, enum vk_tier tier)
{
    struct vk_device *device = vk_seq_device(s);
    struct matrices m = matrices_of(device, (enum op_units)vk_seq_maths(s), tier);
    struct tile tile;
    return choose(device, &m, p->rows, p->cols, &tile) &&
           matmul_slice(s, p, tiles_of(&tile, p->rows, p->cols), MATMUL_COOPMAT_DEPTH).depth == 0;
}

bool matmul_coopmat(struct vk_seq *s, const struct matmul *p, enum vk_tier tier, bool *ended)
{
    enum { SCOPE_WORKGROUP = 2, SCOPE_SUBGROUP = 3 }; // SPIR-V's numbers
    struct vk_device *device = vk_seq_device(s);
    enum op_units units = (enum op_units)vk_seq_maths(s);
    struct matrices m = matrices_of(device, units, tier);
    struct tile tile;
    if (!choose(device, &m, p->rows, p->cols, &tile)) return false;
    struct matmul_slices cut =
        matmul_slice(s, p, tiles_of(&tile, p->rows, p->cols), MATMUL_COOPMAT_DEPTH);
    struct matmul *product = &cut.product;
    product->swiglu =
        product->swiglu && m.size && share_out_pairs(vk_device_caps(device), m.size, &tile);
    *ended = product->swiglu;
    struct vk_launch launch = groups3((p->cols + tile.cols - 1) / tile.cols,
                                      (p->rows + tile.rows - 1) / tile.rows, cut.count);
    launch.local = tile.lanes;
    launch.spec_count = 8;
    launch.spec[0] = tile.rows;
    launch.spec[1] = tile.cols;
    launch.spec[2] = tile.part_rows;
    launch.spec[3] = tile.part_cols;
    if (m.grains) {
        launch.spec[4] = tile.workgroup ? SCOPE_WORKGROUP : SCOPE_SUBGROUP;
        launch.spec[6] = tile.depth;
    } else {
        launch.spec[4] = m.size->m;
        launch.spec[5] = m.size->n;
        launch.spec[6] = m.size->k;
    }
    launch.spec[7] = form_of(product);
    vk_cost(s, 2.0 * p->rows * p->cols * p->depth, matmul_bytes(product));
    DISPATCH_ID(s, kernel_of(product, units, tier), matmul, launch, MATMUL_ARGS(product),
                .slice = cut.depth);
    matmul_sum_slices(s, p, &cut);
    return true;
}
