// What reaches stderr (a pipe, or a terminal) and the log file, byte for byte.
#include "support.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char file[512];

static void say_everything(void *ctx)
{
    (void)ctx;
    log_error("e%d", 1);
    log_warn("w%d", 1);
    log_info("i%d", 1);
    log_debug("d%d", 1);
    log_progress("p%d", 1);
}

struct at_level {
    enum log_level level;
    const char *wanted;
};

static void say_at_level(void *ctx)
{
    const struct at_level *a = ctx;
    log_set_level(a->level);
    say_everything(NULL);
}

static void levels(void **state)
{
    (void)state;
    char output[4096];
    struct at_level cases[] = {
        {LOG_QUIET, "error: e1\n"},
        {LOG_WARN, "error: e1\nwarning: w1\n"},
        {LOG_INFO, "error: e1\nwarning: w1\ni1\n"},
        {LOG_DEBUG, "error: e1\nwarning: w1\ni1\nd1\n"},
    };
    assert_int_equal(log_get_level(), LOG_INFO);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(run_child(say_at_level, &cases[i], 0, output, sizeof output), 0);
        assert_string_equal(output, cases[i].wanted);
    }
    assert_int_equal(run_child(say_everything, NULL, 0, output, sizeof output), 0);
    assert_string_equal(output, cases[LOG_INFO].wanted); // the default; no progress in a pipe
}

static void show_progress(void *ctx)
{
    (void)ctx;
    setenv("TERM", "xterm", 1);
    log_progress("step %d", 1);
    log_progress("step %d", 2);
    log_info("a line");
    log_info("another");
    log_progress("%060d", 7); // wider than the terminal
    log_progress("\xC3\xA9%s\xC3\xA9", "34567890123456789012345678901234567890"); // in characters
    log_progress("%s", "");
    log_progress("%s", "");
    log_warn("end");
    setenv("TERM", "dumb", 1);
    log_progress("unseen");
    fprintf(stderr, "%d", log_is_terminal());
}

static void terminal(void **state)
{
    (void)state;
    char output[4096];
    assert_int_equal(run_child(show_progress, NULL, 1, output, sizeof output), 0);
    assert_string_equal(output, "\rstep 1\x1b[K"
                                "\rstep 2\x1b[K"
                                "\r\x1b[Ka line\r\n" // the terminal makes "\r\n" of "\n"
                                "another\r\n"
                                "\r000000000000000000000000000000000000000\x1b[K"
                                "\r\xC3\xA9"
                                "34567890123456789012345678901234567890\x1b[K"
                                "\r\x1b[K"
                                "warning: end\r\n"
                                "0");
}

static void write_log_file(void *ctx)
{
    (void)ctx;
    setenv("TERM", "xterm", 1);
    log_set_level(LOG_QUIET);
    if (!log_open_file(file)) _exit(3);
    say_everything(NULL);
    log_close_file();
    log_info("unheard");
    if (!log_open_file(file)) _exit(3); // a resumed run goes on in the same file
    char *longer = mem_calloc(5001, 1);
    memset(longer, 'x', 5000);
    log_info("%s", longer);
    mem_free(longer);
    log_close_file();
}

static void log_file(void **state)
{
    (void)state;
    char output[4096], wanted[5100] = "error: e1\nwarning: w1\ni1\n";
    snprintf(file, sizeof file, "%s", scratch_path("train.log"));
    assert_int_equal(run_child(write_log_file, NULL, 1, output, sizeof output), 0);
    size_t len, at = strlen(wanted);
    memset(wanted + at, 'x', 5000);
    memcpy(wanted + at + 5000, "\n", 2);
    char *text = file_read(file, 0, &len);
    assert_string_equal(text, wanted);
    mem_free(text);
    assert_string_equal(output, "error: e1\r\n");
    assert_false(log_open_file(scratch_path("no/such/folder")));
    expect_error(ERR_DEVICE, "cannot write the log");
}

static void fill_disk(void *ctx)
{
    (void)ctx;
    if (!log_open_file("/dev/full")) _exit(3);
    log_info("one");
    log_info("two");
}

static void log_file_on_full_disk(void **state)
{
    (void)state;
    char output[4096];
    assert_int_equal(run_child(fill_disk, NULL, 0, output, sizeof output), 0);
    assert_string_equal(output,
                        "one\nwarning: cannot write the log file: No space left on device\ntwo\n");
}

enum { WRITERS = 8, LINES = 200 };

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_warn("%0*d", 100 + 50 * (int)(uintptr_t)arg, (int)(uintptr_t)arg);
    return NULL;
}

static void write_from_threads(void *ctx)
{
    (void)ctx;
    pthread_t threads[WRITERS];
    for (uintptr_t i = 0; i < WRITERS; i++)
        if (pthread_create(&threads[i], NULL, write_lines, (void *)i) != 0) _exit(3);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
}

static void lines_stay_whole(void **state)
{
    (void)state;
    size_t size = WRITERS * LINES * 600;
    char *output = mem_calloc(size, 1);
    assert_int_equal(run_child(write_from_threads, NULL, 0, output, size), 0);
    int seen[WRITERS] = {0};
    for (char *line = strtok(output, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(strncmp(line, "warning: 0", 10) == 0);
        size_t len = strlen(line);
        int writer = line[len - 1] - '0';
        assert_true(writer >= 0 && writer < WRITERS);
        assert_int_equal(len, 9 + 100 + 50 * (size_t)writer);
        seen[writer]++;
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(seen[i], LINES);
    mem_free(output);
}

static void messages_kept_for_a_file(void **state)
{
    (void)state;
    const char *path = scratch_path("kept.log");
    size_t len;
    log_info("before");
    log_keep();
    log_warn("kept 1");
    log_info("kept 2");
    assert_true(log_open_file(path));
    log_info("after");
    log_close_file();
    char *text = file_read(path, 0, &len);
    assert_non_null(text);
    assert_string_equal(text, "warning: kept 1\nkept 2\nafter\n");
    mem_free(text);
    log_keep();
    log_info("dropped");
    log_close_file();
    log_info("not kept");
    assert_true(log_open_file(path));
    log_close_file();
    text = file_read(path, 0, &len);
    assert_non_null(text);
    assert_null(strstr(text, "dropped"));
    assert_null(strstr(text, "not kept"));
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),           cmocka_unit_test(terminal),
        cmocka_unit_test(log_file),         cmocka_unit_test(log_file_on_full_disk),
        cmocka_unit_test(lines_stay_whole), cmocka_unit_test(messages_kept_for_a_file),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
