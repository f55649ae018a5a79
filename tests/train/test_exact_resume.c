// A run of n steps equals a run of k steps, a stop, and a resume to n: bit for bit, weights,
// reference, optimiser, data order and metrics included.
#include "running.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SCRATCH "test_exact_resume.scratch"
#define STEPS 14
#define STEPS_TEXT "14"

// 16 rows in batches of 2 x 3: three steps an epoch, the last of four rows; so 14 steps end within
// the fifth epoch. Metrics every 5 steps, evaluation every 4, a checkpoint after each.
static void configure(struct train_config *c, const char *dir, const char *key, const char *value,
                      const char *every)
{
    RUNNING_CONFIG(c, dir, "max_steps", STEPS_TEXT, "per_device_train_batch_size", "2",
                   "gradient_accumulation_steps", "3", "logging_steps", "5", "eval_dataset_name",
                   TEST_FIXTURES "/prefs.jsonl", "eval_steps", "4", "save_steps", "1",
                   "lr_scheduler_type", "cosine", "warmup_steps", "3", "weight_decay", "0.1",
                   "ref_model_sync_steps", every, key, value);
    if (c->method == TRAIN_DPO && c->loss_types == 0)
        REQUIRE(train_config_set(c, "label_smoothing", "0.1", "test"));
}

// Makes the folder as a kill -9 right after step `k`'s checkpoint leaves it, metrics of later steps
// and an unfinished checkpoint included.
static void cut_after(const char *whole, const char *cut, int k)
{
    running_copy(whole, cut);
    REQUIRE(file_remove(scratchf("cut/model.safetensors")));
    for (int step = k + 1; step <= STEPS; step++)
        REQUIRE(file_remove_tree(scratchf("cut/checkpoint-%d", step)));
    scratch_write("cut/.checkpoint-99.unfinished/model.safetensors", "half");
}

static void resume_after_each(const char *key, const char *value, const char *every, int stride)
{
    struct train_config c;
    const char *whole = SCRATCH "/whole", *cut = SCRATCH "/cut";
    configure(&c, whole, key, value, every);
    REQUIRE(file_remove_tree(whole));
    assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
    train_config_finish(&c);
    for (int k = 1; k < STEPS; k += stride) {
        cut_after(whole, cut, k);
        configure(&c, cut, key, value, every);
        REQUIRE(train_config_set(&c, "resume_from_checkpoint", "true", "test"));
        if (running_go(&c, device, 0) != TRAIN_FINISHED) fail_msg("%s", err_message());
        for (int step = k + 1; step <= STEPS; step++)
            running_same_checkpoint(whole, cut, step);
        running_same_metrics(whole, cut);
        expect_same_file(scratch("whole/model.safetensors"), scratch("cut/model.safetensors"));
        assert_false(file_exists(scratch("cut/.checkpoint-99.unfinished")));
        train_config_finish(&c);
    }
}

static void soft_updates(void **state)
{
    (void)state;
    resume_after_each("ref_model_mixup_alpha", "0.6", "1", 1);
}

static void hard_updates(void **state)
{
    (void)state;
    resume_after_each("ref_model_mixup_alpha", "1", "4", 3);
}

static void another_reference(void **state)
{
    (void)state;
    resume_after_each("ref_model_name_or_path", TEST_FIXTURES "/tiny-gqa-ref", "2", 4);
}

static void next_tokens(void **state)
{
    (void)state;
    resume_after_each("method", "sft", "1", 4);
}

static void unpaired(void **state)
{
    (void)state;
    resume_after_each("method", "kto", "3", 4);
}

// A list in which each pair's loss hangs on its whole batch.
static void across_the_batch(void **state)
{
    (void)state;
    resume_after_each("loss_type", "aot,kto_pair", "1", 5);
}

static void without_reference(void **state)
{
    (void)state;
    resume_after_each("method", "cpo", "1", 6);
}

static void moments_in_8_bits(void **state)
{
    (void)state;
    resume_after_each("optim", "adamw_bnb_8bit", "1", 2);
}

static void weights_in_halves(void **state)
{
    (void)state;
    resume_after_each("bf16", "true", "1", 4);
}

// Stopped on request, at every step in turn, the evaluation that is due then included.
static void stopped_and_resumed(void **state)
{
    (void)state;
    struct train_config c;
    const char *whole = SCRATCH "/whole", *cut = SCRATCH "/cut";
    REQUIRE(file_remove_tree(whole));
    configure(&c, whole, "logging_steps", "1", "2");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
    train_config_finish(&c);
    for (int at = 1; at < STEPS - 1; at += 2) {
        REQUIRE(file_remove_tree(cut));
        configure(&c, cut, "logging_steps", "1", "2");
        REQUIRE(train_config_set(&c, "save_steps", "0", "test"));
        assert_int_equal(running_go(&c, device, at), TRAIN_STOPPED);
        assert_false(file_exists(scratch("cut/model.safetensors"))); // not finished
        REQUIRE(train_config_set(&c, "resume_from_checkpoint", "true", "test"));
        assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
        running_same_checkpoint(whole, cut, STEPS);
        running_same_metrics(whole, cut);
        train_config_finish(&c);
    }
}

// ---- what is refused ----

static void edit_state(const char *member, cJSON *value)
{
    const char *path = SCRATCH "/cut/checkpoint-2/trainer_state.json";
    cJSON *json = json_parse_file(path, 0);
    REQUIRE(json);
    cJSON_DeleteItemFromObject(json, member);
    if (value) cJSON_AddItemToObject(json, member, value);
    char *text = json_print(json, true);
    REQUIRE(file_write_whole(path, text, strlen(text)));
    mem_free(text);
    cJSON_Delete(json);
}

static void expect_refusal(const char *metrics, struct train_config *c, const char *place,
                           const char *says)
{
    if (running_go(c, device, 0) != TRAIN_FAILED) fail_msg("resumed all the same: %s", says);
    EXPECT_USER_ERROR(place, says);
    // Nothing was touched.
    expect_same_file(metrics, scratch("cut/metrics.jsonl"));
    assert_true(file_exists(scratch("cut/checkpoint-2/model.safetensors")));
    train_config_finish(c);
}

static void damaged_checkpoints(void **state)
{
    (void)state;
    struct train_config c;
    const char *made = SCRATCH "/made", *cut = SCRATCH "/cut";
    RUNNING_CONFIG(&c, made, "max_steps", "2");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
    train_config_finish(&c);
    const char *metrics = SCRATCH "/kept.jsonl";
    REQUIRE(file_copy(scratch("made/metrics.jsonl"), metrics));
#define DAMAGED(...)                                                                               \
    running_copy(made, cut);                                                                       \
    RUNNING_CONFIG(&c, cut, "max_steps", "4", "resume_from_checkpoint", "true", __VA_ARGS__)

    DAMAGED("dataset_name", TEST_FIXTURES "/prefs.jsonl", "max_length", "60");
    expect_refusal(metrics, &c, "trainer_state.json", "not the dataset that the run began with");
    DAMAGED("eval_dataset_name", TEST_FIXTURES "/prefs.jsonl");
    expect_refusal(metrics, &c, "eval_dataset_name", "not the dataset that the run began with");
    static const char *const members[] = {"global_step",      "num_tokens", "ref_updates",
                                          "eval_step",        "window",     "dataset_rows",
                                          "dataset_checksum", "format"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        DAMAGED("seed", "42");
        edit_state(members[i], NULL);
        expect_refusal(metrics, &c, "checkpoint-2/trainer_state.json", "");
        DAMAGED("seed", "42");
        edit_state(members[i], cJSON_CreateString("2"));
        expect_refusal(metrics, &c, "checkpoint-2/trainer_state.json", "");
    }
    DAMAGED("seed", "42");
    edit_state("ref_updates", cJSON_CreateNumber(1e12));
    expect_refusal(metrics, &c, "trainer_state.json", "out of range");
    DAMAGED("seed", "42");
    edit_state("format", cJSON_CreateNumber(99));
    expect_refusal(metrics, &c, "trainer_state.json", "format 99");
    DAMAGED("seed", "42");
    scratch_write("cut/checkpoint-2/trainer_state.json", "{\"format\": 1,");
    expect_refusal(metrics, &c, "checkpoint-2/trainer_state.json", "");
    static const char *const files[] = {"optimizer", "reference", "start_logps"};
    for (size_t i = 0; i < 3; i++) {
        DAMAGED("seed", "42");
        REQUIRE(file_remove(scratchf("cut/checkpoint-2/%s.safetensors", files[i])));
        expect_refusal(metrics, &c, files[i], ".safetensors");
        DAMAGED("seed", "42");
        REQUIRE(
            file_write_whole(scratchf("cut/checkpoint-2/%s.safetensors", files[i]), "short", 5));
        expect_refusal(metrics, &c, files[i], ".safetensors");
    }
#undef DAMAGED
}

// Byte `at` of the data of optimizer.safetensors, or, where negative, from its end.
static void damage_moments(long at, const char *bytes, size_t count)
{
    const char *path = SCRATCH "/cut/checkpoint-2/optimizer.safetensors";
    size_t len;
    char *file = file_read(path, 0, &len);
    REQUIRE(file);
    uint64_t header = 0;
    for (int i = 0; i < 8; i++)
        header |= (uint64_t)(unsigned char)file[i] << 8 * i;
    memcpy(at < 0 ? file + len + at : file + 8 + header + at, bytes, count);
    REQUIRE(file_write_whole(path, file, len));
    mem_free(file);
}

// Moments of the other kind, and codes and scales that cannot be.
static void moments_that_do_not_fit(void **state)
{
    (void)state;
    struct train_config c;
    const char *made = SCRATCH "/coded", *cut = SCRATCH "/cut", *metrics = SCRATCH "/kept.jsonl";
    const char *const kinds[] = {"adamw", "adamw_8bit"};
    for (int k = 0; k < 2; k++) {
        REQUIRE(file_remove_tree(made));
        RUNNING_CONFIG(&c, made, "max_steps", "2", "optim", kinds[k]);
        assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
        train_config_finish(&c);
        REQUIRE(file_remove(metrics));
        REQUIRE(file_copy(scratch("coded/metrics.jsonl"), metrics));
        running_copy(made, cut);
        RUNNING_CONFIG(&c, cut, "max_steps", "4", "resume_from_checkpoint", "true", "optim",
                       kinds[1 - k]);
        expect_refusal(metrics, &c, "checkpoint-2/optimizer.safetensors",
                       k ? "moments in 8 bits, but optim is adamw: go on with optim: adamw_8bit"
                         : "moments in fp32, but optim is adamw_8bit: go on with optim: adamw,");
    }
    static const struct {
        long at;
        const char *bytes;
        size_t count;
        const char *says;
    } cases[] = {{5, "\x80", 1, "holds what is no code at element 5"},
                 {-8, "\0\0\x80\x7f", 4, "'scales' holds inf"},
                 {-4, "\0\0\xc0\xff", 4, "'scales' holds"},
                 {-4, "\0\0\x80\xbf", 4, "'scales' holds -1"},
                 {-4, "\0\0\0\x7f", 4, "'scales' holds 1.7"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        running_copy(made, cut);
        damage_moments(cases[i].at, cases[i].bytes, cases[i].count);
        RUNNING_CONFIG(&c, cut, "max_steps", "4", "resume_from_checkpoint", "true", "optim",
                       "adamw_8bit");
        expect_refusal(metrics, &c, "checkpoint-2/optimizer.safetensors", cases[i].says);
    }
}

// A changed setting is told, since the run is then not what it would have been.
static void changed_settings_are_told(void **state)
{
    (void)state;
    struct train_config c;
    RUNNING_CONFIG(&c, scratch("told"), "max_steps", "2");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
    train_config_finish(&c);
    RUNNING_CONFIG(&c, scratch("told"), "max_steps", "3", "beta", "0.2", "resume_from_checkpoint",
                   "true", "save_total_limit", "5");
    assert_int_equal(running_go(&c, device, 0), TRAIN_FINISHED);
    size_t len;
    char *log = file_read(scratch("told/train.log"), 0, &len);
    REQUIRE(log);
    assert_non_null(strstr(log, "beta was 0.1 when the run began and is 0.2 now"));
    assert_non_null(strstr(log, "max_steps was 2"));
    assert_null(strstr(log, "save_total_limit was"));
    assert_null(strstr(log, "seed was"));
    mem_free(log);
    train_config_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(soft_updates),
        cmocka_unit_test(hard_updates),
        cmocka_unit_test(another_reference),
        cmocka_unit_test(next_tokens),
        cmocka_unit_test(unpaired),
        cmocka_unit_test(across_the_batch),
        cmocka_unit_test(without_reference),
        cmocka_unit_test(moments_in_8_bits),
        cmocka_unit_test(weights_in_halves),
        cmocka_unit_test(stopped_and_resumed),
        cmocka_unit_test(damaged_checkpoints),
        cmocka_unit_test(moments_that_do_not_fit),
        cmocka_unit_test(changed_settings_are_told),
    };
    if (device_skip()) return device_skip();
    device_scratch = SCRATCH;
    return cmocka_run_group_tests(tests, device_begin, device_end);
}
