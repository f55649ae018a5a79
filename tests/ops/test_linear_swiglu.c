// A product with SwiGLU is one pass where it should be, which results do not tell: the profile
// does.
#include "profiled.h"

#include "base/mem.h"
#include "ops/matmul.h"
#include "vk/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SCRATCH_BYTES (1u << 20)

struct trial {
    uint32_t rows, ffn, in;
    enum vk_tier tier;
    bool scratch, bias;
    uint32_t products, activations; // dispatches; products 0: of one kernel or another
};

static const struct trial trials[] = {
    {40, 64, 256, VK_TIER_DIRECT, true, true, 0, 1},
    {20, 12, 96, VK_TIER_SHARED, true, true, 1, 0},
    {40, 64, 256, VK_TIER_SHARED, true, false, 1, 0},
    {70, 33, 31, VK_TIER_SHARED, true, true, 1, 0},
    {1665, 833, 9, VK_TIER_SHARED, true, true, 1, 0},
    // The last of two parts of the depth, and one that has slices if there is scratch.
    {40, 64, 1040, VK_TIER_SHARED, false, true, 2, 0},
    {40, 64, 1024, VK_TIER_SHARED, true, false, 1, 1},
    {40, 64, 1024, VK_TIER_SHARED, false, false, 1, 0},
    {20, 20, 96, VK_TIER_COOPMAT, true, true, 1, 0},
    {40, 64, 256, VK_TIER_COOPMAT, true, false, 1, 0},
    {70, 33, 31, VK_TIER_COOPMAT, true, true, 1, 0},
    {40, 64, 1040, VK_TIER_COOPMAT, true, true, 1, 1},
    {40, 64, 256, VK_TIER_COOPMAT2, true, false, 1, 1},
};
#define COUNT (sizeof trials / sizeof *trials)

struct recorded {
    struct op_linear_swiglu op;
    struct op_linear_setup setup;
    enum vk_tier tier;
};

static void record(struct vk_seq *s, void *ctx)
{
    const struct recorded *r = ctx;
    op_linear_use(s, &r->setup);
    linear_swiglu_tier(s, &r->op, r->tier);
}

// Runs the trial and compares the numbers of its dispatches; gate_up into `out`.
static void run(struct vk_device *d, const struct trial *t, struct recorded *r, float *out)
{
    uint32_t activations = r->op.h ? t->activations : 0;
    vk_profile_reset(d);
    require(vk_run_once(d, "swiglu", record, r));
    assert_int_equal(profiled_calls(d, "swiglu_fwd"), activations);
    if (t->products)
        assert_int_equal(
            profiled_calls(d, t->tier >= VK_TIER_COOPMAT ? "matmul_coopmat" : "matmul_shared"),
            t->products);
    require(vk_read(d, r->op.gate_up, out, 8 * (uint64_t)t->rows * t->ffn));
}

static void try(struct vk_device *d, const struct trial *t)
{
    struct rng rng = rng_begin(5, 0);
    struct vk_arena a;
    uint64_t h_count = (uint64_t)t->rows * t->ffn;
    require(vk_arena_init(&a, d, &(struct vk_arena_params){.name = "a", .bytes = 64 << 20}));
    struct recorded r = {.tier = t->tier,
                         .op = {.rows = t->rows, .in = t->in, .ffn = t->ffn},
                         .setup = {.units = t->tier >= VK_TIER_COOPMAT ? OP_UNITS_FP16 : 0}};
    r.op.x = put_normal(d, &a, (uint64_t)t->rows * t->in, &rng);
    r.op.w = put_normal(d, &a, 2ull * t->ffn * t->in, &rng);
    r.op.bias = t->bias ? put_normal(d, &a, 2ull * t->ffn, &rng) : 0;
    r.op.gate_up = put_normal(d, &a, 2 * h_count, &rng);
    r.op.h = put_normal(d, &a, h_count, &rng);
    r.setup.scratch_bytes = t->scratch ? SCRATCH_BYTES : 0;
    r.setup.scratch = t->scratch ? vk_arena_alloc(&a, SCRATCH_BYTES) : 0;
    float *with = MEM_ARRAY(float, 2 * h_count), *without = MEM_ARRAY(float, 2 * h_count);
    float *h = MEM_ARRAY(float, h_count), *kept = MEM_ARRAY(float, h_count);
    run(d, t, &r, with);
    require(vk_read(d, r.op.h, h, 4 * h_count));
    // As a layer is done again: gate_up anew, and the same; h is left alone.
    memset(without, 0xff, 8 * h_count);
    require(vk_write(d, r.op.gate_up, without, 8 * h_count));
    struct recorded again = r;
    again.op.h = 0;
    run(d, t, &again, without);
    require(vk_read(d, r.op.h, kept, 4 * h_count));
    assert_memory_equal(with, without, 8 * h_count);
    assert_memory_equal(h, kept, 4 * h_count);
    mem_free(with);
    mem_free(without);
    mem_free(h);
    mem_free(kept);
    vk_arena_finish(&a);
}

static void passes(void **state)
{
    (void)state;
    struct vk_device *d = profiled_device();
    for (size_t i = 0; i < COUNT; i++) {
        print_message("%u x %u, depth %u, tier %d\n", trials[i].rows, trials[i].ffn, trials[i].in,
                      trials[i].tier);
        if (profiled_has(d, trials[i].tier))
            try(d, &trials[i]);
        else
            print_message("  not on this device\n");
    }
    vk_device_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(passes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
