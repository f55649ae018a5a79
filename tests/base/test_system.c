// Threads, signals and what is asked of the machine.
#include "support.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/system.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 10000 };

struct visits {
    atomic_int seen[COUNT];
    size_t fail_from, fail_step; // indices fail_from, fail_from + fail_step, ... fail
};

static bool visit(void *ctx, size_t index)
{
    struct visits *v = ctx;
    atomic_fetch_add(&v->seen[index], 1);
    if (index < v->fail_from || (index - v->fail_from) % v->fail_step != 0) return true;
    return index % 2 ? err_user("index %zu", index) : err_device("index %zu", index);
}

static void parallel_visits_all(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, COUNT};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct visits *v = MEM_NEW(struct visits);
        v->fail_from = COUNT;
        assert_true(sys_parallel_for(counts[c], visit, v));
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(atomic_load(&v->seen[i]), i < counts[c]);
        mem_free(v);
    }
    assert_int_equal(err_current(), ERR_NONE);
}

// However the threads run, it is the lowest failing index that is told, on the caller's thread.
static void parallel_failure(void **state)
{
    (void)state;
    for (int turn = 0; turn < 200; turn++) {
        struct visits *v = MEM_NEW(struct visits);
        v->fail_from = (size_t)turn;
        v->fail_step = 1 + (size_t)turn % 7;
        assert_false(sys_parallel_for(COUNT, visit, v));
        char wanted[32];
        snprintf(wanted, sizeof wanted, "index %d", turn);
        assert_string_equal(err_message(), wanted);
        assert_int_equal(err_current(), turn % 2 ? ERR_USER : ERR_DEVICE);
        for (int i = 0; i <= turn; i++)
            assert_int_equal(atomic_load(&v->seen[i]), 1);
        mem_free(v);
        err_clear();
    }
}

// Index 0 fails well after index 1 has, and still counts as the first.
static bool fail_late(void *ctx, size_t index)
{
    atomic_bool *one_ran = ctx;
    struct timespec pause = {.tv_nsec = 1000000};
    if (index == 1) {
        atomic_store(one_ran, true);
        return err_device("index 1");
    }
    for (int i = 0; i < 1000 && !atomic_load(one_ran); i++)
        nanosleep(&pause, NULL);
    for (int i = 0; i < 20; i++) // for its failure to be noted
        nanosleep(&pause, NULL);
    return err_user("index 0");
}

static void lowest_failure_counts(void **state)
{
    (void)state;
    if (sys_cpu_count() < 2) {
        print_message("one processor only: not tested\n");
        skip();
    }
    atomic_bool one_ran;
    atomic_init(&one_ran, false);
    assert_false(sys_parallel_for(2, fail_late, &one_ran));
    expect_error(ERR_USER, "index 0");
}

static void on_one_processor(void *ctx)
{
    cpu_set_t one;
    struct visits *v = ctx;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0 || sys_cpu_count() != 1) _exit(1);
    // With one thread the rest is skipped exactly.
    if (sys_parallel_for(COUNT, visit, v)) _exit(2);
    for (size_t i = 0; i < COUNT; i++)
        if (atomic_load(&v->seen[i]) != (i <= v->fail_from)) _exit(3);
}

static void one_processor(void **state)
{
    (void)state;
    char output[256];
    assert_true(sys_cpu_count() >= 1);
    struct visits *v = MEM_NEW(struct visits);
    v->fail_from = 41;
    v->fail_step = 1;
    assert_int_equal(run_child(on_one_processor, v, 0, output, sizeof output), 0);
    mem_free(v);
}

static void avx512_as_the_kernel_says(void **state)
{
    (void)state;
    size_t len;
    char *text = file_read("/proc/cpuinfo", 0, &len);
    if (!text) {
        print_message("no /proc/cpuinfo here: not tested\n");
        skip();
    }
    const char *flags = strstr(text, "\nflags");
    bool told = flags && strstr(flags, " avx512f ") != NULL;
    mem_free(text);
    assert_int_equal(sys_cpu_has_avx512(), told);
}

static void stop_twice(void *ctx)
{
    const int *signals = ctx;
    sys_catch_stop_signals();
    if (sys_stop_signal() != 0) _exit(1);
    raise(signals[0]);
    if (sys_stop_signal() != signals[0]) _exit(2);
    raise(signals[1]);
    _exit(3);
}

static void signals(void **state)
{
    (void)state;
    static const int kinds[] = {SIGINT, SIGTERM};
    char output[256];
    for (int i = 0; i < 4; i++) {
        int pair[] = {kinds[i / 2], kinds[i % 2]};
        int status = run_child(stop_twice, pair, 0, output, sizeof output);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), pair[1]);
    }
}

// A read that a signal meets is carried on with, so that files are not cut by it.
static void read_under_signal(void *ctx)
{
    (void)ctx;
    int ends[2];
    char byte = 0;
    pid_t parent = getpid();
    if (pipe(ends) != 0) _exit(1);
    sys_catch_stop_signals();
    pid_t child = fork();
    if (child == 0) {
        struct timespec pause = {.tv_nsec = 100000000};
        nanosleep(&pause, NULL);
        kill(parent, SIGTERM);
        nanosleep(&pause, NULL);
        _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
    }
    if (read(ends[0], &byte, 1) != 1 || byte != 'x') _exit(2);
    if (sys_stop_signal() != SIGTERM) _exit(3);
    waitpid(child, NULL, 0);
}

static void reads_go_on(void **state)
{
    (void)state;
    char output[256];
    assert_int_equal(run_child(read_under_signal, NULL, 0, output, sizeof output), 0);
}

static void clock_and_environment(void **state)
{
    (void)state;
    double before = sys_seconds();
    struct timespec pause = {.tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    double passed = sys_seconds() - before;
    assert_true(passed >= 0.02); // it may be any time longer

    setenv("TRDPO_TEST_VARIABLE", "theirs", 1);
    sys_env_default("TRDPO_TEST_VARIABLE", "ours");
    assert_string_equal(sys_env("TRDPO_TEST_VARIABLE"), "theirs");
    unsetenv("TRDPO_TEST_VARIABLE");
    assert_null(sys_env("TRDPO_TEST_VARIABLE"));
    sys_env_default("TRDPO_TEST_VARIABLE", "ours");
    assert_string_equal(sys_env("TRDPO_TEST_VARIABLE"), "ours");

    setenv("TZ", "UTC-5", 1); // five hours east
    tzset();
    time_t now = time(NULL);
    struct tm local = {0};
    const char *end = strptime(sys_timestamp(), "%Y-%m-%dT%H:%M:%S", &local);
    assert_non_null(end);
    assert_int_equal(*end, '\0');
    long late = (long)(timegm(&local) - 5 * 3600 - now);
    assert_true(late >= 0 && late < 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parallel_visits_all),
        cmocka_unit_test(parallel_failure),
        cmocka_unit_test(lowest_failure_counts),
        cmocka_unit_test(one_processor),
        cmocka_unit_test(avx512_as_the_kernel_says),
        cmocka_unit_test(signals),
        cmocka_unit_test(reads_go_on),
        cmocka_unit_test(clock_and_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
