// The output folder: whose it is, what is resumed, what is removed and what is not.
#include "../common/scratch.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

struct folder {
    struct train_config config;
    struct train_run run;
};

static int begin(void **state)
{
    static struct folder f;
    scratch_init("test_run_dir.scratch");
    train_config_init(&f.config);
    f.run = (struct train_run){.config = &f.config, .total_steps = 100};
    REQUIRE(train_config_set(&f.config, "output_dir", scratch("run"), "test"));
    REQUIRE(train_config_set(&f.config, "model_name_or_path", scratch("model"), "test"));
    scratch_write("model/config.json", "{}");
    *state = &f;
    return 0;
}

static int end(void **state)
{
    struct folder *f = *state;
    log_close_file();
    mem_free(f->run.resume_dir);
    train_config_finish(&f->config);
    scratch_finish();
    return 0;
}

static void set(struct folder *f, const char *key, const char *value)
{
    REQUIRE(train_config_set(&f->config, key, value, "test"));
}

static void put_checkpoint(int step)
{
    scratch_write(scratchf("run/checkpoint-%d/trainer_state.json", step) +
                      strlen("test_run_dir.scratch/"),
                  "{}");
}

static void put_run(void)
{
    scratch_write("run/metrics.jsonl", "{\"step\": 10}\n");
    scratch_write("run/train.log", "old\n");
    put_checkpoint(5);
    put_checkpoint(50);
    put_checkpoint(500);
}

static bool exists(const char *name)
{
    return file_exists(scratch(name));
}

static void fresh_folder(void **state)
{
    struct folder *f = *state;
    REQUIRE(train_dir_prepare(&f->run));
    assert_false(exists("run")); // nothing is made before all else has been checked
    REQUIRE(train_dir_open(&f->run));
    assert_true(exists("run/resolved_config.yaml") && exists("run/train.log"));
    // A run that was stopped before it saved anything leaves a folder that may be used again.
    REQUIRE(train_dir_prepare(&f->run));
    assert_null(f->run.resume_dir);
}

static void foreign_files_do_not_matter(void **state)
{
    struct folder *f = *state;
    scratch_write("run/notes.txt", "mine");
    scratch_write("run/checkpoint-5x/file", "mine");
    scratch_write("run/checkpoint-/file", "mine");
    REQUIRE(train_dir_prepare(&f->run) && train_dir_open(&f->run));
    assert_true(exists("run/notes.txt") && exists("run/checkpoint-5x/file"));
}

static void a_run_is_not_written_over(void **state)
{
    struct folder *f = *state;
    static const char *const traces[] = {"run/metrics.jsonl", "run/model.safetensors",
                                         "run/checkpoint-7/trainer_state.json"};
    for (size_t i = 0; i < 3; i++) {
        scratch_write(traces[i], "{}");
        assert_false(train_dir_prepare(&f->run));
        EXPECT_USER_ERROR("already holds a run", "--resume_from_checkpoint",
                          "--overwrite_output_dir", "run");
        REQUIRE(file_remove_tree(scratch("run")));
    }
    scratch_write("run", "a file");
    assert_false(train_dir_prepare(&f->run));
    EXPECT_USER_ERROR("output_dir", "is a file");
}

static void overwriting_removes_what_a_run_leaves(void **state)
{
    struct folder *f = *state;
    put_run();
    scratch_write("run/model.safetensors", "old");
    scratch_write("run/chat_template.jinja", "old");
    scratch_write("run/notes.txt", "mine");
    scratch_write("run/data/rows.jsonl", "mine");
    scratch_write("run/.checkpoint-9.unfinished/model.safetensors", "half");
    set(f, "overwrite_output_dir", "true");
    REQUIRE(train_dir_prepare(&f->run));
    assert_true(exists("run/metrics.jsonl") && exists("run/checkpoint-500")); // not yet
    REQUIRE(train_dir_open(&f->run));
    static const char *const gone[] = {"run/metrics.jsonl",           "run/checkpoint-5",
                                       "run/checkpoint-50",           "run/checkpoint-500",
                                       "run/model.safetensors",       "run/chat_template.jinja",
                                       "run/.checkpoint-9.unfinished"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        if (exists(gone[i])) fail_msg("%s is still there", gone[i]);
    assert_true(exists("run/notes.txt") && exists("run/data/rows.jsonl"));
}

static void newest_is_resumed(void **state)
{
    struct folder *f = *state;
    put_run();
    scratch_write("run/.checkpoint-900.unfinished/trainer_state.json", "{}");
    scratch_write("run/.checkpoint-3.removed/trainer_state.json", "{}");
    set(f, "resume_from_checkpoint", "true");
    REQUIRE(train_dir_prepare(&f->run));
    assert_string_equal(f->run.resume_dir, scratch("run/checkpoint-500")); // by number, not by name
    f->run.state.step = 500;
    REQUIRE(train_dir_open(&f->run));
    assert_false(exists("run/.checkpoint-900.unfinished") || exists("run/.checkpoint-3.removed"));
    assert_true(exists("run/checkpoint-5") && exists("run/checkpoint-500/trainer_state.json"));
}

static void resume_where_there_is_nothing(void **state)
{
    struct folder *f = *state;
    set(f, "resume_from_checkpoint", "true");
    REQUIRE(train_dir_prepare(&f->run)); // a job that always asks to resume starts the first time
    assert_null(f->run.resume_dir);
    // Killed before its first checkpoint: from the beginning, without the lines of the lost steps.
    scratch_write("run/metrics.jsonl", "{\"step\": 1}\n{\"step\": 2}\n");
    REQUIRE(train_dir_prepare(&f->run) && train_dir_open(&f->run));
    assert_null(f->run.resume_dir);
    assert_int_equal(file_size(scratch("run/metrics.jsonl")), 0);
    scratch_write("run/model.safetensors", "finished");
    assert_false(train_dir_prepare(&f->run));
    EXPECT_USER_ERROR("resume_from_checkpoint", "no checkpoint", "--overwrite_output_dir");
}

static void resume_from_a_path(void **state)
{
    struct folder *f = *state;
    set(f, "resume_from_checkpoint", scratch("elsewhere"));
    assert_false(train_dir_prepare(&f->run));
    EXPECT_USER_ERROR("resume_from_checkpoint", "elsewhere", "not a checkpoint");
    scratch_write("elsewhere/trainer_state.json", "{}");
    REQUIRE(train_dir_prepare(&f->run));
    assert_string_equal(f->run.resume_dir, scratch("elsewhere"));
    // The folder of another run is not gone on with.
    put_run();
    assert_false(train_dir_prepare(&f->run));
    EXPECT_USER_ERROR("already holds a run");
    // An older checkpoint of the folder itself: the later ones would be in the way.
    set(f, "resume_from_checkpoint", scratch("run/checkpoint-50"));
    assert_false(train_dir_prepare(&f->run));
    EXPECT_USER_ERROR("resume_from_checkpoint", "later checkpoints", "checkpoint-500");
    REQUIRE(file_remove_tree(scratch("run/checkpoint-500")));
    mem_free(f->run.resume_dir);
    f->run.resume_dir = NULL;
    REQUIRE(train_dir_prepare(&f->run));
    assert_string_equal(f->run.resume_dir, scratch("run/checkpoint-50"));
    set(f, "overwrite_output_dir", "true");
    assert_false(train_dir_prepare(&f->run));
    EXPECT_USER_ERROR("contradict");
}

static void the_start_is_not_written_over(void **state)
{
    struct folder *f = *state;
    set(f, "output_dir", scratch("model"));
    assert_false(train_dir_prepare(&f->run));
    EXPECT_USER_ERROR("output_dir", "model_name_or_path", "written over");
    set(f, "output_dir", scratch("run"));
    scratch_write("run/notes.txt", "");
    set(f, "ref_model_name_or_path", scratch("run/../run"));
    assert_false(train_dir_prepare(&f->run));
    EXPECT_USER_ERROR("output_dir", "ref_model_name_or_path");
    set(f, "ref_model_name_or_path", "");
    put_run();
    set(f, "model_name_or_path", scratch("run/checkpoint-50"));
    set(f, "overwrite_output_dir", "true");
    assert_false(train_dir_prepare(&f->run));
    EXPECT_USER_ERROR("overwrite_output_dir", "checkpoint-50", "model_name_or_path");
    assert_true(exists("run/checkpoint-50/trainer_state.json"));
}

static void expect_metrics(const char *want)
{
    size_t len;
    char *text = file_read(scratch("run/metrics.jsonl"), 0, &len);
    REQUIRE(text);
    assert_string_equal(text, want);
    mem_free(text);
}

static void metrics_of_lost_steps_are_dropped(void **state)
{
    struct folder *f = *state;
    const char *const lines = "{\"step\": 10, \"loss\": 1}\n{\"step\": 20, \"loss\": 1}\n"
                              "{\"step\": 20, \"eval_loss\": 1}\n{\"step\": 30, \"loss\": 1}\n"
                              "{\"step\": 40, \"lo";
    scratch_write("run/metrics.jsonl", lines);
    f->run.state = (struct train_state){.step = 20, .eval_step = 20};
    REQUIRE(train_dir_open(&f->run));
    expect_metrics("{\"step\": 10, \"loss\": 1}\n{\"step\": 20, \"loss\": 1}\n"
                   "{\"step\": 20, \"eval_loss\": 1}\n");
    // An evaluation that the checkpoint does not know of will be made again.
    scratch_write("run/metrics.jsonl", lines);
    f->run.state.eval_step = 10;
    log_close_file();
    REQUIRE(train_dir_open(&f->run));
    expect_metrics("{\"step\": 10, \"loss\": 1}\n{\"step\": 20, \"loss\": 1}\n");
    scratch_write("run/metrics.jsonl", "{\"step\": 10, \"loss\": 1}\nnot JSON\n{\"step\": 11}\n");
    log_close_file();
    REQUIRE(train_dir_open(&f->run));
    expect_metrics("{\"step\": 10, \"loss\": 1}\n");
}

static void checkpoints_leave_their_name_first(void **state)
{
    struct folder *f = *state;
    put_run();
    scratch_write("run/.checkpoint-5.removed/left", "by a kill");
    REQUIRE(train_dir_remove_checkpoint(f->config.output_dir, 5));
    REQUIRE(train_dir_remove_checkpoint(f->config.output_dir, 6)); // absent
    assert_false(exists("run/checkpoint-5") || exists("run/.checkpoint-5.removed"));
    int64_t *steps;
    size_t count;
    REQUIRE(train_dir_checkpoints(f->config.output_dir, &steps, &count));
    assert_int_equal(count, 2);
    assert_true(steps[0] == 50 && steps[1] == 500);
    mem_free(steps);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fresh_folder),
        TEST(foreign_files_do_not_matter),
        TEST(a_run_is_not_written_over),
        TEST(overwriting_removes_what_a_run_leaves),
        TEST(newest_is_resumed),
        TEST(resume_where_there_is_nothing),
        TEST(resume_from_a_path),
        TEST(the_start_is_not_written_over),
        TEST(metrics_of_lost_steps_are_dropped),
        TEST(checkpoints_leave_their_name_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
