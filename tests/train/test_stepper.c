// Whole optimiser steps: TRL's TR-DPO, and what must hold of any reference update.
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

// ---- TRL ----

static double mean(const struct trial *t, double (*of)(const struct pair_metrics *p))
{
    double sum = 0;
    for (int i = 0; i < ROWS; i++)
        sum += of(&t->rows[i].pair) / ROWS;
    return sum;
}

static double loss_of(const struct pair_metrics *p)
{
    return (double)p->loss;
}

static double chosen_of(const struct pair_metrics *p)
{
    return (double)p->reward_chosen;
}

static double rejected_of(const struct pair_metrics *p)
{
    return (double)p->reward_rejected;
}

static double logps_of(const struct pair_metrics *p)
{
    return (double)p->logp_chosen;
}

static void expect_near(const char *what, int step, double got, double want)
{
    // Rewards are differences of sums of about 20; TRL computes them in float32 too.
    if (fabs(got - want) > 2e-4 * fabs(want) + 2e-5)
        fail_msg("step %d: %s is %.8g, TRL has %.8g", step, what, got, want);
}

static void compare_step(struct trial *t, const cJSON *want, int step)
{
    expect_near("loss", step, mean(t, loss_of), fixture_number(want, "loss", NULL));
    expect_near("rewards/chosen", step, mean(t, chosen_of),
                fixture_number(want, "rewards/chosen", NULL));
    expect_near("rewards/rejected", step, mean(t, rejected_of),
                fixture_number(want, "rewards/rejected", NULL));
    expect_near("logps/chosen", step, mean(t, logps_of),
                fixture_number(want, "logps/chosen", NULL));
    expect_near("grad_norm", step, (double)t->results.grad_norm,
                fixture_number(want, "grad_norm", NULL));
}

// Norm of the difference to TRL's weights as a share of the norm of the change since the start.
static double change_off(const struct trial *t, const struct model_weights *got,
                         const char *start_suffix, const char *file)
{
    struct hf_tensors *end = hf_tensors_open(fixture_path(&t->f, "", file));
    struct hf_tensors *start =
        hf_tensors_open(fixture_path(&t->f, start_suffix, "model.safetensors"));
    REQUIRE(start && end);
    double off = 0, change = 0;
    float *mine = trial_values(got);
    for (size_t i = 0; i < t->f.layout.tensor_count; i++) {
        const struct model_tensor *tensor = &t->f.layout.tensors[i];
        const struct hf_tensor *a = hf_tensors_find(start, tensor->name),
                               *b = hf_tensors_find(end, tensor->name);
        assert_true(a && b && a->count == tensor->count && b->count == tensor->count);
        float *before = MEM_ARRAY(float, tensor->count), *after = MEM_ARRAY(float, tensor->count);
        dtype_decode(before, a->data, a->dtype, a->count);
        dtype_decode(after, b->data, b->dtype, b->count);
        for (uint64_t k = 0; k < tensor->count; k++) {
            double d = (double)mine[tensor->offset + k] - (double)after[k];
            double c = (double)after[k] - (double)before[k];
            off += d * d;
            change += c * c;
        }
        mem_free(before);
        mem_free(after);
    }
    mem_free(mine);
    hf_tensors_close(start);
    hf_tensors_close(end);
    assert_true(change > 0);
    return sqrt(off / change);
}

static void compare_trl(const char *name, const char *kind, const char *alpha, const char *every,
                        uint32_t tokens)
{
    struct trial t;
    char file[64];
    trial_open(&t, device,
               &(struct trial_params){
                   .name = name, .ref = "-ref", .alpha = alpha, .every = every, .tokens = tokens});
    snprintf(file, sizeof file, "trl_%s.json", kind);
    cJSON *expected = json_parse_file(fixture_path(&t.f, "", file), 0);
    REQUIRE(expected);
    const cJSON *steps = cJSON_GetObjectItem(expected, "steps");
    assert_int_equal(cJSON_GetArraySize(steps), STEPS);
    for (int step = 1; step <= STEPS; step++) {
        trial_step(&t, step);
        compare_step(&t, cJSON_GetArrayItem(steps, step - 1), step);
    }
    snprintf(file, sizeof file, "trl_%s_policy.safetensors", kind);
    double policy = change_off(&t, &t.policy, "", file);
    snprintf(file, sizeof file, "trl_%s_reference.safetensors", kind);
    double reference = change_off(&t, &t.ref, "-ref", file);
    print_message("%s, %s updates: policy off by %.1e of its change, reference by %.1e\n", name,
                  kind, policy, reference);
    assert_true(policy < 3e-4);
    assert_true(reference < 3e-4);
    assert_int_equal(t.results.ref_updates, *every == '1' ? 6 : 3);
    cJSON_Delete(expected);
    trial_close(&t);
}

static void trl_soft(void **state)
{
    (void)state;
    compare_trl("tiny-gqa", "soft", "0.6", "1", 0);
    compare_trl("tiny-llama3", "soft", "0.6", "1", 0);
}

static void trl_hard(void **state)
{
    (void)state;
    compare_trl("tiny-gqa", "hard", "1", "2", 0);
    compare_trl("tiny-llama3", "hard", "1", "2", 0);
}

// A step in many small passes, its gradient accumulated, is the same step.
static void trl_in_small_passes(void **state)
{
    (void)state;
    compare_trl("tiny-gqa", "soft", "0.6", "1", 192);
    compare_trl("tiny-llama3", "hard", "1", "2", 192);
}

// ---- oracles of the reference update ----

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
        cmocka_unit_test(trl_soft),
        cmocka_unit_test(trl_hard),
        cmocka_unit_test(trl_in_small_passes),
        cmocka_unit_test(hard_update_restores_equality),
        cmocka_unit_test(copy_every_step_keeps_equality),
        cmocka_unit_test(soft_updates_sum_up),
        cmocka_unit_test(reference_that_stays_is_dpo),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
