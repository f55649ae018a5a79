// Whole optimiser steps against TRL's TR-DPO.
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
    double off = trial_change_off(got, start, end, "");
    hf_tensors_close(start);
    hf_tensors_close(end);
    return off;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trl_soft),
        cmocka_unit_test(trl_hard),
        cmocka_unit_test(trl_in_small_passes),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
