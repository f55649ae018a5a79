// Learning rates by step against transformers' get_scheduler with PyTorch (constants made by them).
#include "train/schedule.h"

#include "base/error.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static struct train_schedule_plan plan(const char *type, const char *warmup, int64_t total)
{
    struct train_config c;
    train_config_init(&c);
    assert_true(train_config_set(&c, "learning_rate", "1", "test"));
    assert_true(train_config_set(&c, "lr_scheduler_type", type, "test"));
    assert_true(train_config_set(&c, "warmup_steps", warmup, "test"));
    struct train_schedule_plan p = train_schedule_make(&c, total);
    train_config_finish(&c);
    return p;
}

static void expect_rates(const struct train_schedule_plan *p, const double *want, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double got = train_schedule_rate(p, i);
        if (fabs(got - want[i]) > 1e-15)
            fail_msg("step %lld: %.17g, want %.17g", (long long)i, got, want[i]);
    }
}

#define EXPECT_RATES(type, warmup, total, ...)                                                     \
    do {                                                                                           \
        const double want_[] = {__VA_ARGS__};                                                      \
        struct train_schedule_plan p_ = plan(type, warmup, total);                                 \
        expect_rates(&p_, want_, sizeof want_ / sizeof *want_);                                    \
    } while (0)

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
        cmocka_unit_test(constant),
        cmocka_unit_test(warmup_as_a_share),
        cmocka_unit_test(peak_scales_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
