// Training with AdamW's moments in 8 bits beside training with exact ones: 200 steps of TR-DPO over
// all rows of a fixture end at the same loss.
#include "trial.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define STEPS 200

static double loss_of(const struct trial *t)
{
    double loss = 0;
    for (int i = 0; i < TRIAL_ROWS; i++)
        loss += (double)t->rows[i].pair.loss;
    return loss / TRIAL_ROWS;
}

// Losses of the steps, each before its update; the weights at the end, and what they began as.
static void train(const char *optim, double *losses, float **start, float **end, uint64_t *count)
{
    struct trial t;
    char *text = str_format("{\"optim\": \"%s\", \"lr_scheduler_type\": \"constant\", "
                            "\"learning_rate\": 3e-4, \"beta\": 0.1}",
                            optim);
    cJSON *settings = json_parse(text, strlen(text), "settings");
    REQUIRE(settings);
    trial_open(&t, device,
               &(struct trial_params){
                   .name = "tiny-gqa", .alpha = "0.6", .every = "64", .settings = {settings}});
    *start = trial_values(&t.policy);
    for (int step = 1; step <= STEPS; step++) {
        trial_step(&t, step);
        losses[step - 1] = loss_of(&t);
    }
    *end = trial_values(&t.policy);
    *count = t.f.layout.elements;
    assert_int_equal(t.m.arena.used, strcmp(optim, "adamw") == 0 ? *count * 4 : 0);
    trial_close(&t);
    cJSON_Delete(settings);
    mem_free(text);
}

static void ends_at_the_loss_of_exact_moments(void **state)
{
    (void)state;
    double exact[STEPS], coded[STEPS], apart = 0, change = 0, mean = 0, worst = 0;
    float *starts[2], *ends[2];
    uint64_t count;
    train("adamw", exact, &starts[0], &ends[0], &count);
    train("adamw_8bit", coded, &starts[1], &ends[1], &count);
    for (uint64_t i = 0; i < count; i++) {
        double by = (double)ends[0][i] - (double)starts[0][i];
        double off = (double)ends[1][i] - (double)ends[0][i];
        change += by * by;
        apart += off * off;
    }
    for (int i = 0; i < STEPS; i++) {
        double off = fabs(coded[i] - exact[i]);
        mean += off / STEPS;
        worst = fmax(worst, off);
    }
    printf("loss %.6f -> %.6f, in 8 bits %.6f; of 200 losses %.6f off on average, %.6f at most; "
           "weights %.4f of their change off\n",
           exact[0], exact[STEPS - 1], coded[STEPS - 1], mean, worst, sqrt(apart / change));
    assert_true(coded[0] == exact[0]);
    assert_true(exact[STEPS - 1] < 0.5 * exact[0]);
    double fall = exact[0] - exact[STEPS - 1];
    assert_true(fabs(coded[STEPS - 1] - exact[STEPS - 1]) <= 0.01 * fall);
    assert_true(apart > 0);
    for (int i = 0; i < 2; i++)
        mem_free(starts[i]), mem_free(ends[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_at_the_loss_of_exact_moments),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
