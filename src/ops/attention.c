// Attention: chooses the kernels of the device's tier and cuts long batches into dispatches.
//
// Three tiers. The direct kernels keep whole rows in a lane's registers and hand the other side's
// rows round by broadcasts (attention_direct.glsl); the shared ones work on tiles in shared memory
// (attention_tiled.glsl); those of matrix units are for sequences that compute in fp16 or bf16
// (op_linear_use()), and round the factors of their products to that (attention_coopmat.glsl).
#include "ops/attention.h"

#include "ops/extent.h"
#include "ops/kernels.h"
#include "ops/linear.h"

#define MAX_HEAD_DIM 256u

// FLOPs of a dispatch, at most: a fraction of a second on slow devices, since a dispatch cannot be
// cut where a submission gets too long.
#define DISPATCH_FLOPS 32e9

// How a pass shares its rows out to workgroups: `items` in tiles, for each key/value head.
struct attention_grid {
    enum vk_tier tier;
    uint32_t tile_items, tiles;
    double tile_flops, tile_bytes; // of a tile, all key/value heads
    struct vk_launch launch;
};

// A pass: what its grid is made from.
struct attention_pass {
    uint32_t items;         // rows that workgroups own: (t, head of the group), or keys
    uint32_t others;        // rows that each may meet
    uint32_t pair_flops;    // FLOPs for a column of a pair
    uint32_t arrays_summed; // that an item has: o, or dq, or dk and dv
    uint32_t item_words;    // words read and written for a column of an item
    uint32_t kv_heads, head_dim;
    bool forward;
};

static uint32_t quotient_up(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

// Each lane owns `own` rows and meets `met` at a time. Two owned rows share what loads cost; but
// wide rows, and the backward passes with their three or four arrays, would outgrow the processor's
// nearest cache, and few rows would leave lanes idle. Four at a time sum more exactly, which the
// long sums of the backward passes need; two make the shorter code, which is faster.
static void set_direct(struct attention_grid *g, const struct vk_caps *caps,
                       const struct attention_pass *p)
{
    uint32_t lanes = caps->kind == VK_KIND_CPU ? caps->subgroup_size : 64;
    uint32_t own = p->forward && p->head_dim <= 64 && p->items > lanes ? 2 : 1;
    uint32_t met = p->forward || p->head_dim > 128 ? 2 : 4, chunk = 1;
    while (chunk < 16 && chunk * 2 <= min_u32(caps->subgroup_min, caps->subgroup_size))
        chunk *= 2;
    g->tile_items = lanes * own;
    g->launch =
        (struct vk_launch){.local = lanes, .spec_count = 4, .spec = {p->head_dim, chunk, own, met}};
}

// The sums of a workgroup's columns stay in registers: 16 of a lane for 32 columns and array. Where
// a lane has fewer registers than on AMD's and NVIDIA's GPUs, more workgroups take fewer columns
// each, though every one of them makes the scores anew: spilled sums would cost more. What the
// compilers of the GPUs say decided the limits (tools/vendors.sh).
static void set_shared(struct attention_grid *g, const struct vk_caps *caps,
                       const struct attention_pass *p)
{
    uint32_t columns = caps->lane_registers >= 256                            ? 128
                       : p->arrays_summed == 1 || caps->lane_registers >= 192 ? 64
                                                                              : 32;
    // Compilers of CPU devices take minutes over long loop bodies with shared memory.
    uint32_t unroll = caps->kind == VK_KIND_CPU ? 1 : 4;
    g->tile_items = ATTENTION_TILE_OWN;
    g->launch = (struct vk_launch){.z = quotient_up(p->head_dim, columns),
                                   .local = ATTENTION_TILE_LOCAL,
                                   .spec_count = 3,
                                   .spec = {p->head_dim, unroll, columns}};
}

// Shared memory of the kernels of matrix units; the arrays of attention_coopmat.glsl and of the
// kernels.
static uint64_t coopmat_bytes(const struct attention_pass *p, const struct vk_matrix_size *m,
                              uint32_t own, uint32_t other, uint32_t local)
{
    uint32_t loaded = p->forward ? 1 : 2, exchanged = local > m->m * m->n ? local : m->m * m->n;
    uint64_t bytes = (uint64_t)loaded * (own + other) * (p->head_dim + 8) * 2;
    bytes += (uint64_t)p->arrays_summed * own * (other + 8) * 2 + (uint64_t)exchanged * 4;
    bytes += (uint64_t)own * (16 + 8);
    if (p->forward) return bytes + (uint64_t)own * (other + 4) * 4 + (uint64_t)own * 4;
    return bytes + (uint64_t)(p->arrays_summed == 1 ? own : other) * 8;
}

// False if the sequence does not compute on matrix units, the device has none of the kind, or the
// head size is none that they divide, or too large for the device's shared memory.
static bool set_coopmat(struct attention_grid *g, struct vk_seq *s, const struct attention_pass *p)
{
    // Rows that a workgroup owns and meets at a time, the best first.
    static const struct {
        uint32_t own, other;
    } tiles[] = {{64, 32}, {32, 32}, {32, 16}, {16, 32}, {16, 16}, {8, 16}, {8, 8}};
    const uint32_t subgroups = 4;
    const struct vk_caps *caps = vk_device_caps(vk_seq_device(s));
    const struct vk_matrix_size *m =
        op_units_matrix(vk_seq_device(s), (enum op_units)vk_seq_maths(s));
    uint32_t local = subgroups * caps->subgroup_size;
    if (!m) return false;
    if (p->head_dim % m->n || p->head_dim % m->k || p->head_dim % 4) return false;
    if (local > caps->max_workgroup_invocations) return false;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        uint32_t own = tiles[i].own, other = tiles[i].other;
        if (own % m->m || subgroups % (own / m->m) || own > local || local % own) continue;
        if (other % m->n || other % m->k) continue;
        if (coopmat_bytes(p, m, own, other, local) > caps->max_shared_bytes) continue;
        g->tile_items = own;
        g->launch =
            (struct vk_launch){.local = local,
                               .spec_count = 7,
                               .spec = {p->head_dim, m->m, m->n, m->k, subgroups, own, other}};
        return true;
    }
    return false;
}

static struct attention_grid grid_of(struct vk_seq *s, const struct attention_pass *p)
{
    const struct vk_caps *caps = vk_device_caps(vk_seq_device(s));
    struct attention_grid g = {0};
    // The direct kernels load 64-bit words and broadcast. The shared ones want a little more than
    // the 16 KiB that a device must have; drivers of Vulkan 1.3 offer at least 32.
    bool direct = caps->int64 && caps->subgroup_ballot;
    bool fits = caps->max_shared_bytes >= ATTENTION_TILE_BYTES;
    bool shared = !direct || (fits && op_linear_tier(vk_seq_device(s)) != VK_TIER_DIRECT);
    if (set_coopmat(&g, s, p)) {
        g.tier = VK_TIER_COOPMAT;
    } else if (shared) {
        g.tier = VK_TIER_SHARED;
        set_shared(&g, caps, p);
    } else {
        g.tier = VK_TIER_DIRECT;
        set_direct(&g, caps, p);
    }
    g.tiles = quotient_up(p->items, g.tile_items);
    g.launch.y = p->kv_heads;
    // Half the others stand for all that a row might meet: the mask is causal. Packed rows meet
    // fewer, and how many only the device knows.
    double columns = (double)p->kv_heads * p->head_dim, met = 0.5 * p->others;
    g.tile_flops = g.tile_items * columns * met * p->pair_flops;
    g.tile_bytes = 4 * columns * ((double)g.tile_items * p->item_words + 2 * met);
    return g;
}

// Records a kernel over all tiles. `first` is a member of `args`.
static void dispatch_tiles(struct vk_seq *s, struct attention_grid *g, enum op_kernel kernel,
                           const void *args, size_t bytes, uint32_t *first)
{
    uint32_t most = 65535;
    if (g->tile_flops * most > DISPATCH_FLOPS) most = (uint32_t)(DISPATCH_FLOPS / g->tile_flops);
    if (most == 0) most = 1;
    for (*first = 0; *first < g->tiles; *first += g->launch.x) {
        g->launch.x = min_u32(g->tiles - *first, most);
        vk_cost(s, g->launch.x * g->tile_flops, g->launch.x * g->tile_bytes);
        vk_dispatch(s, &op_kernels[kernel], g->launch, args, bytes);
    }
}

// The kernel of a grid's tier, with the arguments of struct stem_args.
#define DISPATCH_TILES(s, g, stem, ...)                                                            \
    do {                                                                                           \
        struct stem##_args args = {__VA_ARGS__};                                                   \
        bool bf16 = vk_seq_maths(s) == OP_UNITS_BF16;                                              \
        enum op_kernel kernel =                                                                    \
            (g)->tier == VK_TIER_COOPMAT                                                           \
                ? (bf16 ? KERNEL_##stem##_coopmat_bf16 : KERNEL_##stem##_coopmat)                  \
            : (g)->tier == VK_TIER_SHARED ? KERNEL_##stem##_shared                                 \
                                          : KERNEL_##stem##_direct;                                \
        dispatch_tiles(s, g, kernel, &args, sizeof args, &args.first);                             \
    } while (0)

// Words from the first to the last of `rows` rows.
static uint64_t extent(uint32_t rows, uint32_t stride, uint32_t heads, uint32_t head_dim)
{
    uint64_t cols = (uint64_t)heads * head_dim;
    CHECK(rows && stride >= cols && stride % 2 == 0);
    return (uint64_t)(rows - 1) * stride + cols;
}

// Rows are read by pairs of floats.
#define CHECK_ROWS(s, addr, words)                                                                 \
    do {                                                                                           \
        CHECK((addr) % 8 == 0);                                                                    \
        CHECK_WORDS(s, addr, words);                                                               \
    } while (0)

static void check_heads(uint32_t heads, uint32_t kv_heads, uint32_t head_dim)
{
    CHECK(kv_heads && kv_heads <= 65535 && heads && heads % kv_heads == 0);
    CHECK(head_dim && head_dim % 2 == 0 && head_dim <= MAX_HEAD_DIM);
}

void op_attention_fwd(struct vk_seq *s, const struct op_attention *p)
{
    check_heads(p->heads, p->kv_heads, p->head_dim);
    uint64_t kv = extent(p->keys, p->kv_stride, p->kv_heads, p->head_dim);
    CHECK_ROWS(s, p->o, extent(p->rows, p->o_stride, p->heads, p->head_dim));
    CHECK_ROWS(s, p->q, extent(p->rows, p->q_stride, p->heads, p->head_dim));
    CHECK_ROWS(s, p->k, kv);
    CHECK_ROWS(s, p->v, kv);
    CHECK_WORDS(s, p->lse, (uint64_t)p->rows * p->heads);
    CHECK_WORDS(s, p->spans, (uint64_t)p->rows * 4);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);

    struct attention_grid g =
        grid_of(s, &(struct attention_pass){.items = p->rows * (p->heads / p->kv_heads),
                                            .others = p->keys,
                                            .forward = true,
                                            .pair_flops = 4,
                                            .arrays_summed = 1,
                                            .item_words = 2,
                                            .kv_heads = p->kv_heads,
                                            .head_dim = p->head_dim});
    DISPATCH_TILES(s, &g, attention_fwd, .o = p->o, .lse = p->lse, .q = p->q, .k = p->k, .v = p->v,
                   .spans = p->spans, .live = p->live, .rows = p->rows, .heads = p->heads,
                   .kv_heads = p->kv_heads, .q_stride = p->q_stride, .kv_stride = p->kv_stride,
                   .o_stride = p->o_stride, .scale = p->scale);
}

static void bwd_query(struct vk_seq *s, const struct op_attention_bwd *p)
{
    struct attention_grid g =
        grid_of(s, &(struct attention_pass){.items = p->rows * (p->heads / p->kv_heads),
                                            .others = p->rows,
                                            .pair_flops = 6,
                                            .arrays_summed = 1,
                                            .item_words = 4,
                                            .kv_heads = p->kv_heads,
                                            .head_dim = p->head_dim});
    DISPATCH_TILES(s, &g, attention_bwd_query, .dq = p->dq, .delta = p->delta, .dout = p->dout,
                   .o = p->o, .lse = p->lse, .q = p->q, .k = p->k, .v = p->v, .spans = p->spans,
                   .live = p->live, .rows = p->rows, .heads = p->heads, .kv_heads = p->kv_heads,
                   .q_stride = p->q_stride, .kv_stride = p->kv_stride, .o_stride = p->o_stride,
                   .scale = p->scale);
}

static void bwd_key(struct vk_seq *s, const struct op_attention_bwd *p)
{
    struct attention_grid g =
        grid_of(s, &(struct attention_pass){.items = p->rows,
                                            .others = p->rows * (p->heads / p->kv_heads),
                                            .pair_flops = 8,
                                            .arrays_summed = 2,
                                            .item_words = 4,
                                            .kv_heads = p->kv_heads,
                                            .head_dim = p->head_dim});
    DISPATCH_TILES(s, &g, attention_bwd_key, .dk = p->dk, .dv = p->dv, .dout = p->dout,
                   .lse = p->lse, .delta = p->delta, .q = p->q, .k = p->k, .v = p->v,
                   .key_end = p->key_end, .live = p->live, .rows = p->rows, .heads = p->heads,
                   .kv_heads = p->kv_heads, .q_stride = p->q_stride, .kv_stride = p->kv_stride,
                   .o_stride = p->o_stride, .scale = p->scale);
}

void op_attention_bwd(struct vk_seq *s, const struct op_attention_bwd *p)
{
    check_heads(p->heads, p->kv_heads, p->head_dim);
    uint64_t q = extent(p->rows, p->q_stride, p->heads, p->head_dim);
    uint64_t kv = extent(p->rows, p->kv_stride, p->kv_heads, p->head_dim);
    uint64_t o = extent(p->rows, p->o_stride, p->heads, p->head_dim);
    CHECK_ROWS(s, p->dq, q);
    CHECK_ROWS(s, p->q, q);
    CHECK_ROWS(s, p->dk, kv);
    CHECK_ROWS(s, p->dv, kv);
    CHECK_ROWS(s, p->k, kv);
    CHECK_ROWS(s, p->v, kv);
    CHECK_ROWS(s, p->dout, o);
    CHECK_ROWS(s, p->o, o);
    CHECK_WORDS(s, p->lse, (uint64_t)p->rows * p->heads);
    CHECK_WORDS(s, p->delta, (uint64_t)p->rows * p->heads);
    CHECK_WORDS(s, p->spans, (uint64_t)p->rows * 4);
    CHECK_WORDS(s, p->key_end, p->rows);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    CHECK(p->dq != p->q && p->dk != p->k && p->dv != p->v); // both passes read q, k and v
    bwd_query(s, p);
    bwd_key(s, p);
}
