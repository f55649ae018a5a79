#include "ops/update.h"

#include "ops/extent.h"
#include "ops/variants.h"

#define BLOCK 256u // elements; arenas hold whole blocks
// Tiles of a workgroup, at least: enough work for its start to be cheap.
#define GROUP_TILES 4u

_Static_assert(GRAD_NORM_PARTIALS * 8 == OP_GRAD_NORM_PARTIAL_BYTES, "one partial sum is 8 bytes");
_Static_assert(ARENA_TILE == 1u << ARENA_TILE_LOG2, "tiles are powers of two");

static uint32_t log2_of(uint64_t power)
{
    uint32_t shift = 0;
    while ((uint64_t)1 << shift < power)
        shift++;
    return shift;
}

static struct op_arena arena_of(const struct vk_arena *arena, uint32_t element_bytes)
{
    uint64_t block = BLOCK * element_bytes;
    return (struct op_arena){.table = arena->table,
                             .span_shift = log2_of(arena->span_bytes / element_bytes),
                             .count = (arena->used / block + (arena->used % block != 0)) * BLOCK};
}

struct op_arena op_arena_of(const struct vk_arena *arena)
{
    return arena_of(arena, 4);
}

struct op_arena op_half_arena_of(const struct vk_arena *upper, const struct vk_arena *lower)
{
    struct op_arena a = arena_of(upper, 2);
    a.type = OP_BF16;
    a.lower = lower ? lower->table : 0;
    CHECK(!lower || lower->span_bytes == upper->span_bytes);
    return a;
}

struct op_arena op_code_arena_of(const struct vk_arena *arena)
{
    return arena_of(arena, 1);
}

static uint32_t blocks_of(const struct op_arena *a)
{
    return (uint32_t)(a->count / BLOCK);
}

static uint32_t tiles_of(const struct op_arena *a)
{
    return (uint32_t)(a->count / ARENA_TILE + (a->count % ARENA_TILE != 0));
}

// The spans themselves are the arena's own, and its table stands outside of what it hands out.
static void check_arena(const struct op_arena *a)
{
    CHECK(a->table);
    CHECK(a->count > 0 && a->count % BLOCK == 0);
    CHECK(a->span_shift >= ARENA_TILE_LOG2 && a->span_shift < 32);
    CHECK(a->count / ARENA_TILE < (uint64_t)1 << 28); // tile and block numbers have 32 bits
}

// The other arena has the same layout.
static void check_same(const struct op_arena *a, const struct op_arena *b)
{
    check_arena(b);
    CHECK(a->count == b->count && a->span_shift == b->span_shift);
}

// The variants of a kernel for the types of weights and gradients: master halves or fp32; bf16 or
// fp32.
#define VARIANT_BY_ARENAS(s, kernel, weight, grad)                                                 \
    ((weight)->type == OP_F32  ? VARIANT(s, kernel)                                                \
     : (grad)->type == OP_BF16 ? VARIANT(s, kernel##_w16_g16)                                      \
                               : VARIANT(s, kernel##_w16))

static void check_masters(const struct op_arena *a)
{
    CHECK((a->type == OP_BF16) == (a->lower != 0));
}

static void check_types(const struct op_arena *weight, const struct op_arena *grad)
{
    check_masters(weight);
    CHECK(!grad->lower && (grad->type == OP_F32 || weight->type == OP_BF16));
}

static double element(const struct op_arena *a)
{
    return op_type_bytes(a->type) + (a->lower ? 2.0 : 0.0);
}

void op_grad_norm(struct vk_seq *s, const struct op_grad_norm *p)
{
    check_arena(&p->grad);
    CHECK_WORDS(s, p->results, sizeof(struct step_results) / 4);
    CHECK_WORDS(s, p->partial, OP_GRAD_NORM_PARTIAL_BYTES / 4);
    uint32_t all = tiles_of(&p->grad);
    uint32_t tiles = all / GRAD_NORM_PARTIALS + (all % GRAD_NORM_PARTIALS != 0);
    if (tiles < GROUP_TILES) tiles = GROUP_TILES;
    uint32_t partials = all / tiles + (all % tiles != 0);
    CHECK(!p->grad.lower);
    vk_cost(s, 3.0 * (double)p->grad.count, element(&p->grad) * (double)p->grad.count);
    DISPATCH_ID(s, p->grad.type == OP_BF16 ? VARIANT(s, grad_norm_g16) : VARIANT(s, grad_norm),
                grad_norm, groups(partials), .grad = p->grad.table, .partial = p->partial,
                .blocks = blocks_of(&p->grad), .span_shift = p->grad.span_shift - ARENA_TILE_LOG2,
                .tiles = tiles);
    vk_cost(s, partials, 8.0 * partials);
    DISPATCH(s, grad_norm_sum, groups(1), .partial = p->partial, .results = p->results,
             .partials = partials, .max_norm = p->max_norm);
}

void op_scale_by_loss(struct vk_seq *s, const struct op_scale_by_loss *p)
{
    CHECK_WORDS(s, p->y, p->count);
    CHECK_WORDS(s, p->results, sizeof(struct step_results) / 4);
    CHECK_OPTIONAL_WORDS(s, p->live, 1);
    vk_cost(s, p->count, 8.0 * p->count);
    DISPATCH(s, scale_by_loss, groups_of(p->count, FILL_WORDS_PER_GROUP), .y = p->y,
             .live = p->live, .results = p->results, .count = p->count);
}

void op_adamw(struct vk_seq *s, const struct op_adamw *p)
{
    double count = (double)p->weight.count;
    check_arena(&p->weight);
    check_same(&p->weight, &p->grad);
    check_same(&p->weight, &p->m);
    check_same(&p->weight, &p->v);
    CHECK_WORDS(s, p->step, sizeof(struct step_values) / 4);
    CHECK_WORDS(s, p->results, sizeof(struct step_results) / 4);
    CHECK_OPTIONAL_WORDS(s, p->decay, (p->weight.count / BLOCK + 31) / 32);
    check_types(&p->weight, &p->grad);
    // 1 - beta in double: in float it would lose half the digits of a beta near 1.
    vk_cost(s, 18.0 * count, (24.0 + 2 * element(&p->grad)) * count);
    DISPATCH_ID(s, VARIANT_BY_ARENAS(s, adamw, &p->weight, &p->grad), adamw,
                groups_of(tiles_of(&p->weight), GROUP_TILES), .weight = p->weight.table,
                .weight_lower = p->weight.lower, .grad = p->grad.table, .m = p->m.table,
                .v = p->v.table, .step = p->step, .results = p->results, .decay = p->decay,
                .blocks = blocks_of(&p->weight),
                .span_shift = p->weight.span_shift - ARENA_TILE_LOG2, .tiles = GROUP_TILES,
                .beta1 = (float)p->beta1, .beta2 = (float)p->beta2,
                .one_minus_beta1 = (float)(1 - p->beta1), .one_minus_beta2 = (float)(1 - p->beta2),
                .epsilon = p->epsilon, .weight_decay = p->weight_decay);
}

void op_adamw_8bit(struct vk_seq *s, const struct op_adamw_8bit *p)
{
    double count = (double)p->weight.count;
    check_arena(&p->weight);
    check_same(&p->weight, &p->grad);
    check_same(&p->weight, &p->m);
    check_same(&p->weight, &p->v);
    CHECK_WORDS(s, p->scales, p->weight.count / BLOCK * (OP_ADAMW_8BIT_SCALE_BYTES / 4));
    CHECK_WORDS(s, p->step, sizeof(struct step_values) / 4);
    CHECK_WORDS(s, p->results, sizeof(struct step_results) / 4);
    CHECK_OPTIONAL_WORDS(s, p->decay, (p->weight.count / BLOCK + 31) / 32);
    check_types(&p->weight, &p->grad);
    struct vk_launch launch = groups_of(tiles_of(&p->weight), GROUP_TILES);
    // A subgroup there, which finds its scales without barriers; a lane has 8 elements at least.
    uint32_t subgroup = vk_device_caps(vk_seq_device(s))->subgroup_size;
    if (op_on_cpu(s)) launch.local = subgroup < BLOCK / 8 ? subgroup : BLOCK / 8;
    vk_cost(s, 60.0 * count, (12.0 + 2 * element(&p->grad) + 16.0 / BLOCK) * count);
    DISPATCH_ID(s, VARIANT_BY_ARENAS(s, adamw_8bit, &p->weight, &p->grad), adamw_8bit, launch,
                .weight = p->weight.table, .weight_lower = p->weight.lower, .grad = p->grad.table,
                .m = p->m.table, .v = p->v.table, .scales = p->scales, .step = p->step,
                .results = p->results, .decay = p->decay, .blocks = blocks_of(&p->weight),
                .span_shift = p->weight.span_shift - ARENA_TILE_LOG2, .tiles = GROUP_TILES,
                .beta1 = (float)p->beta1, .beta2 = (float)p->beta2,
                .one_minus_beta1 = (float)(1 - p->beta1), .one_minus_beta2 = (float)(1 - p->beta2),
                .epsilon = p->epsilon, .weight_decay = p->weight_decay);
}

void op_ref_update(struct vk_seq *s, const struct op_ref_update *p)
{
    double count = (double)p->ref.count;
    check_arena(&p->ref);
    check_same(&p->ref, &p->policy);
    CHECK(p->alpha >= 0 && p->alpha <= 1);
    CHECK_WORDS(s, p->results, sizeof(struct step_results) / 4);
    struct vk_launch grid = groups_of(p->alpha > 0 ? tiles_of(&p->ref) : 1, GROUP_TILES);
    vk_cost(s, p->alpha < 1 ? 3.0 * count : 0, p->alpha < 1 ? 12.0 * count : 8.0 * count);
    check_masters(&p->ref);
    check_masters(&p->policy);
    CHECK(p->ref.type == p->policy.type);
    DISPATCH_ID(s, VARIANT_BY_WEIGHTS(s, ref_update, p->ref.type), ref_update, grid,
                .ref = p->ref.table, .ref_lower = p->ref.lower, .policy = p->policy.table,
                .policy_lower = p->policy.lower, .results = p->results,
                .blocks = blocks_of(&p->ref), .span_shift = p->ref.span_shift - ARENA_TILE_LOG2,
                .tiles = GROUP_TILES, .alpha = p->alpha);
}
