// Whole runs: TRL's own metrics, the checks a run makes of itself, and how runs fail.
#include "running.h"

#include "../common/device.h"
#include "../common/fixture.h"
#include "../common/scratch.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

// ---- TRL ----

// What TRL's trainer logged before the update of each step, against our metrics.jsonl. The rows
// stand in another order here, and TRL computes in float32 too: rewards are differences of sums of
// about 20.
static void compare_line(const cJSON *got, const cJSON *want)
{
    static const struct {
        const char *name;
        double absolute, relative;
    } metrics[] = {
        {"step", 0, 0},
        {"epoch", 0, 0},
        {"num_tokens", 0, 0},
        {"learning_rate", 0, 1e-15},
        {"loss", 2e-6, 2e-5},
        {"grad_norm", 0, 1e-4},
        {"entropy", 0, 2e-5},
        {"mean_token_accuracy", 1e-6, 0},
        {"rewards/chosen", 2e-5, 1e-4},
        {"rewards/rejected", 2e-5, 1e-4},
        {"rewards/margins", 2e-5, 1e-4},
        {"rewards/accuracies", 0, 0},
        {"logps/chosen", 0, 2e-5},
        {"logps/rejected", 0, 2e-5},
    };
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        double a = fixture_number(got, metrics[i].name, NULL);
        double b = fixture_number(want, metrics[i].name, NULL);
        if (!(fabs(a - b) <= metrics[i].absolute + metrics[i].relative * fabs(b)))
            fail_msg("step %g: %s is %.9g, TRL has %.9g", fixture_number(want, "step", NULL),
                     metrics[i].name, a, b);
    }
}

static void compare_with_trl(const char *name, const char *kind, const char *alpha,
                             const char *every, const char *budget)
{
    struct fixture f = {.name = name};
    struct train_config c;
    char file[64];
    const char *dir = scratchf("%s-%s-%s", name, kind, budget);
    RUNNING_CONFIG(&c, dir, "model_name_or_path", fixture_path(&f, "", ""),
                   "ref_model_name_or_path", fixture_path(&f, "-ref", ""),
                   "per_device_train_batch_size", "16", "max_steps", "6", "ref_model_mixup_alpha",
                   alpha, "ref_model_sync_steps", every, "token_budget", budget);
    if (running_go(&c, device, 0) != TRAIN_FINISHED) fail_msg("%s", err_message());
    snprintf(file, sizeof file, "trl_%s.json", kind);
    cJSON *trl = json_parse_file(fixture_path(&f, "", file), 0);
    REQUIRE(trl);
    const cJSON *steps = cJSON_GetObjectItem(trl, "steps");
    assert_int_equal(cJSON_GetArraySize(steps), 6);
    for (int i = 0; i < 6; i++) {
        cJSON *line = running_metrics(dir, i);
        assert_non_null(line);
        compare_line(line, cJSON_GetArrayItem(steps, i));
        cJSON_Delete(line);
    }
    assert_null(running_metrics(dir, 6));
    cJSON_Delete(trl);
    train_config_finish(&c);
}

static void metrics_are_trls(void **state)
{
    (void)state;
    compare_with_trl("tiny-gqa", "soft", "0.6", "1", "0");
    compare_with_trl("tiny-gqa", "hard", "1", "2", "192");
    compare_with_trl("tiny-llama3", "soft", "0.6", "1", "192");
    compare_with_trl("tiny-llama3", "hard", "1", "2", "0");
}

// ---- what a run leaves ----

static void metrics_beside_trls(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = scratch("beside");
    RUNNING_CONFIG(&c, dir, "per_device_train_batch_size", "16", "max_steps", "3",
                   "ref_model_mixup_alpha", "1", "ref_model_sync_steps", "2", "eval_dataset_name",
                   TEST_FIXTURES "/prefs.jsonl");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
    cJSON *line[4];
    for (int i = 0; i < 4; i++) {
        line[i] = running_metrics(dir, i);
        assert_non_null(line[i]);
    }
    assert_null(running_metrics(dir, 4));
    // Step 1: policy, reference and start are one model.
    static const char *const zero[] = {"rewards/chosen",      "rewards/margins",
                                       "kl/reference",        "kl/sft",
                                       "rewards/sft_margins", "rewards/accuracies"};
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++)
        assert_true(fixture_number(line[0], zero[i], NULL) == 0);
    assert_true(fabs(fixture_number(line[0], "loss", NULL) - log(2)) < 1e-6);
    // Step 3 comes after the hard update: no distance to the reference, but one to the start.
    assert_true(fixture_number(line[2], "rewards/margins", NULL) == 0);
    assert_true(fixture_number(line[2], "rewards/sft_margins", NULL) > 0.01);
    assert_true(fixture_number(line[0], "ref_updates", NULL) == 0);
    assert_true(fixture_number(line[2], "ref_updates", NULL) == 1);
    // Before the first update the two distances are the same one.
    assert_true(fabs(fixture_number(line[1], "rewards/sft_margins", NULL) -
                     fixture_number(line[1], "rewards/margins", NULL)) < 1e-5);
    // The evaluation at the end is of the policy after step 3.
    assert_true(fixture_number(line[3], "step", NULL) == 3);
    assert_true(fixture_number(line[3], "eval_rewards/sft_margins", NULL) >
                fixture_number(line[2], "rewards/sft_margins", NULL));
    for (int i = 0; i < 4; i++)
        cJSON_Delete(line[i]);
    train_config_finish(&c);
}

// The output opens as a starting model, and the last step is a checkpoint of it.
static void output_is_a_model(void **state)
{
    (void)state;
    struct train_config c, next;
    RUNNING_CONFIG(&c, scratch("first"), "method", "sft", "max_steps", "3");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
    static const char *const files[] = {"config.json",
                                        "tokenizer.json",
                                        "metrics.jsonl",
                                        "model.safetensors",
                                        "train.log",
                                        "resolved_config.yaml",
                                        "checkpoint-3/trainer_state.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_true(file_exists(scratchf("first/%s", files[i])));
    expect_same_file(scratch("first/model.safetensors"),
                     scratch("first/checkpoint-3/model.safetensors"));
    expect_same_file(scratch("first/tokenizer.json"), TEST_FIXTURES "/tiny-gqa/tokenizer.json");
    RUNNING_CONFIG(&next, scratch("second"), "model_name_or_path", scratch("first"), "max_steps",
                   "2");
    assert_int_equal(running_go(&next, device, 0), TRAIN_FINISHED);
    // The settings saved read back and say the same run.
    struct train_config saved;
    train_config_init(&saved);
    REQUIRE(train_config_read(&saved, scratch("second/resolved_config.yaml")));
    for (size_t i = 0; i < train_key_count; i++) {
        struct str a = {0}, b = {0};
        train_config_value(&next, &train_keys[i], &a);
        train_config_value(&saved, &train_keys[i], &b);
        assert_string_equal(str_text(&a), str_text(&b));
        str_finish(&a);
        str_finish(&b);
    }
    train_config_finish(&saved);
    train_config_finish(&c);
    train_config_finish(&next);
}

static void old_checkpoints_go(void **state)
{
    (void)state;
    struct train_config c;
    RUNNING_CONFIG(&c, scratch("limited"), "max_steps", "7", "save_steps", "2", "save_total_limit",
                   "2");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
    char **names, text[256] = "";
    size_t count;
    REQUIRE(file_list(scratch("limited"), &names, &count));
    for (size_t i = 0; i < count; i++)
        if (strstr(names[i], "checkpoint")) snprintf(text + strlen(text), 64, "%s ", names[i]);
    assert_string_equal(text, "checkpoint-6 checkpoint-7 ");
    file_list_free(names, count);
    train_config_finish(&c);
}

// ---- how runs fail ----

static char *log_of(const char *dir)
{
    char *path = file_join(dir, "train.log");
    size_t len;
    char *text = file_read(path, 0, &len);
    REQUIRE(text);
    mem_free(path);
    return text;
}

// Asserts that the folder holds one checkpoint, no unfinished one, and that its weights are
// numbers.
static void expect_one_sound_checkpoint(const char *dir)
{
    char **names;
    size_t count, checkpoints = 0;
    struct fixture f;
    struct model_weights w;
    fixture_open(&f, device, "tiny-gqa", true);
    fixture_weights(&f, &w, NULL);
    REQUIRE(file_list(dir, &names, &count));
    for (size_t i = 0; i < count; i++) {
        assert_false(str_starts_with(names[i], ".checkpoint"));
        if (!str_starts_with(names[i], "checkpoint-")) continue;
        char *path = file_join(dir, names[i]);
        checkpoints++;
        REQUIRE(model_weights_load(&w, path, "")); // which refuses NaN
        mem_free(path);
    }
    assert_int_equal(checkpoints, 1);
    file_list_free(names, count);
    model_weights_finish(&w);
    fixture_close(&f);
}

// Weight decay times a rate that warm-up raises: the first steps are harmless and save checkpoints,
// later ones multiply the weights until they overflow.
static void a_gradient_that_is_no_number_stops_the_run(void **state)
{
    (void)state;
    struct train_config c;
    RUNNING_CONFIG(&c, scratch("blown"), "max_steps", "100", "learning_rate", "10", "warmup_steps",
                   "50", "weight_decay", "10", "save_steps", "1", "save_total_limit", "1");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FAILED);
    EXPECT_USER_ERROR("step ", "gradient", "not numbers", "rows of lines", "learning_rate");
    expect_one_sound_checkpoint(scratch("blown"));
    train_config_finish(&c);
}

// Weights that are numbers, but make logits that are not.
static void a_loss_that_is_no_number_stops_the_run(void **state)
{
    (void)state;
    struct train_config c;
    struct fixture f;
    struct model_weights w;
    fixture_open(&f, device, "tiny-gqa", true);
    fixture_weights(&f, &w, "");
    const struct model_tensor *t = model_layout_find(&f.layout, "model.norm.weight");
    float *values = MEM_ARRAY(float, t->count);
    REQUIRE(model_weights_read(&w, t, values));
    for (uint64_t i = 0; i < t->count; i++)
        values[i] *= 1e38f;
    REQUIRE(model_weights_write(&w, t, values));
    mem_free(values);
    running_copy(TEST_FIXTURES "/tiny-gqa", scratch("large"));
    const struct model_weights_part part = {&w, ""};
    REQUIRE(model_weights_save(&part, 1, scratch("large/model.safetensors"), DTYPE_F32, NULL));
    static const char *const methods[] = {"dpo", "sft"};
    for (size_t k = 0; k < 2; k++) {
        RUNNING_CONFIG(&c, scratchf("large-%s", methods[k]), "model_name_or_path", scratch("large"),
                       "method", methods[k]);
        assert_int_equal(running_go(&c, device, 0), TRAIN_FAILED);
        EXPECT_USER_ERROR("step 1: ", "loss of line ", "prefs.jsonl", "not a number");
        train_config_finish(&c);
    }
    model_weights_finish(&w);
    fixture_close(&f);
}

static void damaged_weights_stop_it_before_anything_is_written(void **state)
{
    (void)state;
    struct train_config c;
    running_copy(TEST_FIXTURES "/tiny-gqa", scratch("damaged"));
    size_t len;
    char *bytes = file_read(scratch("damaged/model.safetensors"), 0, &len);
    REQUIRE(bytes);
    const unsigned char nan_bits[4] = {0, 0, 0xC0, 0x7F};
    memcpy(bytes + len - 64, nan_bits, 4);
    REQUIRE(file_write_whole(scratch("damaged/model.safetensors"), bytes, len));
    mem_free(bytes);
    RUNNING_CONFIG(&c, scratch("none"), "model_name_or_path", scratch("damaged"));
    assert_int_equal(running_go(&c, device, 0), TRAIN_FAILED);
    EXPECT_USER_ERROR("damaged/model.safetensors", "tensor 'model.", "NaN");
    assert_false(file_exists(scratch("none")));
    train_config_finish(&c);
}

// A plan beyond the device's memory is refused before the weights are read (there are none here).
static void plans_beyond_the_device_are_refused(void **state)
{
    (void)state;
    struct train_config c;
    size_t len;
    char *text = file_read(TEST_FIXTURES "/tiny-gqa/config.json", 0, &len);
    REQUIRE(text);
    cJSON *json = json_parse(text, len, "config.json");
    cJSON_ReplaceItemInObject(json, "num_hidden_layers", cJSON_CreateNumber(1000));
    cJSON_ReplaceItemInObject(json, "hidden_size", cJSON_CreateNumber(8192));
    cJSON_ReplaceItemInObject(json, "intermediate_size", cJSON_CreateNumber(8192));
    mem_free(text);
    text = json_print(json, true);
    scratch_write("huge/config.json", text);
    REQUIRE(file_copy(TEST_FIXTURES "/tiny-gqa/tokenizer.json", scratch("huge/tokenizer.json")));
    RUNNING_CONFIG(&c, scratch("none"), "model_name_or_path", scratch("huge"));
    assert_int_equal(running_go(&c, device, 0), TRAIN_FAILED);
    EXPECT_USER_ERROR("this run needs", "of device memory", "max_length", "--device");
    assert_false(file_exists(scratch("none")));
    mem_free(text);
    cJSON_Delete(json);
    train_config_finish(&c);
}

static void references_of_another_shape_are_refused(void **state)
{
    (void)state;
    struct train_config c;
    RUNNING_CONFIG(&c, scratch("none"), "ref_model_name_or_path", TEST_FIXTURES "/tiny-llama3-ref");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FAILED);
    EXPECT_USER_ERROR("ref_model_name_or_path", "another shape", "tiny-gqa");
    train_config_finish(&c);
    RUNNING_CONFIG(&c, scratch("none"), "token_budget", "20");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FAILED);
    EXPECT_USER_ERROR("token_budget", "20", "longest row");
    train_config_finish(&c);
}

static void the_log_tells_all(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = scratch("still");
    RUNNING_CONFIG(&c, dir, "max_steps", "2");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
    char *log = log_of(dir);
    static const char *const told[] = {"16 rows",
                                       "ref_model_sync_steps is 512, but",
                                       "bytes a parameter",
                                       "scoring 16 training rows",
                                       "[[",
                                       "self-check passed",
                                       "step 1/2 ",
                                       "done: 2 steps"};
    const char *at = log;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        at = strstr(at, told[i]);
        if (!at) fail_msg("'%s' is not in its place in the log:\n%s", told[i], log);
    }
    mem_free(log);
    train_config_finish(&c);
}

static int begin(void **state)
{
    scratch_init("test_run.scratch");
    log_set_level(LOG_WARN);
    return device_open(state);
}

static int end(void **state)
{
    scratch_finish();
    return device_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_trls),
        cmocka_unit_test(metrics_beside_trls),
        cmocka_unit_test(output_is_a_model),
        cmocka_unit_test(old_checkpoints_go),
        cmocka_unit_test(a_gradient_that_is_no_number_stops_the_run),
        cmocka_unit_test(a_loss_that_is_no_number_stops_the_run),
        cmocka_unit_test(damaged_weights_stop_it_before_anything_is_written),
        cmocka_unit_test(plans_beyond_the_device_are_refused),
        cmocka_unit_test(references_of_another_shape_are_refused),
        cmocka_unit_test(the_log_tells_all),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, begin, end);
}
