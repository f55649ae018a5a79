// Sequences: replayed, cut, grouped, refused, and checked by the step counter.
#include "fixture.h"

#define COUNT 5000u
#define STEPS 40u

struct chain {
    vk_addr y;
    uint32_t steps;
    bool grouped;
    double flops; // claimed for each dispatch; 0: none
};

static void record_chain(struct vk_seq *s, void *ctx)
{
    const struct chain *c = ctx;
    for (uint32_t i = 0; i < c->steps; i++) {
        struct vk_launch launch = {.local = 32, .x = (COUNT + 31) / 32};
        vk_cost(s, c->flops, 0);
        TEST_DISPATCH(s, affine, launch, .y = c->y, .count = COUNT, .factor = 2 * i + 3,
                      .term = i * i + 1);
    }
}

static void expect_chain(uint32_t *y, uint32_t steps, uint32_t times)
{
    while (times--)
        for (uint32_t i = 0; i < steps; i++)
            for (uint32_t k = 0; k < COUNT; k++)
                y[k] = y[k] * (2 * i + 3) + i * i + 1;
}

static void assert_words(struct vk_device *d, vk_addr at, const uint32_t *want, uint32_t count)
{
    uint32_t *got = MEM_ARRAY(uint32_t, count);
    assert_ok(vk_read(d, at, got, count * sizeof *got));
    assert_memory_equal(got, want, count * sizeof *got);
    mem_free(got);
}

// Submitted again and again without a wait: every step of every run, in order.
static void replay(void **state)
{
    struct fixture *f = *state;
    struct chain c = {.y = vk_arena_alloc(&f->arena, COUNT * 4), .steps = STEPS};
    uint32_t *y = make_words(COUNT, 2654435761u);
    assert_ok(vk_write(f->device, c.y, y, COUNT * 4));
    struct vk_seq *s = vk_seq_create(f->device, "chain", record_chain, &c);
    assert_int_equal(vk_seq_submissions(s), 0);
    for (int i = 0; i < 60; i++)
        assert_ok(vk_seq_submit(s));
    assert_ok(vk_wait_all(f->device));
    expect_chain(y, STEPS, 60);
    assert_words(f->device, c.y, y, COUNT);
    vk_seq_destroy(s);
    mem_free(y);
}

// However it is cut, the bits are the same.
static void cuts(void **state)
{
    struct fixture *f = *state;
    static const double budgets[] = {1e-9, 2.5, 7.0, 1000};
    static const size_t pieces[] = {STEPS, STEPS / 2, (STEPS + 5) / 6, 1};
    for (int b = 0; b < 4; b++) {
        // A second for each dispatch by claim; no timestamps, so nothing is learnt.
        struct chain c = {.y = vk_arena_alloc(&f->arena, COUNT * 4), .steps = STEPS, .flops = 1e9};
        uint32_t *y = make_words(COUNT, 40503u);
        f->device->rates = (struct vk_rates){.flops = 1e9, .bytes = 1e9, .launch = 1e-12};
        f->device->caps.timestamp_ns = 0;
        vk_set_submission_budget(f->device, budgets[b]);
        assert_ok(vk_write(f->device, c.y, y, COUNT * 4));
        struct vk_seq *s = vk_seq_create(f->device, "cut chain", record_chain, &c);
        uint64_t before = vk_ticket(f->device);
        assert_ok(vk_seq_submit(s) && vk_seq_submit(s));
        assert_int_equal(vk_seq_submissions(s), pieces[b]);
        assert_int_equal(vk_ticket(f->device) - before, 2 * vk_seq_submissions(s));
        expect_chain(y, STEPS, 2);
        assert_words(f->device, c.y, y, COUNT);
        vk_seq_destroy(s);
        mem_free(y);
    }
}

// A piece that took too long is cut finer when the sequence is recorded again; the sum of pieces
// that took far less than thought is joined.
static void learns(void **state)
{
    struct fixture *f = *state;
    struct chain c = {.y = vk_arena_alloc(&f->arena, COUNT * 4), .steps = STEPS, .flops = 1e9};
    uint32_t *y = make_words(COUNT, 7u);
    assert_ok(vk_write(f->device, c.y, y, COUNT * 4));
    f->device->rates = (struct vk_rates){.flops = 1e9, .bytes = 1e9, .launch = 1e-12};
    vk_set_submission_budget(f->device, 10.5);
    struct vk_seq *s = vk_seq_create(f->device, "taught chain", record_chain, &c);
    assert_ok(vk_seq_submit(s) && vk_wait_all(f->device));
    assert_int_equal(vk_seq_submissions(s), 4);
    s->harvested = true; // what the clock really said does not matter here
    vk_seq_measured(s, &s->pieces.items[0], 20.0); // ten dispatches: two seconds each, not one
    vk_seq_measured(s, &s->pieces.items[1], 10.0);
    vk_seq_measured(s, &s->pieces.items[2], 0.5);
    vk_seq_measured(s, &s->pieces.items[3], 0.5);
    s->recorded = false;
    assert_ok(vk_seq_submit(s) && vk_wait_all(f->device));
    // Five of two seconds twice; ten of one second and nine of a twentieth; the rest.
    assert_int_equal(vk_seq_submissions(s), 4);
    assert_int_equal(s->pieces.items[0].count, 5);
    assert_int_equal(s->pieces.items[1].count, 5);
    assert_int_equal(s->pieces.items[2].count, 19);
    assert_int_equal(s->pieces.items[3].count, 11);
    expect_chain(y, STEPS, 2);
    assert_words(f->device, c.y, y, COUNT);
    vk_seq_destroy(s);
    mem_free(y);
}

// Real timestamps join pieces that were thought to take hours.
static void learns_from_timestamps(void **state)
{
    struct fixture *f = *state;
    if (f->device->caps.timestamp_ns <= 0) skip();
    struct chain c = {.y = vk_arena_alloc(&f->arena, COUNT * 4), .steps = STEPS, .flops = 1e9};
    f->device->rates = (struct vk_rates){.flops = 1e6, .bytes = 1e6, .launch = 1e-6};
    vk_set_submission_budget(f->device, 1000);
    struct vk_seq *s = vk_seq_create(f->device, "slow by claim", record_chain, &c);
    assert_ok(vk_seq_submit(s));
    assert_int_equal(vk_seq_submissions(s), STEPS);
    assert_ok(vk_seq_submit(s));
    assert_int_equal(vk_seq_submissions(s), 1);
    vk_seq_destroy(s);
}

static void rates(void **state)
{
    (void)state;
    struct vk_rates r = {.flops = 1e12, .bytes = 1e11, .launch = 1e-5, .budget = 0.25};
    struct vk_cost_sum compute = {.flops = 1e12, .bytes = 1e9, .launches = 1};
    // Too hopeful: right at once. Too careful: near after a few.
    vk_rates_learn(&r, &compute, 10.0);
    assert_true(vk_rates_seconds(&r, &compute) > 9 && vk_rates_seconds(&r, &compute) < 11);
    for (int i = 0; i < 20; i++)
        vk_rates_learn(&r, &compute, 0.5);
    assert_true(vk_rates_seconds(&r, &compute) > 0.4 && vk_rates_seconds(&r, &compute) < 0.6);
    assert_true(r.bytes == 1e11 && r.launch == 1e-5);
    struct vk_cost_sum traffic = {.flops = 1, .bytes = 1e11, .launches = 1};
    vk_rates_learn(&r, &traffic, 4.0);
    assert_true(r.bytes < 0.3e11);
    struct vk_cost_sum nothing = {.launches = 1000};
    vk_rates_learn(&r, &nothing, 0.02);
    assert_true(r.launch > 1.9e-5 && r.launch < 2.1e-5);
    // Nonsense teaches nothing.
    struct vk_rates before = r;
    vk_rates_learn(&r, &nothing, 0);
    vk_rates_learn(&r, &(struct vk_cost_sum){0}, 1);
    assert_memory_equal(&before, &r, sizeof r);
}

static void record_group(struct vk_seq *s, void *ctx)
{
    const struct chain *c = ctx;
    for (int round = 0; round < 10; round++) {
        vk_group_begin(s);
        for (uint32_t part = 0; part < 4; part++)
            affine(s, c->y + part * 4096, 1024, 5 + part, 3);
        vk_group_end(s);
        affine(s, c->y, 4096, 3, 1); // over all parts
    }
}

static void group(void **state)
{
    struct fixture *f = *state;
    struct chain c = {.y = vk_arena_alloc(&f->arena, 4096 * 4)};
    uint32_t *y = make_words(4096, 77u);
    assert_ok(vk_write(f->device, c.y, y, 4096 * 4));
    assert_ok(vk_run_once(f->device, "groups", record_group, &c));
    for (int round = 0; round < 10; round++) {
        for (uint32_t k = 0; k < 4096; k++)
            y[k] = (y[k] * (5 + k / 1024) + 3) * 3 + 1;
    }
    assert_words(f->device, c.y, y, 4096);
    mem_free(y);
}

static void record_nothing(struct vk_seq *s, void *ctx)
{
    (void)ctx;
    assert_non_null(vk_seq_device(s));
}

static void empty(void **state)
{
    struct fixture *f = *state;
    uint64_t before = vk_ticket(f->device);
    assert_ok(vk_run_once(f->device, "nothing", record_nothing, NULL));
    assert_int_equal(vk_ticket(f->device), before + 1);
}

// ---- what cannot run ----

struct launch_case {
    const struct vk_kernel *kernel;
    struct vk_launch launch;
    vk_addr y;
};

static void record_launch(struct vk_seq *s, void *ctx)
{
    const struct launch_case *c = ctx;
    affine(s, c->y, 64, 3, 1);
    struct affine_args args = {.y = c->y};
    vk_dispatch(s, c->kernel, c->launch, &args, sizeof args);
    affine(s, c->y, 64, 3, 1);
}

static void refused(void **state)
{
    struct fixture *f = *state;
    const struct vk_kernel *k = &test_kernels[TEST_affine];
    struct vk_kernel missing = {.name = "left_out", .push_bytes = sizeof(struct affine_args)};
    struct launch_case c = {.kernel = &missing, .y = vk_arena_alloc(&f->arena, 1024)};
    uint32_t word = 0;
    struct vk_seq *s = vk_seq_create(f->device, "refused", record_launch, &c);
    assert_ok(vk_write(f->device, c.y, &word, 4));
    assert_false(vk_seq_submit(s));
    assert_error(ERR_DEVICE, "kernel 'left_out' is not in this build");
    assert_false(vk_seq_submit(s)); // every time
    assert_error(ERR_DEVICE, "'refused'");

    c = (struct launch_case){.kernel = k, .y = c.y};
    c.launch.y = f->device->caps.max_groups[1];
    if (c.launch.y < UINT32_MAX) {
        c.launch.y++;
        assert_false(vk_seq_submit(s));
        assert_error(ERR_DEVICE, "kernel 'affine': a grid of 1 x ");
    }
    c.launch = (struct vk_launch){.local = f->device->max_local + 1};
    assert_false(vk_seq_submit(s));
    assert_error(ERR_DEVICE, "kernel 'affine' wants workgroups of ");

    // Nothing of it ran, and the sequence is fit for use once its reason is gone.
    assert_ok(vk_read(f->device, c.y, &word, 4));
    assert_int_equal(word, 0);
    c.launch = (struct vk_launch){.local = 1};
    assert_ok(vk_seq_submit(s));
    assert_ok(vk_read(f->device, c.y, &word, 4));
    assert_int_equal(word, 4);
    vk_seq_destroy(s);
}

// ---- the step counter ----

static void dropped_work_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct chain c = {.y = vk_arena_alloc(&f->arena, COUNT * 4), .steps = 2};
    struct vk_seq *s = vk_seq_create(f->device, "the lost step", record_chain, &c);
    assert_ok(vk_seq_submit(s) && vk_wait_all(f->device));
    vk_drop_submissions(f->device, 1);
    assert_ok(vk_seq_submit(s)); // as the driver says
    assert_false(vk_wait_all(f->device));
    assert_error(ERR_DEVICE, "the lost step");
    // It stays so: no later work makes up for it.
    assert_true(vk_seq_submit(s) ? !vk_wait_all(f->device) : true);
    assert_error(ERR_DEVICE, "dropped or cancelled");
    uint32_t word;
    assert_false(vk_read(f->device, c.y, &word, 4));
    err_clear();
    vk_seq_destroy(s);
}

static void overwritten_counter_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct launch_case c = {.kernel = &test_kernels[TEST_affine], .y = f->device->counter->addr};
    assert_false(vk_run_once(f->device, "stray writes", record_launch, &c));
    assert_error(ERR_DEVICE, "overwritten");
}

// A sequence that has run for long still gives the right bits when its counter wraps round.
static void counter_wraps(void **state)
{
    struct fixture *f = *state;
    struct chain c = {.y = vk_arena_alloc(&f->arena, COUNT * 4), .steps = 2};
    uint32_t *y = make_words(COUNT, 3u);
    assert_ok(vk_write(f->device, c.y, y, COUNT * 4) && vk_wait_all(f->device));
    uint32_t near = UINT32_MAX - 3;
    // As if 2^32 - 4 submissions had run: the timeline goes there, and so does the counter.
    uint64_t value = ((uint64_t)1 << 32) - 4;
    VkSemaphoreSignalInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO,
                                  .semaphore = f->device->timeline,
                                  .value = value};
    assert_int_equal(vkSignalSemaphore(f->device->handle, &info), VK_SUCCESS);
    f->device->submitted = value;
    memcpy(f->device->counter->host, &near, 4);
    struct vk_seq *s = vk_seq_create(f->device, "chain", record_chain, &c);
    for (int i = 0; i < 10; i++)
        assert_ok(vk_seq_submit(s) && vk_wait_all(f->device));
    expect_chain(y, 2, 10);
    assert_words(f->device, c.y, y, COUNT);
    vk_seq_destroy(s);
    mem_free(y);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    SKIP_IF_NOT_INSTALLED();
    const struct CMUnitTest tests[] = {
        TEST(replay),
        TEST(cuts),
        TEST(learns),
        TEST(learns_from_timestamps),
        cmocka_unit_test(rates),
        TEST(group),
        TEST(empty),
        TEST(refused),
        TEST(dropped_work_is_noticed),
        TEST(overwritten_counter_is_noticed),
        TEST(counter_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
