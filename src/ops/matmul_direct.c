// Products on CPU devices: panels packed into scratch, then a register tile; and a plain kernel for
// all else. Operands too large for the scratch are taken slab by slab.
#include "ops/kernels.h"
#include "ops/matmul.h"

#include "base/error.h"

#define LANE_COLS 2
#define SCRATCH_MOST ((uint64_t)32 << 20) // so that panels are still in a cache when they are used
#define FEW_ROWS 8
#define PLAIN_ROWS 4

static uint32_t round_up(uint32_t value, uint32_t to)
{
    return (value + to - 1) / to * to;
}

// Rows of a tile: more rows make more of each load, fewer leave less of the last tile unused.
static uint32_t tile_rows(uint32_t rows)
{
    static const struct {
        uint32_t rows;
        double cost; // of a row, measured, relative to the largest tile
    } tiles[] = {{64, 1.0}, {32, 1.1}, {16, 1.25}};
    uint32_t best = 0;
    double least = 0;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        double cost = tiles[i].cost * round_up(rows, tiles[i].rows);
        if (best && cost >= least) continue;
        best = tiles[i].rows;
        least = cost;
    }
    return best;
}

static uint32_t panel_cols(const struct vk_device *device)
{
    return LANE_COLS * vk_device_caps(device)->subgroup_size;
}

// Kernels that broadcast from lane to lane are made for the subgroups of CPUs.
static bool broadcasts(const struct vk_device *device)
{
    const struct vk_caps *caps = vk_device_caps(device);
    uint32_t lanes = caps->subgroup_size;
    return caps->kind == VK_KIND_CPU && caps->int64 && caps->subgroup_ballot && lanes >= 4 &&
           lanes <= 32 && (lanes & (lanes - 1)) == 0;
}

// Rows, columns and depth that are packed at a time.
struct slabs {
    uint32_t tile_rows, tile_cols;
    uint32_t rows, cols, depth;
    uint64_t a_bytes, bytes;
};

// `most`: the depth that sums are cut at.
static bool plan(const struct vk_device *device, uint64_t scratch, uint32_t rows, uint32_t cols,
                 uint32_t depth, uint32_t most, struct slabs *slabs)
{
    // Packing must pay for itself.
    if (!broadcasts(device) || rows <= FEW_ROWS || cols < 8 || depth < 8) return false;
    *slabs = (struct slabs){.tile_rows = tile_rows(rows), .tile_cols = panel_cols(device)};
    slabs->depth = depth < most ? round_up(depth, MATMUL_DEPTH_STEP) : most;
    uint64_t line = sizeof(float) * (uint64_t)slabs->depth;
    uint64_t a = line * slabs->tile_rows, b = line * slabs->tile_cols; // of a panel
    uint64_t a_panels = (rows + slabs->tile_rows - 1) / slabs->tile_rows;
    uint64_t b_panels = (cols + slabs->tile_cols - 1) / slabs->tile_cols;
    if (scratch < a + b) return false;
    if (scratch < a * a_panels + b * b_panels) {
        // The smaller operand whole if it takes no more than half, the other with what is left.
        uint64_t a_share = a * a_panels <= scratch / 2   ? a * a_panels
                           : b * b_panels <= scratch / 2 ? scratch - b * b_panels
                                                         : scratch / 2;
        a_panels = a_share / a ? a_share / a : 1;
        b_panels = (scratch - a * a_panels) / b;
        if (b_panels == 0) return false;
    }
    slabs->rows = (uint32_t)a_panels * slabs->tile_rows;
    slabs->cols = (uint32_t)b_panels * slabs->tile_cols;
    slabs->a_bytes = a * a_panels;
    slabs->bytes = a * a_panels + b * b_panels;
    return true;
}

uint64_t matmul_direct_scratch(const struct vk_device *device, uint32_t rows, uint32_t cols,
                               uint32_t depth)
{
    struct slabs slabs;
    return plan(device, SCRATCH_MOST, rows, cols, depth, MATMUL_DEPTH_MOST_BF16, &slabs)
               ? slabs.bytes
               : 0;
}

// One operand's part of a slab: `outer` rows or columns from `first`, `depth` from `from_depth`.
struct part {
    uint32_t first, outer, from_depth, depth;
};

static void pack(struct vk_seq *s, const struct matmul *p, const struct slabs *slabs, bool a,
                 vk_addr to, const struct part *part)
{
    bool by_depth = a ? p->a_by_depth : p->b_by_depth;
    uint32_t stride = a ? matmul_a_stride(p) : matmul_b_stride(p);
    uint32_t panel = a ? slabs->tile_rows : slabs->tile_cols;
    uint64_t at = by_depth ? (uint64_t)part->first * stride + part->from_depth
                           : (uint64_t)part->from_depth * stride + part->first;
    enum op_type type = a ? OP_F32 : p->b_type;
    vk_addr from = (a ? p->a : p->b) + at * op_type_bytes(type);
    bool bounded = p->live && (a || p->live_depth);
    uint32_t padded = round_up(part->depth, MATMUL_DEPTH_STEP);
    struct vk_launch launch = groups2((padded + MATMUL_PACK_DEPTH - 1) / MATMUL_PACK_DEPTH,
                                      (part->outer + panel - 1) / panel);
    launch.spec_count = 4;
    launch.spec[0] = panel;
    launch.spec[1] = stride % 2 == 0 && from % (2 * op_type_bytes(type)) == 0;
    launch.spec[2] = by_depth;
    launch.spec[3] = a;
    vk_cost(s, 0, (4.0 + op_type_bytes(type)) * part->outer * part->depth);
    DISPATCH_ID(s, KERNEL_BY_WEIGHTS(matmul_pack, type), matmul_pack, launch, .from = from,
                .to = to, .live = bounded ? p->live : 0, .outer = part->outer, .depth = part->depth,
                .stride = stride,
                .live_from = p->live_from + (p->live_depth ? part->from_depth : part->first),
                .live_depth = p->live_depth);
}

static void multiply(struct vk_seq *s, const struct matmul *p, const struct slabs *slabs,
                     vk_addr panels, const struct part *a, const struct part *b)
{
    uint32_t element = op_type_bytes(p->y_type);
    uint64_t at = ((uint64_t)a->first * p->cols + b->first) * element;
    bool accumulates = a->from_depth > 0; // later slabs of the depth add to the first's result
    vk_addr y = p->y + at;
    vk_addr add = accumulates ? y : p->add ? p->add + at : 0;
    vk_addr bias = !accumulates && p->bias ? p->bias + b->first * op_type_bytes(p->b_type) : 0;
    struct vk_launch launch = groups2((b->outer + slabs->tile_cols - 1) / slabs->tile_cols,
                                      (a->outer + slabs->tile_rows - 1) / slabs->tile_rows);
    launch.local = slabs->tile_cols / LANE_COLS;
    launch.spec_count = 3;
    launch.spec[0] = slabs->tile_rows;
    launch.spec[1] = p->cols % 2 == 0 && y % (2 * element) == 0 && add % (2 * element) == 0;
    launch.spec[2] = add != 0;
    vk_cost(s, 2.0 * a->outer * b->outer * a->depth,
            4.0 * ((double)a->outer * a->depth + (double)b->outer * b->depth) +
                (double)element * a->outer * b->outer);
    DISPATCH_ID(s, KERNEL_BY_TYPES(matmul_direct, p->b_type, p->y_type), matmul_direct, launch,
                .y = y, .bias = bias, .add = add, .a = panels, .b = panels + slabs->a_bytes,
                .live = p->live, .rows = a->outer, .cols = b->outer, .depth = a->depth,
                .y_stride = p->cols,
                .live_from = p->live_from + (p->live_depth ? a->from_depth : a->first),
                .live_depth = p->live_depth);
}

static struct part slab(uint32_t first, uint32_t size, uint32_t end)
{
    return (struct part){.first = first, .outer = end - first < size ? end - first : size};
}

bool matmul_direct(struct vk_seq *s, const struct matmul *p)
{
    struct slabs slabs;
    uint64_t bytes;
    vk_addr scratch = vk_seq_scratch(s, &bytes);
    if (!plan(vk_seq_device(s), bytes, p->rows, p->cols, p->depth, matmul_depth_most(p->y_type),
              &slabs))
        return false;
    for (uint32_t k = 0; k < p->depth; k += slabs.depth)
        for (uint32_t i = 0; i < p->rows; i += slabs.rows)
            for (uint32_t j = 0; j < p->cols; j += slabs.cols) {
                struct part a = slab(i, slabs.rows, p->rows), b = slab(j, slabs.cols, p->cols);
                a.from_depth = b.from_depth = k;
                a.depth = b.depth = p->depth - k < slabs.depth ? p->depth - k : slabs.depth;
                vk_group_begin(s);
                if (j == 0) pack(s, p, &slabs, true, scratch, &a);
                pack(s, p, &slabs, false, scratch + slabs.a_bytes, &b);
                vk_group_end(s);
                multiply(s, p, &slabs, scratch, &a, &b);
            }
    return true;
}

bool matmul_few(struct vk_seq *s, const struct matmul *p)
{
    const struct vk_device *device = vk_seq_device(s);
    if (!broadcasts(device) || p->rows > FEW_ROWS || !p->a_by_depth || !p->b_by_depth ||
        p->live_depth || p->depth % 2 || matmul_a_stride(p) % 2 || matmul_b_stride(p) % 2 ||
        p->a % 8 || p->b % (2 * op_type_bytes(p->b_type)) || p->y_type != OP_F32)
        return false;
    uint32_t lanes = vk_device_caps(device)->subgroup_size;
    uint32_t rows = p->rows <= 2 ? p->rows : 4;
    struct vk_launch launch = groups2((p->cols + lanes - 1) / lanes, (p->rows + rows - 1) / rows);
    launch.local = lanes;
    launch.spec_count = 1;
    launch.spec[0] = rows;
    vk_cost(s, 2.0 * p->rows * p->cols * p->depth, matmul_bytes(p));
    DISPATCH_ID(s, KERNEL_BY_WEIGHTS(matmul_few, p->b_type), matmul, launch, MATMUL_ARGS(p));
    return true;
}

void matmul_plain(struct vk_seq *s, const struct matmul *p)
{
    uint32_t local = vk_device_caps(vk_seq_device(s))->subgroup_size;
    struct vk_launch launch =
        groups2((p->cols + local - 1) / local, (p->rows + PLAIN_ROWS - 1) / PLAIN_ROWS);
    launch.local = local;
    launch.spec_count = 1;
    launch.spec[0] = PLAIN_ROWS;
    vk_cost(s, 2.0 * p->rows * p->cols * p->depth, matmul_bytes(p));
    DISPATCH_ID(s, KERNEL_BY_TYPES(matmul_plain, p->b_type, p->y_type), matmul, launch,
                MATMUL_ARGS(p));
}
