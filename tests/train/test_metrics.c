// Means of metrics by hand, their printed form, and the state that a checkpoint keeps of them.
#include "../common/scratch.h"

#include "base/json.h"
#include "base/mem.h"
#include "train/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

// Two pairs whose sums can be followed by hand; all values are exact in float.
static const union train_row_metrics pairs[2] = {
    {.pair = {.loss = 0.5f,
              .reward_chosen = 1.5f,
              .reward_rejected = -0.5f,
              .logp_chosen = -10,
              .logp_rejected = -20,
              .ref_logp_chosen = -25,
              .ref_logp_rejected = -15,
              .entropy = 6,
              .tokens = 8,
              .accurate = 2,
              .chosen_tokens = 3}},
    {.pair = {.loss = 1.0f,
              .reward_chosen = 0.25f,
              .reward_rejected = 0.75f,
              .logp_chosen = -4,
              .logp_rejected = -6,
              .ref_logp_chosen = -6.5f,
              .ref_logp_rejected = -13.5f,
              .entropy = 2,
              .tokens = 24,
              .accurate = 1,
              .chosen_tokens = 9}},
};
static const float start[4] = {-12, -16, -4, -8};

static void means_of_pairs(void **state)
{
    (void)state;
    const double want[METRIC_COUNT] = {
        [METRIC_LOSS] = 0.75,
        [METRIC_ENTROPY] = 8.0 / 32,        // over all scored tokens
        [METRIC_TOKEN_ACCURACY] = 3.0 / 12, // over those of chosen
        [METRIC_REWARDS_CHOSEN] = 0.875,
        [METRIC_REWARDS_REJECTED] = 0.125,
        [METRIC_REWARDS_ACCURACIES] = 0.5,
        [METRIC_REWARDS_MARGINS] = 0.75,
        [METRIC_LOGPS_CHOSEN] = -7,
        [METRIC_LOGPS_REJECTED] = -13,
        [METRIC_LOGPS_REF_CHOSEN] = -15.75,
        [METRIC_LOGPS_REF_REJECTED] = -14.25,
        [METRIC_KL_REFERENCE] = (15.0 - 5 + 2.5 + 7.5) / 4,
        [METRIC_KL_SFT] = (2.0 - 4 + 0 + 2) / 4,
        [METRIC_SFT_MARGINS] = 0.5 * ((2.0 + 4) + (0 - 2.0)) / 2,
    };
    struct train_metrics m = {0};
    uint32_t bad = 99;
    // Each step counts alike, whatever its rows.
    for (int step = 0; step < 3; step++)
        assert_true(train_metrics_add_pairs(&m, pairs, 2, start, 0.5, &bad));
    for (int k = 0; k < METRIC_COUNT; k++)
        if (fabs(train_metrics_mean(&m, (enum train_metric)k) - want[k]) > 1e-15)
            fail_msg("%s is %g, want %g", train_metric_names[k],
                     train_metrics_mean(&m, (enum train_metric)k), want[k]);
    assert_int_equal(bad, 99);
}

static void means_of_sequences(void **state)
{
    (void)state;
    const union train_row_metrics rows[2] = {
        {.sequence = {.logp = -6, .entropy = 3, .accurate = 1, .tokens = 4}},
        {.sequence = {.logp = -18, .entropy = 9, .accurate = 5, .tokens = 8}},
    };
    struct train_metrics m = {0};
    uint32_t bad;
    assert_true(train_metrics_add_sequences(&m, rows, 2, &bad));
    assert_true(train_metrics_mean(&m, METRIC_LOSS) == 2); // by token, not by row
    assert_true(train_metrics_mean(&m, METRIC_ENTROPY) == 1);
    assert_true(train_metrics_mean(&m, METRIC_TOKEN_ACCURACY) == 0.5);
}

static void equal_rewards_are_not_accurate(void **state)
{
    (void)state;
    union train_row_metrics row = pairs[0];
    row.pair.reward_chosen = row.pair.reward_rejected = 0;
    struct train_metrics m = {0};
    uint32_t bad;
    assert_true(train_metrics_add_pairs(&m, &row, 1, start, 0.5, &bad));
    assert_true(train_metrics_mean(&m, METRIC_REWARDS_ACCURACIES) == 0);
}

static void bad_rows_are_named(void **state)
{
    (void)state;
    const float values[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        union train_row_metrics rows[2] = {pairs[0], pairs[1]};
        struct train_metrics m = {0};
        uint32_t bad = 99;
        rows[1].pair.loss = values[i];
        assert_false(train_metrics_add_pairs(&m, rows, 2, start, 0.5, &bad));
        assert_int_equal(bad, 1);
        assert_true(m.steps == 0 && m.sums[METRIC_LOSS] == 0);
        union train_row_metrics text = {.sequence = {.logp = values[i], .tokens = 1}};
        assert_false(train_metrics_add_sequences(&m, &text, 1, &bad));
        assert_int_equal(bad, 0);
    }
}

static void printed_under_trls_names(void **state)
{
    (void)state;
    struct train_metrics m = {0};
    uint32_t bad;
    assert_true(train_metrics_add_pairs(&m, pairs, 2, start, 0.5, &bad));
    struct str line = {0};
    str_append(&line, "{\"step\": 1");
    train_metrics_print(&m, true, "eval_", &line);
    str_append_char(&line, '}');
    cJSON *json = json_parse(str_text(&line), line.len, "line");
    REQUIRE(json);
    assert_int_equal(cJSON_GetArraySize(json), 1 + METRIC_COUNT);
    static const char *const names[] = {"eval_loss",
                                        "eval_mean_token_accuracy",
                                        "eval_rewards/margins",
                                        "eval_logps/ref_rejected",
                                        "eval_kl/sft",
                                        "eval_rewards/sft_margins"};
    const double want[] = {0.75, 0.25, 0.75, -14.25, 0, 1};
    for (size_t i = 0; i < 6; i++) {
        double value = NAN;
        REQUIRE(json_get_double(json, names[i], &value));
        assert_true(value == want[i]);
    }
    cJSON_Delete(json);
    str_clear(&line);
    train_metrics_print(&m, false, "", &line);
    assert_non_null(strstr(str_text(&line), "\"mean_token_accuracy\""));
    assert_null(strstr(str_text(&line), "rewards"));
    str_finish(&line);
}

// Any double must come back as it was, through the text of the state file.
static void state_is_exact(void **state)
{
    (void)state;
    struct train_metrics m = {.steps = 7}, again;
    for (int k = 0; k < METRIC_COUNT; k++)
        m.sums[k] = (k % 2 ? -1 : 1) * sqrt(2 + k) * pow(10, 13 * k - 80);
    cJSON *saved = train_metrics_save(&m);
    char *text = json_print(saved, true);
    cJSON *loaded = json_parse(text, strlen(text), "state");
    REQUIRE(loaded);
    REQUIRE(train_metrics_load(&again, loaded));
    assert_memory_equal(&m, &again, sizeof m);
    cJSON_DeleteItemFromObject(loaded, "kl/sft");
    assert_false(train_metrics_load(&again, loaded));
    EXPECT_USER_ERROR("missing");
    cJSON_AddStringToObject(loaded, "kl/sft", "1");
    assert_false(train_metrics_load(&again, loaded));
    EXPECT_USER_ERROR("kl/sft");
    assert_false(train_metrics_load(&again, NULL));
    EXPECT_USER_ERROR("missing");
    cJSON_Delete(saved);
    cJSON_Delete(loaded);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_of_pairs),
        cmocka_unit_test(means_of_sequences),
        cmocka_unit_test(equal_rewards_are_not_accurate),
        cmocka_unit_test(bad_rows_are_named),
        cmocka_unit_test(printed_under_trls_names),
        cmocka_unit_test(state_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
