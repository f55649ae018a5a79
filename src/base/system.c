#include "system.h"

#include "error.h"
#include "mem.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double sys_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

uint64_t sys_peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

int sys_cpu_count(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return CPU_COUNT(&allowed);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

bool sys_cpu_has_avx512(void)
{
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    return __builtin_cpu_supports("avx512f");
#else
    return false;
#endif
}

// Threads

struct parallel {
    size_t count;
    bool (*body)(void *ctx, size_t index);
    void *ctx;
    atomic_size_t next; // index to hand out
    atomic_bool stop;
    pthread_mutex_t mutex; // guards what follows
    bool failed;
    size_t failed_index;
    enum err_kind kind;
    char *message;
};

// Indices are handed out in order, so whenever one has failed, all below it have been started: the
// lowest failure is the same however the threads run.
static void note_failure(struct parallel *p, size_t index)
{
    pthread_mutex_lock(&p->mutex);
    if (!p->failed || index < p->failed_index) {
        mem_free(p->message);
        p->message = mem_strdup(err_message());
        p->kind = err_current();
        p->failed_index = index;
        p->failed = true;
    }
    pthread_mutex_unlock(&p->mutex);
    atomic_store(&p->stop, true);
}

static void *run_indices(void *arg)
{
    struct parallel *p = arg;
    while (!atomic_load(&p->stop)) {
        size_t index = atomic_fetch_add(&p->next, 1);
        if (index >= p->count) break;
        if (!p->body(p->ctx, index)) note_failure(p, index);
    }
    return NULL;
}

bool sys_parallel_for(size_t count, bool (*body)(void *ctx, size_t index), void *ctx)
{
    enum { MAX_THREADS = 256 };
    struct parallel p = {.count = count, .body = body, .ctx = ctx};
    pthread_t threads[MAX_THREADS];
    size_t wanted = (size_t)sys_cpu_count(), started = 0;
    if (wanted > count) wanted = count;
    if (wanted > MAX_THREADS) wanted = MAX_THREADS;
    atomic_init(&p.next, 0);
    atomic_init(&p.stop, false);
    pthread_mutex_init(&p.mutex, NULL);
    // The caller's thread works too. Where the system gives fewer threads, fewer do the work.
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, run_indices, &p) == 0)
        started++;
    run_indices(&p);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&p.mutex);
    if (p.failed) err_set(p.kind, "%s", p.message);
    mem_free(p.message);
    return !p.failed;
}

// Signals

static volatile sig_atomic_t stop_signal;

static void on_stop_signal(int number)
{
    stop_signal = number;
    signal(SIGINT, SIG_DFL); // the next one ends the process
    signal(SIGTERM, SIG_DFL);
}

void sys_catch_stop_signals(void)
{
    struct sigaction action = {0};
    action.sa_handler = on_stop_signal;
    action.sa_flags = SA_RESTART; // reads and writes under way carry on
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int sys_stop_signal(void)
{
    return stop_signal;
}

void sys_ignore_broken_pipes(void)
{
    signal(SIGPIPE, SIG_IGN);
}

// Environment

const char *sys_env(const char *name)
{
    return getenv(name);
}

void sys_env_default(const char *name, const char *value)
{
    setenv(name, value, 0);
}

int sys_terminal_width(void)
{
    const char *kind = getenv("TERM");
    struct winsize size;
    if (!isatty(STDERR_FILENO) || !kind || strcmp(kind, "") == 0 || strcmp(kind, "dumb") == 0)
        return 0;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

const char *sys_timestamp(void)
{
    static _Thread_local char text[32];
    time_t now = time(NULL);
    struct tm local;
    if (!localtime_r(&now, &local) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &local) == 0)
        strcpy(text, "1970-01-01T00:00:00");
    return text;
}
