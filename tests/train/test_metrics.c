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
static const struct train_metric_rules rules = {
    .rows = METRICS_PAIRS, .beta = 0.5, .reference = true, .nll = true};
static const struct train_metric_rules rules_of_texts = {.rows = METRICS_TEXTS};

static void expect_means(const struct train_metrics *m, const double want[METRIC_COUNT])
{
    for (int k = 0; k < METRIC_COUNT; k++) {
        bool has = train_metrics_has(m, (enum train_metric)k);
        if (has == isnan(want[k]))
            fail_msg("%s: %s", train_metric_names[k], has ? "is there" : "is not there");
        double got = train_metrics_mean(m, (enum train_metric)k);
        if (has && fabs(got - want[k]) > 1e-15)
            fail_msg("%s is %.17g, want %.17g", train_metric_names[k], got, want[k]);
    }
}

static void means_of_pairs(void **state)
{
    (void)state;
    double want[METRIC_COUNT] = {
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
        [METRIC_KL] = NAN,
        [METRIC_NLL] = 14.0 / 12,
        [METRIC_KL_REFERENCE] = (15.0 - 5 + 2.5 + 7.5) / 4,
        [METRIC_KL_SFT] = (2.0 - 4 + 0 + 2) / 4,
        [METRIC_SFT_MARGINS] = 0.5 * ((2.0 + 4) + (0 - 2.0)) / 2,
    };
    struct train_metrics m = {0};
    uint32_t bad = 99;
    // Each step counts alike, whatever its rows.
    for (int step = 0; step < 3; step++)
        assert_true(train_metrics_add(&m, &rules, pairs, 2, start, &bad));
    expect_means(&m, want);
    assert_int_equal(bad, 99);

    // Without a reference nothing is said about one, and the start is known all the same.
    struct train_metric_rules free = rules;
    free.reference = free.nll = false;
    free.mean_rewards = true;
    m = (struct train_metrics){0};
    assert_true(train_metrics_add(&m, &free, pairs, 2, start, &bad));
    want[METRIC_LOGPS_REF_CHOSEN] = want[METRIC_LOGPS_REF_REJECTED] = NAN;
    want[METRIC_KL_REFERENCE] = want[METRIC_NLL] = NAN;
    want[METRIC_SFT_MARGINS] = 0.5 * ((2.0 / 3 + 4.0 / 5) + (0 - 2.0 / 15)) / 2;
    expect_means(&m, want);
    m = (struct train_metrics){0};
    assert_true(train_metrics_add(&m, &free, pairs, 2, NULL, &bad));
    want[METRIC_KL_SFT] = want[METRIC_SFT_MARGINS] = NAN;
    expect_means(&m, want);
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
    assert_true(train_metrics_add(&m, &rules_of_texts, rows, 2, NULL, &bad));
    assert_true(train_metrics_mean(&m, METRIC_LOSS) == 2); // by token, not by row
    assert_true(train_metrics_mean(&m, METRIC_ENTROPY) == 1);
    assert_true(train_metrics_mean(&m, METRIC_TOKEN_ACCURACY) == 0.5);
    assert_false(train_metrics_has(&m, METRIC_LOGPS_CHOSEN));
}

// KTO: three batches of two, with both classes, with the desirable one alone and with the other
// alone. What is of a class or of a batch is a mean of batch means, as in TRL, where a batch
// without the class (without one of both: margins) does not count.
static const union train_row_metrics unpaired[6] = {
    {.unpaired = {.loss = 0.5f,
                  .reward = 1,
                  .logp = -8,
                  .ref_logp = -10,
                  .entropy = 4,
                  .tokens = 2,
                  .accurate = 1,
                  .label = 1,
                  .kl = 0.25f}},
    {.unpaired = {.loss = 0.25f,
                  .reward = -3,
                  .logp = -9,
                  .ref_logp = -3,
                  .entropy = 2,
                  .tokens = 6,
                  .accurate = 6,
                  .label = 0,
                  .kl = 0.25f}},
    {.unpaired = {.loss = 1,
                  .reward = 2,
                  .logp = -4,
                  .ref_logp = -8,
                  .entropy = 1,
                  .tokens = 1,
                  .accurate = 1,
                  .label = 1,
                  .kl = 0.5f}},
    {.unpaired = {.loss = 2,
                  .reward = 4,
                  .logp = -6,
                  .ref_logp = -14,
                  .entropy = 1,
                  .tokens = 1,
                  .accurate = 0,
                  .label = 1,
                  .kl = 0.5f}},
    {.unpaired = {.loss = 3,
                  .reward = 5,
                  .logp = -20,
                  .ref_logp = -30,
                  .entropy = 3,
                  .tokens = 3,
                  .accurate = 0,
                  .label = 0,
                  .kl = 0}},
    {.unpaired = {.loss = 0,
                  .reward = -1,
                  .logp = -7,
                  .ref_logp = -5,
                  .entropy = 5,
                  .tokens = 3,
                  .accurate = 3,
                  .label = 0,
                  .kl = 0}},
};
static const float unpaired_start[12] = {-9, 0, -8, 0, -4, 0, -6, 0, -22, 0, -8, 0};
static const double unpaired_means[METRIC_COUNT] = {
    [METRIC_LOSS] = 6.75 / 6,
    [METRIC_ENTROPY] = 1,
    [METRIC_TOKEN_ACCURACY] = 0.5, // of the desirable ones' tokens
    [METRIC_REWARDS_CHOSEN] = (1.0 + 3) / 2,
    [METRIC_REWARDS_REJECTED] = (-3.0 + 2) / 2,
    [METRIC_REWARDS_ACCURACIES] = NAN,
    [METRIC_REWARDS_MARGINS] = 4, // of the one batch that has both
    [METRIC_LOGPS_CHOSEN] = (-8.0 - 5) / 2,
    [METRIC_LOGPS_REJECTED] = (-9.0 - 13.5) / 2,
    [METRIC_LOGPS_REF_CHOSEN] = (-10.0 - 11) / 2,
    [METRIC_LOGPS_REF_REJECTED] = (-3.0 - 17.5) / 2,
    [METRIC_KL] = 0.25,
    [METRIC_NLL] = NAN,
    [METRIC_KL_REFERENCE] = (2.0 - 6 + 4 + 8 + 10 - 2) / 6,
    [METRIC_KL_SFT] = (1.0 - 1 + 0 + 0 + 2 + 1) / 6,
    [METRIC_SFT_MARGINS] = 0.5 * (1 + 1),
};

static void means_of_unpaired_rows(void **state)
{
    (void)state;
    const struct train_metric_rules kto = {
        .rows = METRICS_UNPAIRED, .beta = 0.5, .reference = true, .batch = 2};
    struct train_metrics m = {0};
    uint32_t bad;
    assert_true(train_metrics_add(&m, &kto, unpaired, 6, unpaired_start, &bad));
    expect_means(&m, unpaired_means);
    // A step of its own for each batch comes to the same, but for the means over tokens.
    m = (struct train_metrics){0};
    for (int i = 0; i < 3; i++)
        assert_true(train_metrics_add(&m, &kto, unpaired + 2 * i, 2, unpaired_start + 4 * i, &bad));
    double want[METRIC_COUNT];
    memcpy(want, unpaired_means, sizeof want);
    want[METRIC_ENTROPY] = (6.0 / 8 + 2.0 / 2 + 8.0 / 6) / 3;
    want[METRIC_TOKEN_ACCURACY] = (1.0 / 2 + 1.0 / 2) / 2;
    expect_means(&m, want);
    // In an evaluation rows of a class count alike, and margins are between the two means, also
    // where no group has both.
    want[METRIC_ENTROPY] = 1;
    want[METRIC_TOKEN_ACCURACY] = 0.5;
    want[METRIC_REWARDS_CHOSEN] = 7.0 / 3;
    want[METRIC_REWARDS_REJECTED] = 1.0 / 3;
    want[METRIC_REWARDS_MARGINS] = 2;
    want[METRIC_LOGPS_CHOSEN] = -6;
    want[METRIC_LOGPS_REJECTED] = -12;
    want[METRIC_LOGPS_REF_CHOSEN] = -32.0 / 3;
    want[METRIC_LOGPS_REF_REJECTED] = -38.0 / 3;
    want[METRIC_SFT_MARGINS] = 0.5 * (1.0 / 3 - 2.0 / 3);
    for (uint32_t group = 1; group <= 6; group++) {
        m = (struct train_metrics){0};
        for (uint32_t i = 0; i < 6; i += group)
            assert_true(train_metrics_pool(&m, &kto, unpaired + i, 6 - i < group ? 6 - i : group,
                                           unpaired_start + 2 * i, &bad));
        train_metrics_pool_end(&m, &kto);
        expect_means(&m, want);
    }
    // One class alone has no margins, and nothing of the other.
    m = (struct train_metrics){0};
    assert_true(train_metrics_add(&m, &kto, unpaired + 2, 2, unpaired_start, &bad));
    assert_false(train_metrics_has(&m, METRIC_REWARDS_MARGINS));
    assert_false(train_metrics_has(&m, METRIC_SFT_MARGINS));
    assert_false(train_metrics_has(&m, METRIC_LOGPS_REJECTED));
    assert_true(train_metrics_has(&m, METRIC_LOGPS_CHOSEN));
}

// An evaluation's means weigh rows and tokens, not groups, to the last bit.
static void pools_do_not_depend_on_groups(void **state)
{
    (void)state;
    union train_row_metrics rows[7];
    float from[14];
    for (int i = 0; i < 7; i++) {
        rows[i] = pairs[i % 2];
        rows[i].pair.loss = sqrtf((float)i);
        rows[i].pair.entropy = 1 / (1 + (float)i);
        rows[i].pair.logp_chosen = -expf((float)i);
        rows[i].pair.tokens = 3 + (float)i;
        from[2 * i] = -1 / (3 + (float)i);
        from[2 * i + 1] = -2;
    }
    struct train_metrics whole = {0}, parts = {0};
    uint32_t bad;
    assert_true(train_metrics_pool(&whole, &rules, rows, 7, from, &bad));
    for (uint32_t i = 0; i < 7; i += 3)
        assert_true(
            train_metrics_pool(&parts, &rules, rows + i, i < 6 ? 3 : 1, from + 2 * i, &bad));
    assert_memory_equal(&whole, &parts, sizeof whole);
    double entropy = 0, tokens = 0;
    for (int i = 0; i < 7; i++)
        entropy += (double)rows[i].pair.entropy, tokens += (double)rows[i].pair.tokens;
    assert_true(fabs(train_metrics_mean(&whole, METRIC_ENTROPY) - entropy / tokens) < 1e-15);
}

static void offered_by_method(void **state)
{
    (void)state;
    assert_int_equal(train_metric_find("eval_loss"), METRIC_LOSS);
    assert_int_equal(train_metric_find("rewards/margins"), METRIC_REWARDS_MARGINS);
    assert_int_equal(train_metric_find("eval_eval_loss"), METRIC_COUNT);
    assert_int_equal(train_metric_find("runtime"), METRIC_COUNT);
    assert_true(train_metric_offered(&rules, METRIC_LOGPS_REF_CHOSEN));
    assert_false(train_metric_offered(&rules, METRIC_KL));
    assert_true(train_metric_offered(&rules_of_texts, METRIC_TOKEN_ACCURACY));
    assert_false(train_metric_offered(&rules_of_texts, METRIC_REWARDS_MARGINS));
    assert_false(train_metric_offered(&rules_of_texts, METRIC_COUNT));
}

static void equal_rewards_are_not_accurate(void **state)
{
    (void)state;
    union train_row_metrics row = pairs[0];
    row.pair.reward_chosen = row.pair.reward_rejected = 0;
    struct train_metrics m = {0};
    uint32_t bad;
    assert_true(train_metrics_add(&m, &rules, &row, 1, start, &bad));
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
        assert_false(train_metrics_add(&m, &rules, rows, 2, start, &bad));
        assert_int_equal(bad, 1);
        assert_false(train_metrics_has(&m, METRIC_LOSS));
        assert_false(train_metrics_pool(&m, &rules, rows, 2, start, &bad));
        assert_true(m.sums[METRIC_LOSS] == 0 && m.counts[METRIC_LOSS] == 0);
        union train_row_metrics text = {.sequence = {.logp = values[i], .tokens = 1}};
        assert_false(train_metrics_add(&m, &rules_of_texts, &text, 1, NULL, &bad));
        assert_int_equal(bad, 0);
    }
}

static void printed_under_trls_names(void **state)
{
    (void)state;
    struct train_metrics m = {0};
    uint32_t bad;
    assert_true(train_metrics_add(&m, &rules, pairs, 2, start, &bad));
    struct str line = {0};
    str_append(&line, "{\"step\": 1");
    train_metrics_print(&m, "eval_", &line);
    str_append_char(&line, '}');
    cJSON *json = json_parse(str_text(&line), line.len, "line");
    REQUIRE(json);
    assert_int_equal(cJSON_GetArraySize(json), METRIC_COUNT); // all but kl, and step
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
    union train_row_metrics text = {.sequence = {.logp = -1, .tokens = 1}};
    m = (struct train_metrics){0};
    assert_true(train_metrics_add(&m, &rules_of_texts, &text, 1, NULL, &bad));
    train_metrics_print(&m, "", &line);
    assert_non_null(strstr(str_text(&line), "\"mean_token_accuracy\""));
    assert_null(strstr(str_text(&line), "rewards"));
    str_finish(&line);
}

// Any double must come back as it was, through the text of the state file.
static void state_is_exact(void **state)
{
    (void)state;
    struct train_metrics m = {0}, again;
    for (int k = 0; k < METRIC_COUNT; k++) {
        m.sums[k] = (k % 2 ? -1 : 1) * sqrt(2 + k) * pow(10, 13 * k - 80);
        m.counts[k] = 3 * k;
    }
    cJSON *saved = train_metrics_save(&m);
    char *text = json_print(saved, true);
    cJSON *loaded = json_parse(text, strlen(text), "state");
    REQUIRE(loaded);
    REQUIRE(train_metrics_load(&again, loaded));
    assert_memory_equal(&m, &again, sizeof m);
    cJSON *counts = cJSON_GetObjectItem(loaded, "counts");
    cJSON_DeleteItemFromObject(counts, "kl/sft");
    assert_false(train_metrics_load(&again, loaded));
    EXPECT_USER_ERROR("missing");
    cJSON_AddStringToObject(counts, "kl/sft", "1");
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
        cmocka_unit_test(means_of_pairs),         cmocka_unit_test(means_of_sequences),
        cmocka_unit_test(means_of_unpaired_rows), cmocka_unit_test(pools_do_not_depend_on_groups),
        cmocka_unit_test(offered_by_method),      cmocka_unit_test(equal_rewards_are_not_accurate),
        cmocka_unit_test(bad_rows_are_named),     cmocka_unit_test(printed_under_trls_names),
        cmocka_unit_test(state_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
