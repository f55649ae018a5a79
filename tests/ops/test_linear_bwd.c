// Both gradients of a linear layer at once: the bits of one after the other. Products that are said
// to stand alone, as they must in a group, are one dispatch, and the others are more.
#define _POSIX_C_SOURCE 200809L // setenv
#include "profiled.h"

#include "base/mem.h"
#include "ops/matmul.h"
#include "vk/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SCRATCH_BYTES (8u << 20)

struct trial {
    uint32_t rows, in, out;
    bool scratch, bias;
    bool alone[2][2]; // dw and dx: in the shared tier, and on matrix units
};

static const struct trial trials[] = {
    {65, 33, 47, true, true, {{true, true}, {true, true}}},
    {257, 130, 200, true, false, {{true, true}, {true, true}}},
    // Sums over 512 rows or more have slices, if there is scratch; over more than 1024 two parts in
    // the shared tier.
    {520, 40, 44, true, true, {{false, true}, {false, true}}},
    {520, 40, 44, false, true, {{true, true}, {true, true}}},
    {1100, 24, 600, false, false, {{false, true}, {true, true}}},
    {40, 48, 1100, true, true, {{true, false}, {true, false}}},
};

struct recorded {
    struct op_linear_bwd_weight weight;
    struct op_linear_bwd_input input;
    struct op_linear_setup setup;
    enum { TOGETHER, WEIGHT, INPUT } what;
    enum vk_tier tier;
    bool alone;
};

static void record(struct vk_seq *s, void *ctx)
{
    struct recorded *r = ctx;
    struct matmul product =
        r->what == WEIGHT ? matmul_of_bwd_weight(&r->weight) : matmul_of_bwd_input(&r->input);
    op_linear_use(s, &r->setup);
    r->alone = r->tier == VK_TIER_SHARED ? matmul_shared_alone(s, &product)
                                         : matmul_coopmat_alone(s, &product, r->tier);
    if (r->what == TOGETHER)
        op_linear_bwd(s, &r->weight, &r->input);
    else if (r->what == WEIGHT)
        op_linear_bwd_weight(s, &r->weight);
    else
        op_linear_bwd_input(s, &r->input);
}

struct results {
    float *dw, *dx, *dbias;
};

static struct results results_for(const struct trial *t)
{
    return (struct results){.dw = MEM_ARRAY(float, (uint64_t)t->out * t->in),
                            .dx = MEM_ARRAY(float, (uint64_t)t->rows * t->in),
                            .dbias = MEM_ARRAY(float, t->out)};
}

static const char *kernel_of(enum vk_tier tier)
{
    return tier == VK_TIER_SHARED    ? "matmul_shared"
           : tier == VK_TIER_COOPMAT ? "matmul_coopmat"
                                     : "matmul_coopmat2";
}

// Runs it from the same numbers in `start`.
static uint64_t run(struct vk_device *d, const struct trial *t, struct recorded *r,
                    const struct results *start, struct results *end)
{
    uint64_t w = 4 * (uint64_t)t->out * t->in, x = 4 * (uint64_t)t->rows * t->in;
    vk_profile_reset(d);
    if (r->what != INPUT) {
        require(vk_write(d, r->weight.dw, start->dw, w));
        if (t->bias) require(vk_write(d, r->weight.dbias, start->dbias, 4 * t->out));
    }
    require(vk_run_once(d, "backward", record, r));
    if (r->what != INPUT) {
        require(vk_read(d, r->weight.dw, end->dw, w));
        if (t->bias) require(vk_read(d, r->weight.dbias, end->dbias, 4 * t->out));
    }
    if (r->what != WEIGHT) require(vk_read(d, r->input.dx, end->dx, x));
    assert_true(profiled_calls(d, kernel_of(r->tier)) > 0);
    return profiled_calls(d, "matmul");
}

static void try(struct vk_device *d, const struct trial *t, enum vk_tier tier)
{
    struct rng rng = rng_begin(6, 0);
    struct vk_arena a;
    require(vk_arena_init(&a, d, &(struct vk_arena_params){.name = "a", .bytes = 64 << 20}));
    vk_addr dy = put_normal(d, &a, (uint64_t)t->rows * t->out, &rng);
    struct recorded r = {.tier = tier,
                         .weight = {.dw = put_normal(d, &a, (uint64_t)t->out * t->in, &rng),
                                    .dbias = t->bias ? put_normal(d, &a, t->out, &rng) : 0,
                                    .dy = dy,
                                    .x = put_normal(d, &a, (uint64_t)t->rows * t->in, &rng),
                                    .rows = t->rows,
                                    .in = t->in,
                                    .out = t->out},
                         .input = {.dx = put_normal(d, &a, (uint64_t)t->rows * t->in, &rng),
                                   .dy = dy,
                                   .w = put_normal(d, &a, (uint64_t)t->out * t->in, &rng),
                                   .rows = t->rows,
                                   .in = t->in,
                                   .out = t->out},
                         .setup = {.units = tier >= VK_TIER_COOPMAT ? OP_UNITS_FP16 : OP_UNITS_FP32,
                                   .scratch = t->scratch ? vk_arena_alloc(&a, SCRATCH_BYTES) : 0,
                                   .scratch_bytes = t->scratch ? SCRATCH_BYTES : 0}};
    struct results start = results_for(t), together = results_for(t), apart = results_for(t);
    for (uint64_t i = 0; i < (uint64_t)t->out * t->in; i++)
        start.dw[i] = (float)i;
    for (uint32_t i = 0; i < t->out; i++)
        start.dbias[i] = (float)i;
    r.what = TOGETHER;
    run(d, t, &r, &start, &together);
    for (r.what = WEIGHT; r.what <= INPUT; r.what++) {
        uint64_t calls = run(d, t, &r, &start, &apart);
        assert_int_equal(r.alone, t->alone[tier >= VK_TIER_COOPMAT][r.what - WEIGHT]);
        assert_int_equal(r.alone, calls == 1);
    }
    assert_memory_equal(together.dw, apart.dw, 4 * (uint64_t)t->out * t->in);
    assert_memory_equal(together.dx, apart.dx, 4 * (uint64_t)t->rows * t->in);
    if (t->bias) assert_memory_equal(together.dbias, apart.dbias, 4 * t->out);
    assert_memory_not_equal(together.dw, start.dw, 4 * (uint64_t)t->out * t->in);
    for (int i = 0; i < 3; i++) {
        struct results *all[] = {&start, &together, &apart};
        mem_free(all[i]->dw);
        mem_free(all[i]->dx);
        mem_free(all[i]->dbias);
    }
    vk_arena_finish(&a);
}

static void same_bits(void **state)
{
    static const struct {
        enum vk_tier tier;
        const char *name;
    } tiers[] = {
        {VK_TIER_SHARED, "shared"}, {VK_TIER_COOPMAT, "coopmat"}, {VK_TIER_COOPMAT2, "coopmat2"}};
    struct vk_device *d = profiled_device();
    (void)state;
    for (size_t k = 0; k < sizeof tiers / sizeof *tiers; k++) {
        bool has = profiled_has(d, tiers[k].tier);
        print_message("%s%s\n", tiers[k].name, has ? "" : ": not on this device");
        setenv("TRDPO_TIER", tiers[k].name, 1);
        for (size_t i = 0; has && i < sizeof trials / sizeof *trials; i++) {
            print_message("  %u x %u, from %u\n", trials[i].rows, trials[i].in, trials[i].out);
            try(d, &trials[i], tiers[k].tier);
        }
    }
    unsetenv("TRDPO_TIER");
    vk_device_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
