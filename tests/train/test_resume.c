// The program itself stopped by signals, killed and out of disk space: what it says, what it
// leaves, and that a resumed run ends with the bits of an uninterrupted one.
#include "running.h"

#include "../common/scratch.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SCRATCH "test_resume.scratch"
#define WHOLE SCRATCH "/whole"
#define CUT SCRATCH "/cut"
#define STEPS "30"
#define PATIENCE_SECONDS 300
#define KILLS 20

static double whole_seconds; // of the uninterrupted run

// ---- the program in a child ----

// Starts training into `dir`; its standard error goes to SCRATCH/stderr. Further keys and values up
// to a NULL.
static pid_t start(const char *dir, const char *steps, ...)
{
    const char *args[64] = {PROGRAM,
                            "train",
                            "--model_name_or_path",
                            TEST_FIXTURES "/tiny-gqa",
                            "--dataset_name",
                            TEST_FIXTURES "/prefs.jsonl",
                            "--eval_dataset_name",
                            TEST_FIXTURES "/prefs.jsonl",
                            "--output_dir",
                            dir,
                            "--max_steps",
                            steps,
                            "--per_device_train_batch_size",
                            "3",
                            "--learning_rate",
                            "1e-3",
                            "--ref_model_sync_steps",
                            "2",
                            "--logging_steps",
                            "1",
                            "--eval_steps",
                            "7"};
    size_t n = 22;
    va_list more;
    va_start(more, steps);
    for (const char *word; (word = va_arg(more, const char *));)
        args[n++] = word;
    va_end(more);
    assert_true(n < 63);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(SCRATCH "/stderr", O_WRONLY | O_CREAT | O_TRUNC, 0644);
        dup2(fd, 2);
        execv(PROGRAM, (char **)(uintptr_t)args);
        _exit(127);
    }
    return pid;
}
#define START(dir, ...) start((dir), STEPS, __VA_ARGS__, (const char *)0)

static int finish(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

static void sleep_seconds(double seconds)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)seconds,
                                 .tv_nsec = (long)((seconds - floor(seconds)) * 1e9)},
              NULL);
}

// Another one in each run of the test, unless TRDPO_TEST_SEED says which.
static uint64_t seed(void)
{
    const char *given = getenv("TRDPO_TEST_SEED");
    uint64_t value = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("TRDPO_TEST_SEED=%llu\n", (unsigned long long)value);
    return value;
}

// Waits until there are that many lines in CUT/metrics.jsonl or the child has ended. Time decides
// nothing but whether a program that hangs is given up.
static void wait_for_lines(pid_t pid, int lines)
{
    time_t end = time(NULL) + PATIENCE_SECONDS;
    for (;;) {
        int have = 0, status;
        FILE *f = fopen(CUT "/metrics.jsonl", "r");
        for (int c; f && (c = fgetc(f)) != EOF;)
            have += c == '\n';
        if (f) fclose(f);
        siginfo_t info = {0};
        status = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
        if (have >= lines || status != 0 || info.si_pid == pid) return;
        if (time(NULL) > end) {
            kill(pid, SIGKILL);
            fail_msg("the program hangs");
        }
        nap();
    }
}

static char *said(void)
{
    size_t len;
    char *text = file_read(SCRATCH "/stderr", 0, &len);
    REQUIRE(text);
    return text;
}

static void expect_code(int code, int want)
{
    if (code == want) return;
    char *text = said();
    fail_msg("exit code %d, want %d; it said:\n%s", code, want, text);
}

static void expect_said(const char *words)
{
    char *text = said();
    if (!strstr(text, words)) fail_msg("'%s' is not in:\n%s", words, text);
    mem_free(text);
}

static bool any_named(const char *dir, const char *begin, const char *end)
{
    char **names;
    size_t count;
    bool found = false;
    if (!file_is_dir(dir) || !file_list(dir, &names, &count)) return false;
    for (size_t i = 0; i < count; i++)
        found = found || (str_starts_with(names[i], begin) && str_ends_with(names[i], end));
    file_list_free(names, count);
    return found;
}

static void expect_finished(void)
{
    running_same_checkpoint(WHOLE, CUT, 30);
    running_same_metrics(WHOLE, CUT);
    expect_same_file(WHOLE "/model.safetensors", CUT "/model.safetensors");
    assert_false(any_named(CUT, ".", ""));
}

// ---- tests ----

static void stop_by(int signal_number, const char *save_steps)
{
    REQUIRE(file_remove_tree(CUT));
    pid_t pid = START(CUT, "--save_steps", save_steps);
    wait_for_lines(pid, 5);
    kill(pid, signal_number);
    expect_code(finish(pid), 128 + signal_number);
    expect_said("stopped on request at step ");
    expect_said("--resume_from_checkpoint true");
    assert_false(file_exists(CUT "/model.safetensors"));
    assert_true(any_named(CUT, "checkpoint-", ""));
    expect_code(finish(START(CUT, "--save_steps", save_steps)), 2);
    expect_said("already holds a run");
    expect_code(finish(START(CUT, "--save_steps", save_steps, "--resume_from_checkpoint", "true")),
                0);
    expect_finished();
}

static void interrupted(void **state)
{
    (void)state;
    stop_by(SIGINT, "0");
}

static void terminated(void **state)
{
    (void)state;
    stop_by(SIGTERM, "3");
}

// Waits for an unfinished checkpoint and kills; false if the program was faster, which is no fault
// of its.
static bool kill_while_saving(pid_t pid)
{
    time_t end = time(NULL) + PATIENCE_SECONDS;
    siginfo_t info = {0};
    while (!any_named(CUT, ".checkpoint-", ".unfinished") && time(NULL) < end &&
           waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != pid)
        continue;
    kill(pid, SIGKILL);
    finish(pid);
    return any_named(CUT, ".checkpoint-", ".unfinished");
}

static void expect_resumed_to_the_end(const char *offload)
{
    expect_code(finish(START(CUT, "--save_steps", "1", "--save_total_limit", "2",
                             "--resume_from_checkpoint", "true", "--ref_offload", offload)),
                0);
    expect_finished();
}

// Killed at twenty random moments, each time in a run resumed from the last; every fourth moment is
// one at which a checkpoint is being written. Where the reference lives changes from run to run: it
// is no part of the result.
static void killed_at_random_moments(void **state)
{
    (void)state;
    struct rng rng = rng_begin(seed(), RNG_TEST);
    int saving = 0, ends = 0;
    REQUIRE(file_remove_tree(CUT));
    for (int i = 0; i < KILLS; i++) {
        pid_t pid =
            START(CUT, "--save_steps", "1", "--save_total_limit", "2", "--resume_from_checkpoint",
                  "true", "--ref_offload", i % 3 == 1 ? "on" : "off");
        if (i % 4 == 3) {
            saving += kill_while_saving(pid);
        } else {
            sleep_seconds(rng_uniform(&rng) * whole_seconds);
            kill(pid, SIGKILL);
            int code = finish(pid);
            if (code != 0) expect_code(code, 128 + SIGKILL);
        }
        if (!file_exists(CUT "/model.safetensors")) continue;
        // It got through; the next one begins anew.
        expect_resumed_to_the_end("off");
        REQUIRE(file_remove_tree(CUT));
        ends++;
    }
    print_message("killed %d times, %d of them while a checkpoint was being written; %d runs came "
                  "to their end in between\n",
                  KILLS, saving, ends);
    assert_true(saving > 0);
    expect_resumed_to_the_end("on");
}

// After a failed save: the message, the checkpoint before, and nothing half written.
static void expect_safe_failure(int code, const char *dir)
{
    expect_code(code, 1);
    expect_said("error: ");
    expect_said(".safetensors");
    char *path = file_join(dir, "checkpoint-4/trainer_state.json");
    assert_true(file_exists(path));
    mem_free(path);
    assert_false(any_named(dir, ".", ""));
    path = file_join(dir, "checkpoint-30");
    assert_false(file_exists(path));
    mem_free(path);
}

// A disk of 2 MiB takes one checkpoint (four copies of the weights) and not two.
static void full_disk(void **state)
{
    (void)state;
    const char *disk = SCRATCH "/disk";
    REQUIRE(file_make_dirs(disk));
    if (mount("none", disk, "tmpfs", 0, "size=2m") != 0) {
        print_message("skipped: a small disk cannot be mounted here: %s\n", strerror(errno));
        skip();
    }
    // No assertion before the disk is taken away again.
    int first = finish(start(SCRATCH "/disk/run", "4", (const char *)0));
    file_remove(SCRATCH "/disk/run/model.safetensors");
    int second =
        finish(START(SCRATCH "/disk/run", "--save_steps", "7", "--resume_from_checkpoint", "true"));
    char *text = said();
    running_copy(SCRATCH "/disk/run", SCRATCH "/after");
    int left = umount(disk);
    assert_int_equal(left, 0);
    assert_int_equal(first, 0);
    assert_non_null(strstr(text, strerror(ENOSPC)));
    mem_free(text);
    expect_safe_failure(second, SCRATCH "/after");
    running_copy(SCRATCH "/after", CUT);
    expect_code(finish(START(CUT, "--save_steps", "0", "--resume_from_checkpoint", "true")), 0);
}

static int begin(void **state)
{
    (void)state;
    scratch_init(SCRATCH);
    double began = sys_seconds();
    int code = finish(START(WHOLE, "--save_steps", "0"));
    whole_seconds = sys_seconds() - began;
    if (code != 0) print_error("the uninterrupted run ended with code %d\n", code);
    return code == 0 ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    scratch_finish();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupted),
        cmocka_unit_test(terminated),
        cmocka_unit_test(killed_at_random_moments),
        cmocka_unit_test(full_disk),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
