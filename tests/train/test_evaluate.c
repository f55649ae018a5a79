// Metrics of a model on a dataset, against PyTorch in float64 (expected.json), however rows are
// grouped.
#include "../common/device.h"
#include "../common/fixture.h"
#include "../common/scratch.h"

#include "base/json.h"
#include "train/evaluate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
// cmocka wants the headers above first.
#include <cmocka.h>

struct setting {
    struct fixture f;
    struct train_config config;
    struct model_weights policy, ref;
    struct train_stepper *stepper;
    bool pairs;
    size_t rows_seen;
};

static void setting_open(struct setting *s, const char *name, bool pairs, const char *smoothing,
                         uint32_t tokens)
{
    *s = (struct setting){.pairs = pairs};
    fixture_open(&s->f, device, name, pairs);
    train_config_init(&s->config);
    REQUIRE(train_config_set(&s->config, "method", pairs ? "dpo" : "sft", "test"));
    REQUIRE(train_config_set(&s->config, "label_smoothing", smoothing, "test"));
    fixture_weights(&s->f, &s->policy, "");
    fixture_weights(&s->f, &s->ref, "-ref");
    s->stepper = train_stepper_create(&(struct train_stepper_params){.device = device,
                                                                     .config = &s->config,
                                                                     .layout = &s->f.layout,
                                                                     .policy = &s->policy,
                                                                     .ref = pairs ? &s->ref : NULL,
                                                                     .tokens = tokens,
                                                                     .rows = 16});
    REQUIRE(s->stepper);
}

static void setting_close(struct setting *s)
{
    train_stepper_destroy(s->stepper);
    model_weights_finish(&s->policy);
    model_weights_finish(&s->ref);
    train_config_finish(&s->config);
    fixture_close(&s->f);
}

static bool check_row(void *ctx, size_t row, const union train_row_metrics *metrics)
{
    struct setting *s = ctx;
    assert_int_equal(row, s->rows_seen++);
    const cJSON *want = cJSON_GetArrayItem(cJSON_GetObjectItem(s->f.expected, "rows"), (int)row);
    double chosen = fixture_number(want, "logps/chosen", NULL);
    double got = s->pairs ? (double)metrics->pair.logp_chosen : (double)metrics->sequence.logp;
    if (fabs(got - chosen) > 1e-5 * fabs(chosen))
        fail_msg("row %zu: logps/chosen is %.9g, want %.9g", row, got, chosen);
    if (!s->pairs) return true;
    double loss =
        fixture_number(want, s->config.label_smoothing > 0 ? "loss_smoothed" : "loss", NULL);
    if (fabs((double)metrics->pair.loss - loss) > 2e-5 * loss + 1e-6)
        fail_msg("row %zu: loss is %.9g, want %.9g", row, (double)metrics->pair.loss, loss);
    return true;
}

static void evaluate(struct setting *s, uint32_t rows_at_once, struct train_metrics *m)
{
    s->rows_seen = 0;
    REQUIRE(train_evaluate(&(struct train_evaluation){.stepper = s->stepper,
                                                      .set = &s->f.set,
                                                      .rules = train_metric_rules_of(&s->config),
                                                      .rows_at_once = rows_at_once,
                                                      .on_row = check_row,
                                                      .ctx = s},
                           m));
    assert_int_equal(s->rows_seen, 16);
}

static void expect_mean(const struct train_metrics *m, enum train_metric which, double want)
{
    double got = train_metrics_mean(m, which);
    if (fabs(got - want) > 1e-5 * fabs(want) + 1e-6)
        fail_msg("%s is %.9g, want %.9g", train_metric_names[which], got, want);
}

static double mean_of_rows(const struct setting *s, const char *key)
{
    const cJSON *row;
    double sum = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(s->f.expected, "rows")) sum +=
        fixture_number(row, key, NULL) / 16;
    return sum;
}

static void compare_pairs(const char *name, const char *smoothing, uint32_t tokens, uint32_t rows)
{
    static const enum train_metric by_name[] = {METRIC_ENTROPY,         METRIC_TOKEN_ACCURACY,
                                                METRIC_REWARDS_CHOSEN,  METRIC_REWARDS_REJECTED,
                                                METRIC_REWARDS_MARGINS, METRIC_REWARDS_ACCURACIES,
                                                METRIC_LOGPS_CHOSEN,    METRIC_LOGPS_REJECTED};
    struct setting s;
    struct train_metrics m;
    setting_open(&s, name, true, smoothing, tokens);
    evaluate(&s, rows, &m);
    expect_mean(&m, METRIC_LOSS,
                fixture_number(s.f.expected, "dpo",
                               s.config.label_smoothing > 0 ? "loss_smoothed" : "loss"));
    for (size_t i = 0; i < sizeof by_name / sizeof *by_name; i++)
        expect_mean(&m, by_name[i],
                    fixture_number(s.f.expected, "dpo", train_metric_names[by_name[i]]));
    expect_mean(&m, METRIC_LOGPS_REF_CHOSEN, mean_of_rows(&s, "logps/ref_chosen"));
    expect_mean(&m, METRIC_LOGPS_REF_REJECTED, mean_of_rows(&s, "logps/ref_rejected"));
    // Without scores of a frozen start the reference takes its place.
    assert_true(train_metrics_mean(&m, METRIC_KL_SFT) ==
                train_metrics_mean(&m, METRIC_KL_REFERENCE));
    double margins = train_metrics_mean(&m, METRIC_REWARDS_MARGINS);
    assert_true(fabs(train_metrics_mean(&m, METRIC_SFT_MARGINS) - margins) < 1e-5);
    setting_close(&s);
}

static void pairs(void **state)
{
    (void)state;
    compare_pairs("tiny-gqa", "0", 2048, 16);
    compare_pairs("tiny-llama3", "0.1", 2048, 16);
}

static void grouping_does_not_matter(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 5, 16};
    for (size_t i = 0; i < 3; i++)
        compare_pairs("tiny-gqa", "0.1", 192, rows[i]);
    compare_pairs("tiny-llama3", "0", 192, 7);
}

static void texts(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-gqa", "tiny-llama3"};
    for (size_t i = 0; i < 2; i++) {
        struct setting s;
        struct train_metrics m;
        setting_open(&s, names[i], false, "0", 256);
        for (uint32_t rows = 3; rows <= 16; rows += 13) {
            evaluate(&s, rows, &m);
            expect_mean(&m, METRIC_LOSS, fixture_number(s.f.expected, "sft", "loss"));
            expect_mean(&m, METRIC_TOKEN_ACCURACY,
                        fixture_number(s.f.expected, "dpo", "mean_token_accuracy"));
        }
        setting_close(&s);
    }
}

static void damaged_weights_are_told(void **state)
{
    (void)state;
    struct setting s;
    struct train_metrics m;
    setting_open(&s, "tiny-gqa", true, "0", 2048);
    const struct model_tensor *norm = model_layout_find(&s.f.layout, "model.norm.weight");
    float values[256];
    assert_true(norm && norm->count <= 256);
    REQUIRE(model_weights_read(&s.policy, norm, values));
    values[3] = NAN;
    REQUIRE(model_weights_write(&s.policy, norm, values));
    assert_false(
        train_evaluate(&(struct train_evaluation){.stepper = s.stepper,
                                                  .set = &s.f.set,
                                                  .rules = train_metric_rules_of(&s.config),
                                                  .rows_at_once = 16},
                       &m));
    EXPECT_USER_ERROR("line 1 of", "prefs.jsonl", "not a number");
    setting_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),
        cmocka_unit_test(grouping_does_not_matter),
        cmocka_unit_test(texts),
        cmocka_unit_test(damaged_weights_are_told),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
