// What must hold of any reference update: the oracles of the moving reference.
#include "trial.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define ROWS TRIAL_ROWS
#define STEPS TRIAL_STEPS

static void expect_no_difference(const struct trial *t)
{
    for (int i = 0; i < ROWS; i++) {
        const struct pair_metrics *p = &t->rows[i].pair;
        assert_true(p->reward_chosen == 0 && p->reward_rejected == 0);
        assert_true(fabs((double)p->loss - log(2.0)) < 1e-6);
    }
}

static void hard_update_restores_equality(void **state)
{
    (void)state;
    struct trial t;
    trial_open(&t, device,
               &(struct trial_params){.name = "tiny-gqa", .ref = "", .alpha = "1", .every = "3"});
    for (int step = 1; step <= STEPS + 1; step++) {
        trial_step(&t, step);
        // Before the first update policy and reference are one model, and after each update again.
        if (step % 3 == 1)
            expect_no_difference(&t);
        else
            assert_true(fabs((double)t.rows[0].pair.reward_chosen) > 1e-4);
    }
    trial_close(&t);
}

static void copy_every_step_keeps_equality(void **state)
{
    (void)state;
    struct trial t;
    trial_open(
        &t, device,
        &(struct trial_params){.name = "tiny-llama3", .ref = "", .alpha = "1", .every = "1"});
    for (int step = 1; step <= STEPS; step++) {
        trial_step(&t, step);
        expect_no_difference(&t);
    }
    trial_close(&t);
}

static void soft_updates_sum_up(void **state)
{
    (void)state;
    struct trial t;
    const double alpha = 0.3;
    trial_open(
        &t, device,
        &(struct trial_params){.name = "tiny-gqa", .ref = "-ref", .alpha = "0.3", .every = "1"});
    uint64_t n = t.f.layout.elements;
    double *want = MEM_ARRAY(double, n);
    float *phi = trial_values(&t.ref);
    for (uint64_t i = 0; i < n; i++)
        want[i] = pow(1 - alpha, STEPS) * (double)phi[i];
    mem_free(phi);
    for (int step = 1; step <= STEPS; step++) {
        trial_step(&t, step);
        float *theta = trial_values(&t.policy);
        for (uint64_t i = 0; i < n; i++)
            want[i] += alpha * pow(1 - alpha, STEPS - step) * (double)theta[i];
        mem_free(theta);
    }
    float *got = trial_values(&t.ref);
    for (uint64_t i = 0; i < n; i++)
        if (fabs((double)got[i] - want[i]) > 1e-6 * fabs(want[i]) + 1e-7)
            fail_msg("element %llu is %.9g, want %.9g", (unsigned long long)i, (double)got[i],
                     want[i]);
    mem_free(got);
    mem_free(want);
    trial_close(&t);
}

// Weights after six steps under the reference settings given.
static float *six_steps(const char *alpha, const char *every, uint64_t *count)
{
    struct trial t;
    trial_open(
        &t, device,
        &(struct trial_params){.name = "tiny-gqa", .ref = "-ref", .alpha = alpha, .every = every});
    for (int step = 1; step <= STEPS; step++)
        trial_step(&t, step);
    float *weights = trial_values(&t.policy);
    *count = t.f.layout.elements;
    trial_close(&t);
    return weights;
}

static void reference_that_stays_is_dpo(void **state)
{
    (void)state;
    uint64_t n;
    float *dpo = six_steps(NULL, NULL, &n), *again = six_steps(NULL, NULL, &n);
    float *alpha0 = six_steps("0", "1", &n), *late = six_steps("0.6", "7", &n);
    float *moving = six_steps("0.6", "1", &n);
    assert_memory_equal(dpo, again, n * sizeof(float));
    assert_memory_equal(dpo, alpha0, n * sizeof(float));
    assert_memory_equal(dpo, late, n * sizeof(float));
    assert_memory_not_equal(dpo, moving, n * sizeof(float));
    float *all[] = {dpo, again, alpha0, late, moving};
    for (size_t i = 0; i < 5; i++)
        mem_free(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_update_restores_equality),
        cmocka_unit_test(copy_every_step_keeps_equality),
        cmocka_unit_test(soft_updates_sum_up),
        cmocka_unit_test(reference_that_stays_is_dpo),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
