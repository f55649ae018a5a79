// Evaluations within runs: at the start, the best model, early stopping, generated texts; and that
// all of it is the same through stops and resumes.
#include "running.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/system.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SCRATCH "test_run_evaluate.scratch"
#define PREFS TEST_FIXTURES "/prefs.jsonl"

// 12 steps, evaluations every 2 on the training rows, whose loss falls all the time: "the greater
// the better" makes the first one the best, and none after it gains.
#define RUN(c, dir, ...)                                                                           \
    RUNNING_CONFIG(c, dir, "max_steps", "12", "per_device_train_batch_size", "4",                  \
                   "eval_dataset_name", PREFS, "eval_steps", "2", "per_device_eval_batch_size",    \
                   "5", "load_best_model_at_end", "true", "ref_model_sync_steps", "3",             \
                   "metric_for_best_model", "rewards/sft_margins", __VA_ARGS__)

static cJSON *state_of(const char *dir, int step)
{
    char *path = str_format("%s/checkpoint-%d/trainer_state.json", dir, step);
    cJSON *state = json_parse_file(path, 0);
    REQUIRE(state);
    mem_free(path);
    return state;
}

static void expect_log(const char *dir, const char *part)
{
    char *path = file_join(dir, "train.log");
    size_t len;
    char *log = file_read(path, 0, &len);
    REQUIRE(log);
    if (!strstr(log, part)) fail_msg("'%s' is not in the log:\n%s", part, log);
    mem_free(log);
    mem_free(path);
}

static void go(const struct train_config *c)
{
    if (running_go(c, device, 0) != TRAIN_FINISHED) fail_msg("%s", err_message());
}

static void expect_checkpoints(const char *dir, int count, ...)
{
    va_list steps;
    int there = 0;
    char **names;
    size_t n;
    REQUIRE(file_list(dir, &names, &n));
    for (size_t i = 0; i < n; i++)
        there += str_starts_with(names[i], "checkpoint-");
    file_list_free(names, n);
    assert_int_equal(there, count);
    va_start(steps, count);
    for (int i = 0; i < count; i++) {
        char *path = str_format("%s/checkpoint-%d", dir, va_arg(steps, int));
        if (!file_is_dir(path)) fail_msg("%s is gone", path);
        mem_free(path);
    }
    va_end(steps);
}

// Makes `cut` what a kill -9 of the run in `whole` leaves, after the checkpoint of step `k`.
static void cut_after(const char *whole, const char *cut, int k, int last)
{
    running_copy(whole, cut);
    char *model = file_join(cut, "model.safetensors");
    REQUIRE(file_remove(model));
    mem_free(model);
    for (int step = k + 1; step <= last; step++) {
        char *path = str_format("%s/checkpoint-%d", cut, step);
        REQUIRE(file_remove_tree(path));
        mem_free(path);
    }
}

// ---- the best model ----

static void the_best_is_kept_and_loaded(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = SCRATCH "/best";
    RUN(&c, dir, "greater_is_better", "false", "save_steps", "5", "save_total_limit", "1");
    go(&c);
    train_config_finish(&c);
    // Step 2 is no multiple of save_steps, and older than the limit lets stay.
    expect_checkpoints(dir, 2, 2, 12);
    expect_same_file(scratch("best/model.safetensors"),
                     scratch("best/checkpoint-2/model.safetensors"));
    expect_log(dir, "the model is that of step 2 (eval_rewards/sft_margins");
    cJSON *saved = state_of(dir, 12), *line = running_metrics(dir, 2); // steps 1, 2, evaluation
    double margins = -1, best = -2, step = 0;
    const char *at = NULL;
    REQUIRE(json_get_double(line, "eval_rewards/sft_margins", &margins));
    REQUIRE(json_get_double(saved, "best_metric", &best));
    REQUIRE(json_get_double(saved, "best_global_step", &step));
    REQUIRE(json_get_string(saved, "best_model_checkpoint", &at));
    assert_true(margins == best && step == 2);
    assert_string_equal(at, scratch("best/checkpoint-2"));
    cJSON_Delete(saved);
    cJSON_Delete(line);
}

static void the_last_may_be_the_best(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = SCRATCH "/last";
    RUN(&c, dir, "save_steps", "0");
    go(&c);
    train_config_finish(&c);
    expect_checkpoints(dir, 6, 2, 4, 6, 8, 10, 12); // each was the best so far
    expect_log(dir, "the last model is the best");
    expect_same_file(scratch("last/model.safetensors"),
                     scratch("last/checkpoint-12/model.safetensors"));
}

// A stop signal in the middle of an evaluation leaves a checkpoint that does not know of it:
// resumed, the run evaluates first, and keeps the checkpoint as the best after all.
static void an_evaluation_cut_short_is_made_up_for(void **state)
{
    (void)state;
    static const char *const keys[] = {"eval_step", "best_metric", "best_global_step",
                                       "best_model_checkpoint"};
    struct train_config c;
    const char *whole = SCRATCH "/last", *cut = SCRATCH "/cut_short"; // of the test above
    cut_after(whole, cut, 4, 12);
    cJSON *before = state_of(whole, 2), *at = state_of(whole, 4);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        REQUIRE(cJSON_ReplaceItemInObjectCaseSensitive(
            at, keys[i], cJSON_DetachItemFromObject(before, keys[i])));
    char *text = json_print(at, true);
    REQUIRE(
        file_write_whole(scratch("cut_short/checkpoint-4/trainer_state.json"), text, strlen(text)));
    mem_free(text);
    cJSON_Delete(before);
    cJSON_Delete(at);
    RUN(&c, cut, "save_steps", "0", "resume_from_checkpoint", "true");
    go(&c);
    train_config_finish(&c);
    for (int step = 4; step <= 12; step += 2)
        running_same_checkpoint(whole, cut, step);
    running_same_metrics(whole, cut);
}

// Without a wish for the best model nothing is compared, and no checkpoint is added.
static void nothing_is_compared_unasked(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = SCRATCH "/unasked";
    RUN(&c, dir, "load_best_model_at_end", "false", "save_steps", "0", "max_steps", "4");
    go(&c);
    train_config_finish(&c);
    expect_checkpoints(dir, 1, 4);
    cJSON *saved = state_of(dir, 4);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(saved, "best_metric")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(saved, "best_model_checkpoint")));
    cJSON_Delete(saved);
}

static void prompts_file(void)
{
    scratch_write("prompts.jsonl", "{\"prompt\": \"Question: what about the old clock\"}\n\n"
                                   "{\"prompt\": \"a small boat\"}\n{\"prompt\": \"the\"}\n");
}

// The best of the run is older than what is resumed: its folder is found again, also where the run
// was moved; texts and metrics end up as in the whole run.
static void resumed_with_a_best_behind(void **state)
{
    (void)state;
    struct train_config c;
    const char *whole = SCRATCH "/whole", *cut = SCRATCH "/cut";
    static const int after[] = {2, 6, 9};
    prompts_file();
    for (size_t i = 0; i <= sizeof after / sizeof *after; i++) {
        const char *dir = i ? cut : whole;
        if (i) cut_after(whole, cut, after[i - 1], 12);
        RUN(&c, dir, "greater_is_better", "false", "save_steps", "3", "eval_on_start", "true",
            "eval_prompts", scratch("prompts.jsonl"), "eval_max_new_tokens", "6",
            "eval_temperature", "0.8", "resume_from_checkpoint", i ? "true" : "false");
        go(&c);
        train_config_finish(&c);
        if (!i) continue;
        running_same_checkpoint(whole, cut, 12);
        running_same_metrics(whole, cut);
        expect_same_file(scratch("whole/model.safetensors"), scratch("cut/model.safetensors"));
        expect_same_file(scratch("whole/generations.jsonl"), scratch("cut/generations.jsonl"));
    }
    expect_same_file(scratch("cut/model.safetensors"),
                     scratch("cut/checkpoint-2/model.safetensors"));
}

static void a_best_that_is_gone_is_told(void **state)
{
    (void)state;
    struct train_config c;
    const char *whole = SCRATCH "/whole", *cut = SCRATCH "/gone"; // of the test above
    cut_after(whole, cut, 6, 12);
    REQUIRE(file_remove_tree(scratch("gone/checkpoint-2")));
    cut_after(whole, SCRATCH "/kept", 6, 12);
    REQUIRE(file_rename(whole, SCRATCH "/away")); // the path in the state leads nowhere
    RUN(&c, cut, "greater_is_better", "false", "save_steps", "3", "resume_from_checkpoint", "true");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FAILED);
    EXPECT_USER_ERROR("load_best_model_at_end", "step 2", "is gone",
                      "--load_best_model_at_end false");
    train_config_finish(&c);
    RUN(&c, cut, "greater_is_better", "false", "save_steps", "3", "resume_from_checkpoint", "true",
        "load_best_model_at_end", "false");
    go(&c);
    train_config_finish(&c);
    expect_same_file(scratch("gone/model.safetensors"),
                     scratch("gone/checkpoint-12/model.safetensors"));
    // Into another folder: the best stays where it was, beside the checkpoint resumed from.
    RUN(&c, SCRATCH "/other", "greater_is_better", "false", "save_steps", "3",
        "resume_from_checkpoint", SCRATCH "/kept/checkpoint-6");
    go(&c);
    train_config_finish(&c);
    expect_same_file(scratch("other/model.safetensors"),
                     scratch("kept/checkpoint-2/model.safetensors"));
}

// ---- early stopping ----

static void early_stopping_ends_the_run(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = SCRATCH "/early";
    RUN(&c, dir, "greater_is_better", "false", "save_steps", "0", "early_stopping_patience", "2");
    go(&c);
    train_config_finish(&c);
    expect_checkpoints(dir, 2, 2, 6);
    expect_log(dir, "early stopping: the run ends at step 6 of 12");
    expect_same_file(scratch("early/model.safetensors"),
                     scratch("early/checkpoint-2/model.safetensors"));
    cJSON *saved = state_of(dir, 6);
    double waiting = 0;
    REQUIRE(json_get_double(saved, "early_stopping_patience_counter", &waiting));
    assert_true(waiting == 2);
    cJSON_Delete(saved);
    // Once more: it has ended, and is left as it is.
    running_copy(dir, SCRATCH "/again");
    RUN(&c, SCRATCH "/again", "greater_is_better", "false", "save_steps", "0",
        "early_stopping_patience", "2", "resume_from_checkpoint", "true");
    go(&c);
    train_config_finish(&c);
    expect_checkpoints(SCRATCH "/again", 2, 2, 6);
    expect_log(SCRATCH "/again", "early stopping: this run had ended at step 6 of 12");
    running_same_metrics(dir, SCRATCH "/again");
    expect_same_file(scratch("early/model.safetensors"), scratch("again/model.safetensors"));
}

// With more patience a run that had ended goes on, and comes to what it would have come to.
static void more_patience_goes_on(void **state)
{
    (void)state;
    struct train_config c;
    const char *patient = SCRATCH "/patient", *more = SCRATCH "/more";
    RUN(&c, patient, "greater_is_better", "false", "save_steps", "0", "early_stopping_patience",
        "4");
    go(&c);
    train_config_finish(&c);
    expect_checkpoints(patient, 2, 2, 10);
    running_copy(SCRATCH "/early", more);
    RUN(&c, more, "greater_is_better", "false", "save_steps", "0", "early_stopping_patience", "4",
        "resume_from_checkpoint", "true");
    go(&c);
    train_config_finish(&c);
    running_same_checkpoint(patient, more, 10);
    running_same_metrics(patient, more);
}

// ---- evaluations at the start, of each method ----

static void the_start_is_evaluated_once(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = SCRATCH "/start";
    RUN(&c, dir, "eval_on_start", "true", "max_steps", "5", "save_steps", "1", "eval_steps", "50");
    assert_int_equal(running_go(&c, device, 2), TRAIN_STOPPED);
    train_config_finish(&c);
    RUN(&c, dir, "eval_on_start", "true", "max_steps", "5", "save_steps", "1", "eval_steps", "50",
        "resume_from_checkpoint", "true");
    go(&c);
    train_config_finish(&c);
    int evaluations = 0;
    for (int i = 0; i < 7; i++) {
        cJSON *line = running_metrics(dir, i);
        double step = -1, loss = -1;
        REQUIRE(line && json_get_double(line, "step", &step));
        bool evaluation = json_get(line, "eval_loss") != NULL;
        evaluations += evaluation;
        if (i == 0) {
            REQUIRE(json_get_double(line, "eval_loss", &loss));
            assert_true(step == 0 && loss > 0.69314 && loss < 0.69315);
        }
        cJSON_Delete(line);
    }
    assert_null(running_metrics(dir, 7));
    assert_int_equal(evaluations, 2); // step 0, step 5
}

static void expect_keys(const char *dir, int line, const char *const *there,
                        const char *const *absent)
{
    cJSON *json = running_metrics(dir, line);
    REQUIRE(json);
    for (; *there; there++)
        if (!json_get(json, *there)) fail_msg("%s: no %s", dir, *there);
    for (; *absent; absent++)
        if (json_get(json, *absent)) fail_msg("%s: %s", dir, *absent);
    cJSON_Delete(json);
}

static void metrics_follow_the_method(void **state)
{
    (void)state;
    static const char *const kto[] = {
        "eval_kl",     "eval_rewards/margins",     "eval_logps/chosen", "eval_logps/ref_rejected",
        "eval_kl/sft", "eval_rewards/sft_margins", "eval_kl/reference", NULL};
    static const char *const not_kto[] = {"eval_rewards/accuracies", "eval_nll_loss", NULL};
    static const char *const cpo[] = {"eval_nll_loss", "eval_rewards/accuracies", "eval_kl/sft",
                                      "eval_rewards/sft_margins", NULL};
    static const char *const not_cpo[] = {"eval_logps/ref_chosen", "eval_kl/reference", "eval_kl",
                                          NULL};
    static const char *const sft[] = {"eval_loss", "eval_mean_token_accuracy", NULL};
    static const char *const not_sft[] = {"eval_rewards/margins", "eval_kl/sft",
                                          "eval_logps/chosen", NULL};
    struct train_config c;
    RUN(&c, SCRATCH "/kto", "method", "kto", "max_steps", "1", "eval_on_start", "true");
    go(&c);
    train_config_finish(&c);
    expect_keys(SCRATCH "/kto", 0, kto, not_kto);
    RUN(&c, SCRATCH "/cpo", "method", "cpo", "max_steps", "1", "eval_on_start", "true",
        "sync_ref_model", "false");
    go(&c);
    train_config_finish(&c);
    expect_keys(SCRATCH "/cpo", 0, cpo, not_cpo);
    RUN(&c, SCRATCH "/sft", "method", "sft", "max_steps", "1", "eval_on_start", "true",
        "metric_for_best_model", "loss", "sync_ref_model", "false");
    go(&c);
    train_config_finish(&c);
    expect_keys(SCRATCH "/sft", 0, sft, not_sft);
}

// ---- texts ----

static struct vk_device *no_device(void *ctx)
{
    *(bool *)ctx = true;
    return NULL;
}

static void prompts_are_checked_before_the_device(void **state)
{
    (void)state;
    const struct {
        const char *text, *told;
    } bad[] = {
        {"", "no prompts"},
        {"{\"prompt\": \"a\"}\n{\"text\": \"b\"}\n", "line 2"},
        {"{\"prompt\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n", "chat template"},
    };
    struct train_config c;
    bool asked = false;
    struct train_hooks hooks = {.open_device = no_device, .ctx = &asked};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scratch_write("bad.jsonl", bad[i].text);
        RUN(&c, SCRATCH "/none", "eval_prompts", scratch("bad.jsonl"));
        assert_int_equal(train_run_with(&c, &hooks), TRAIN_FAILED);
        EXPECT_USER_ERROR("eval_prompts", "bad.jsonl", bad[i].told);
        train_config_finish(&c);
    }
    prompts_file();
    RUN(&c, SCRATCH "/none", "eval_prompts", scratch("prompts.jsonl"), "eval_max_new_tokens",
        "250");
    assert_int_equal(train_run_with(&c, &hooks), TRAIN_FAILED);
    EXPECT_USER_ERROR("eval_prompts: prompt 1", "250", "256 positions",
                      "lower eval_max_new_tokens");
    train_config_finish(&c);
    assert_false(asked);
    assert_false(file_exists(SCRATCH "/none"));
}

// KTO's margins are between two classes; an eval dataset of one has none.
static void a_metric_without_its_rows_is_told(void **state)
{
    (void)state;
    struct train_config c;
    bool asked = false;
    struct train_hooks hooks = {.open_device = no_device, .ctx = &asked};
    scratch_write("good.jsonl",
                  "{\"prompt\": \"Question:\", \"completion\": \" a boat\", \"label\": true}\n"
                  "{\"prompt\": \"Answer:\", \"completion\": \" a kite\", \"label\": true}\n");
    RUN(&c, SCRATCH "/none", "method", "kto", "eval_dataset_name", scratch("good.jsonl"));
    assert_int_equal(train_run_with(&c, &hooks), TRAIN_FAILED);
    EXPECT_USER_ERROR("metric_for_best_model", "rewards/sft_margins", "undesirable", "good.jsonl");
    train_config_finish(&c);
    assert_false(asked);
    RUN(&c, SCRATCH "/one_class", "method", "kto", "eval_dataset_name", scratch("good.jsonl"),
        "metric_for_best_model", "rewards/chosen", "max_steps", "2");
    go(&c);
    train_config_finish(&c);
}

// One line for each prompt and evaluation. Draws depend on the prompt alone, so a model that stands
// still (learning rate 0) writes the same in every evaluation.
static void texts_are_comparable(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = SCRATCH "/texts";
    prompts_file();
    RUN(&c, dir, "learning_rate", "0", "max_steps", "4", "eval_prompts", scratch("prompts.jsonl"),
        "eval_max_new_tokens", "12", "eval_temperature", "1.5");
    go(&c);
    train_config_finish(&c);
    struct file_lines lines;
    const char *line;
    size_t len;
    cJSON *read[6];
    REQUIRE(file_lines_open(&lines, scratch("texts/generations.jsonl")));
    for (int i = 0; i < 6; i++) {
        REQUIRE(file_lines_next(&lines, &line, &len) && line);
        read[i] = json_parse(line, len, "generations");
        REQUIRE(read[i]);
        double step = 0;
        REQUIRE(json_get_double(read[i], "step", &step));
        assert_true(step == (i < 3 ? 2 : 4));
    }
    REQUIRE(file_lines_next(&lines, &line, &len));
    assert_null(line);
    file_lines_close(&lines);
    assert_string_equal(cJSON_GetObjectItem(read[1], "prompt")->valuestring, "a small boat");
    for (int i = 0; i < 3; i++) {
        const char *a = cJSON_GetObjectItem(read[i], "completion")->valuestring;
        assert_string_equal(a, cJSON_GetObjectItem(read[i + 3], "completion")->valuestring);
        assert_true(*a);
    }
    for (int i = 0; i < 6; i++)
        cJSON_Delete(read[i]);
    expect_log(dir, "generation ");
    expect_log(dir, "\"a small boat\" -> \"");
}

static struct vk_device *the_device(void *ctx)
{
    (void)ctx;
    return device;
}

static bool raise_at_two(void *ctx, const char *line)
{
    (void)ctx;
    if (strstr(line, "{\"step\": 2,")) raise(SIGTERM);
    return true;
}

// Told of step 2, before its evaluation. The signal stays set, so this is the last test; what a
// resume makes of such a checkpoint is an_evaluation_cut_short_is_made_up_for().
static void a_signal_cuts_an_evaluation_short(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = SCRATCH "/signal";
    prompts_file();
    sys_catch_stop_signals();
    RUN(&c, dir, "eval_prompts", scratch("prompts.jsonl"));
    struct train_hooks hooks = {.open_device = the_device, .on_metrics = raise_at_two};
    assert_int_equal(train_run_with(&c, &hooks), TRAIN_STOPPED);
    train_config_finish(&c);
    expect_checkpoints(dir, 1, 2);
    cJSON *saved = state_of(dir, 2), *last = running_metrics(dir, 1);
    double step = 0;
    REQUIRE(json_get_double(saved, "eval_step", &step));
    assert_true(step == -1);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(saved, "best_metric")));
    REQUIRE(json_get_double(last, "step", &step) && !json_get(last, "eval_loss"));
    assert_true(step == 2);
    assert_null(running_metrics(dir, 2));
    assert_false(file_exists(scratch("signal/generations.jsonl")));
    assert_false(file_exists(scratch("signal/model.safetensors")));
    cJSON_Delete(saved);
    cJSON_Delete(last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_is_kept_and_loaded),
        cmocka_unit_test(the_last_may_be_the_best),
        cmocka_unit_test(an_evaluation_cut_short_is_made_up_for),
        cmocka_unit_test(nothing_is_compared_unasked),
        cmocka_unit_test(resumed_with_a_best_behind),
        cmocka_unit_test(a_best_that_is_gone_is_told),
        cmocka_unit_test(early_stopping_ends_the_run),
        cmocka_unit_test(more_patience_goes_on),
        cmocka_unit_test(the_start_is_evaluated_once),
        cmocka_unit_test(metrics_follow_the_method),
        cmocka_unit_test(prompts_are_checked_before_the_device),
        cmocka_unit_test(a_metric_without_its_rows_is_told),
        cmocka_unit_test(texts_are_comparable),
        cmocka_unit_test(a_signal_cuts_an_evaluation_short),
    };
    if (device_skip()) return device_skip();
    device_scratch = SCRATCH;
    return cmocka_run_group_tests(tests, device_begin, device_end);
}
