// Learning rates by step against transformers' get_scheduler with PyTorch (constants made by them).
#include "train/schedule.h"

#include "../common/scratch.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

// The rates are those of this line of Python, for step in range(total + 1):
//   o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
//   s = transformers.get_scheduler(type, o, warmup, total, scheduler_specific_kwargs=kwargs)
//   print(s.get_last_lr()[0]); o.step(); s.step()
static struct train_schedule_plan plan_with(const char *type, const char *kwargs, const char *rate,
                                            const char *warmup, int64_t total)
{
    struct train_config c;
    train_config_init(&c);
    assert_true(train_config_set(&c, "learning_rate", rate, "test"));
    assert_true(train_config_set(&c, "lr_scheduler_type", type, "test"));
    assert_true(train_config_set(&c, "warmup_steps", warmup, "test"));
    REQUIRE(train_config_set(&c, "lr_scheduler_kwargs", kwargs, "test"));
    struct train_schedule_plan p = train_schedule_make(&c, total);
    train_config_finish(&c);
    return p;
}

static struct train_schedule_plan plan(const char *type, const char *warmup, int64_t total)
{
    return plan_with(type, "{}", "1", warmup, total);
}

static void expect_rates(const struct train_schedule_plan *p, const double *want, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double got = train_schedule_rate(p, i);
        if (!(fabs(got - want[i]) <= 1e-15))
            fail_msg("step %lld: %.17g, want %.17g", (long long)i, got, want[i]);
    }
}

#define EXPECT_RATES_WITH(type, kwargs, rate, warmup, total, ...)                                  \
    do {                                                                                           \
        const double want_[] = {__VA_ARGS__};                                                      \
        struct train_schedule_plan p_ = plan_with(type, kwargs, rate, warmup, total);              \
        expect_rates(&p_, want_, sizeof want_ / sizeof *want_);                                    \
    } while (0)
#define EXPECT_RATES(type, warmup, total, ...)                                                     \
    EXPECT_RATES_WITH(type, "{}", "1", warmup, total, __VA_ARGS__)

static void linear(void **state)
{
    (void)state;
    EXPECT_RATES("linear", "0", 6, 1.0, 0.8333333333333334, 0.6666666666666666, 0.5,
                 0.3333333333333333, 0.16666666666666666, 0.0, 0.0);
    EXPECT_RATES("linear", "3", 10, 0.0, 0.3333333333333333, 0.6666666666666666, 1.0,
                 0.8571428571428571, 0.7142857142857143, 0.5714285714285714, 0.42857142857142855,
                 0.2857142857142857, 0.14285714285714285, 0.0, 0.0);
    EXPECT_RATES("linear", "7", 7, 0.0, 0.14285714285714285, 0.2857142857142857,
                 0.42857142857142855, 0.5714285714285714, 0.7142857142857143, 0.8571428571428571,
                 0.0, 0.0);
    EXPECT_RATES("linear", "10", 6, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5); // a run that ends in warm-up
}

static void cosine(void **state)
{
    (void)state;
    EXPECT_RATES("cosine", "0", 5, 1.0, 0.9045084971874737, 0.6545084971874737, 0.34549150281252633,
                 0.09549150281252633, 0.0);
    EXPECT_RATES("cosine", "2", 9, 0.0, 0.5, 1.0, 0.9504844339512095, 0.8117449009293668,
                 0.6112604669781572, 0.38873953302184283, 0.18825509907063326, 0.04951556604879048,
                 0.0);
    EXPECT_RATES_WITH("cosine", "{num_cycles: 1.25}", "1", "2", 9, 0.0, 0.5, 1.0, 0.716941869558779,
                      0.18825509907063326, 0.01253604390908819, 0.3887395330218427,
                      0.8909157412340148, 0.9504844339512096, 0.5000000000000001);
}

static void cosine_with_min_lr(void **state)
{
    (void)state;
    const char *type = "cosine_with_min_lr";
    EXPECT_RATES_WITH(type, "{min_lr_rate: 0.1}", "1", "0", 6, 1.0, 0.9397114317029974, 0.775, 0.55,
                      0.3250000000000001, 0.16028856829700258, 0.1);
    EXPECT_RATES_WITH(type, "{min_lr_rate: 0.25}", "1", "3", 10, 0.0, 0.3333333333333333,
                      0.6666666666666666, 1.0, 0.9628633254634071, 0.8588086756970251,
                      0.7084453502336179, 0.5415546497663821, 0.39119132430297493,
                      0.28713667453659286, 0.25);
    EXPECT_RATES_WITH(type, "{\"min_lr\": 0.002}", "0.01", "2", 8, 0.0, 0.005, 0.01,
                      0.009464101615137758, 0.008, 0.006000000000000001, 0.004000000000000002,
                      0.0025358983848622453, 0.002);
    EXPECT_RATES_WITH(type, "{min_lr_rate: 0.1, num_cycles: 1.5}", "1", "2", 9, 0.0, 0.5, 1.0,
                      0.6501344202803414, 0.14456400944391146, 0.26942958916356985,
                      0.83057041083643, 0.9554359905560886, 0.4498655797196587, 0.1);
    EXPECT_RATES_WITH(type, "{min_lr: 0}", "1", "0", 4, 1.0, 0.8535533905932737, 0.5,
                      0.14644660940672627, 0.0);
    // A rate of 0 has no share to come down to.
    EXPECT_RATES_WITH(type, "{min_lr: 0}", "0", "1", 4, 0.0, 0.0, 0.0, 0.0, 0.0);
}

static void warmup_stable_decay(void **state)
{
    (void)state;
    const char *type = "warmup_stable_decay";
    EXPECT_RATES_WITH(type, "{num_decay_steps: 4}", "1", "3", 12, 0.0, 0.3333333333333333,
                      0.6666666666666666, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.8535533905932737, 0.5,
                      0.14644660940672627, 0.0);
    EXPECT_RATES_WITH(type, "{num_decay_steps: 3, decay_type: linear}", "1", "0", 7, 1.0, 1.0, 1.0,
                      1.0, 1.0, 0.6666666666666667, 0.33333333333333337, 0.0);
    EXPECT_RATES_WITH(
        type, "{num_decay_steps: 5, decay_type: 1-sqrt, warmup_type: 1-sqrt, min_lr_ratio: 0.1}",
        "1", "4", 12, 0.1, 0.22057713659400527, 0.36360389693210715, 0.55, 1.0, 1.0, 1.0, 1.0,
        0.5975077640500379, 0.4307900211696917, 0.30286299768266495, 0.19501552810007572, 0.1);
    EXPECT_RATES_WITH(type, "{num_decay_steps: 3, warmup_type: cosine, min_lr_ratio: 0.2}", "1",
                      "4", 10, 0.2, 0.31715728752538097, 0.6, 0.882842712474619, 1.0, 1.0, 1.0, 1.0,
                      0.8, 0.40000000000000013, 0.2);
    // Steps of one's own that end before the run does.
    EXPECT_RATES_WITH(type, "{num_decay_steps: 3, num_stable_steps: 2, min_lr_ratio: 0.05}", "1",
                      "2", 12, 0.05, 0.525, 1.0, 1.0, 1.0, 0.7625, 0.2875000000000001, 0.05, 0.05,
                      0.05, 0.05, 0.05, 0.05);
    EXPECT_RATES_WITH(type, "{num_decay_steps: 6, num_cycles: 1.0, min_lr_ratio: 0.05}", "1", "2",
                      12, 0.05, 0.525, 1.0, 1.0, 1.0, 1.0, 1.0, 0.7625, 0.2875000000000001, 0.05,
                      0.28749999999999976, 0.7625, 0.05);
    // More warm-up and decay than there are steps: into the middle of the decay, as there.
    EXPECT_RATES_WITH(type, "{num_decay_steps: 6}", "1", "4", 8, 0.0, 0.25, 0.5, 0.75, 0.75, 0.5,
                      0.2500000000000001, 0.06698729810778065, 0.0);
    EXPECT_RATES_WITH(type, "{num_decay_steps: 0, min_lr_ratio: 0.3}", "1", "2", 6, 0.3,
                      0.6499999999999999, 1.0, 1.0, 1.0, 1.0, 0.3);
}

static void constant(void **state)
{
    (void)state;
    EXPECT_RATES("constant", "4", 8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0);
    EXPECT_RATES("constant_with_warmup", "4", 8, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0);
}

// Below 1 it is a share of all steps, rounded up; from 1 on a number of steps, rounded down.
static void warmup_as_a_share(void **state)
{
    (void)state;
    assert_int_equal(plan("linear", "0.1", 100).warmup, 10);
    assert_int_equal(plan("linear", "0.1", 101).warmup, 11);
    assert_int_equal(plan("linear", "0.001", 10).warmup, 1);
    assert_int_equal(plan("linear", "1", 10).warmup, 1);
    assert_int_equal(plan("linear", "2.7", 10).warmup, 2);
    assert_int_equal(plan("linear", "0", 10).warmup, 0);
    // In floating point 0.07 * 100 is above 7, here as there.
    assert_int_equal(plan("linear", "0.07", 100).warmup, 8);
    struct train_config c;
    train_config_init(&c);
    REQUIRE(train_config_set(&c, "warmup_ratio", "0.031", "test"));
    assert_int_equal(train_schedule_make(&c, 100).warmup, 4);
    REQUIRE(train_config_set(&c, "warmup_ratio", "1", "test")); // all steps, not one
    assert_int_equal(train_schedule_make(&c, 100).warmup, 100);
    train_config_finish(&c);
}

// What train_schedule_warn() says, read from the log's file.
static const char *warning(const struct train_schedule_plan *p)
{
    static char text[512];
    const char *path = scratch("log");
    REQUIRE(log_open_file(path));
    train_schedule_warn(p);
    log_close_file();
    size_t len;
    char *all = file_read(path, sizeof text - 1, &len);
    REQUIRE(all);
    memcpy(text, all, len);
    text[len] = 0;
    mem_free(all);
    remove(path);
    return text;
}

static void parts_that_do_not_fit_the_run(void **state)
{
    (void)state;
    static const struct {
        const char *type, *kwargs, *warmup;
        int64_t total;
        const char *says; // NULL: nothing
    } cases[] = {
        {"linear", "{}", "2", 3, NULL},
        {"linear", "{}", "3", 3, "never trains at learning_rate"},
        {"cosine", "{}", "40", 3, "warm-up takes 40 steps and the run has 3"},
        {"constant", "{}", "40", 3, NULL}, // it has no warm-up
        {"linear", "{}", "0", 1, NULL},
        {"warmup_stable_decay", "{num_decay_steps: 4}", "2", 6, NULL},
        {"warmup_stable_decay", "{num_decay_steps: 4}", "3", 6, "into the middle of the decay"},
        {"warmup_stable_decay", "{num_decay_steps: 4, num_stable_steps: 3}", "2", 9, NULL},
        {"warmup_stable_decay", "{num_decay_steps: 4, num_stable_steps: 3}", "2", 8,
         "it ends before the decay does"},
        {"warmup_stable_decay", "{num_decay_steps: 4, num_stable_steps: 3, min_lr_ratio: 0.1}", "2",
         12, "the last 3 train at 0.1 of learning_rate"},
    };
    log_set_level(LOG_QUIET);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct train_schedule_plan p =
            plan_with(cases[i].type, cases[i].kwargs, "1", cases[i].warmup, cases[i].total);
        const char *said = warning(&p);
        if (cases[i].says ? !strstr(said, cases[i].says) : *said)
            fail_msg("case %zu: '%s'", i, said);
    }
    log_set_level(LOG_INFO);
}

static void peak_scales_everything(void **state)
{
    (void)state;
    struct train_schedule_plan p = plan("cosine", "2", 9), q = p;
    q.peak = 3e-5;
    for (int64_t i = 0; i < 10; i++)
        assert_true(fabs(train_schedule_rate(&q, i) - 3e-5 * train_schedule_rate(&p, i)) < 1e-20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear),
        cmocka_unit_test(cosine),
        cmocka_unit_test(cosine_with_min_lr),
        cmocka_unit_test(warmup_stable_decay),
        cmocka_unit_test(constant),
        cmocka_unit_test(warmup_as_a_share),
        cmocka_unit_test(parts_that_do_not_fit_the_run),
        cmocka_unit_test(peak_scales_everything),
    };
    scratch_init("test_schedule.scratch");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_finish();
    return failed;
}
