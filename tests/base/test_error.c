// The record of failures, and the ends of the program that are meant: CHECK and memory run out.
#include "support.h"

#include "base/array.h"
#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static void kinds_and_context(void **state)
{
    (void)state;
    err_clear();
    assert_int_equal(err_current(), ERR_NONE);
    assert_string_equal(err_message(), "");
    assert_false(err_user("row %d", 7));
    assert_int_equal(err_current(), ERR_USER);
    assert_string_equal(err_message(), "row 7");
    assert_false(err_context("%s", "a.json"));
    assert_int_equal(err_current(), ERR_USER);
    assert_string_equal(err_message(), "a.json: row 7");
    assert_false(err_device("lost"));
    assert_int_equal(err_current(), ERR_DEVICE);
    assert_string_equal(err_message(), "lost");
    assert_false(err_set(ERR_USER, "%s and found", err_message())); // its own text as an argument
    assert_string_equal(err_message(), "lost and found");
    assert_int_equal(err_current(), ERR_USER);
    assert_int_equal(ERR_DEVICE, 1); // exit codes
    assert_int_equal(ERR_USER, 2);
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    // 3-byte characters at three offsets: wherever the cut falls, it leaves whole ones.
    for (int shift = 0; shift < 3; shift++) {
        char text[9001] = "", expected[3] = "ab";
        memcpy(text, expected, (size_t)shift);
        for (size_t i = 0; i < 2900; i++)
            memcpy(text + (size_t)shift + 3 * i, "\xE2\x82\xAC", 3);
        err_user("%s", text);
        size_t len = strlen(err_message());
        assert_true(len > 4000 && len < 8000);
        assert_string_equal(err_message() + len - 3, "...");
        assert_int_equal((len - 3 - (size_t)shift) % 3, 0);
        assert_memory_equal(err_message(), text, len - 3);
        err_context("place");
        assert_memory_equal(err_message(), "place: ", 7);
    }
}

static void *other_thread(void *arg)
{
    (void)arg;
    bool clean = err_current() == ERR_NONE && err_message()[0] == '\0';
    err_device("of the other");
    return clean ? NULL : "the failure of another thread";
}

static void threads_have_their_own(void **state)
{
    (void)state;
    pthread_t thread;
    void *problem = NULL;
    err_user("of the first");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, &problem), 0);
    assert_null(problem);
    assert_string_equal(err_message(), "of the first");
}

static void die_plainly(void)
{
    signal(SIGSEGV, SIG_DFL); // cmocka catches these to report them as failures
    signal(SIGABRT, SIG_DFL);
}

static void break_promise(void *ctx)
{
    (void)ctx;
    die_plainly();
    CHECK(1 + 1 == 3);
}

static void want_overflow(void *ctx)
{
    (void)ctx;
    die_plainly();
    mem_calloc(SIZE_MAX / 2, 3);
}

static void ends_are_loud(void **state)
{
    (void)state;
    char output[2048];
    int status = run_child(break_promise, NULL, 0, output, sizeof output);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(output, "test_error.c"));
    assert_non_null(strstr(output, "1 + 1 == 3"));
    status = run_child(want_overflow, NULL, 0, output, sizeof output);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(output, "out of host memory"));
}

static void memory_and_arrays(void **state)
{
    (void)state;
    unsigned char *zeros = mem_calloc(1000, 3);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(zeros[i], 0);
    mem_free(zeros);
    void *none = mem_calloc(0, 8), *empty = mem_realloc(NULL, 0, 8);
    assert_non_null(none);
    assert_non_null(empty);
    mem_free(none);
    mem_free(empty);
    mem_free(NULL);
    char *copy = mem_strndup("a\0bc", 3);
    assert_memory_equal(copy, "a\0b", 4);
    mem_free(copy);

    struct ARRAY_OF(int) numbers = {0};
    for (int i = 0; i < 1000; i++)
        ARRAY_PUSH(&numbers, i);
    assert_int_equal(numbers.count, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(numbers.items[i], i);
    ARRAY_FREE(&numbers);
    assert_null(numbers.items);
    assert_int_equal(numbers.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_and_context),      cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(threads_have_their_own), cmocka_unit_test(ends_are_loud),
        cmocka_unit_test(memory_and_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
