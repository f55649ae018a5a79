// What else is asked of the operating system: time, threads, signals, environment.
#ifndef TRDPO_BASE_SYSTEM_H
#define TRDPO_BASE_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Seconds on a monotonic clock.
double sys_seconds(void);

// Processors this process may use, at least 1.
int sys_cpu_count(void);

// Most bytes of memory that this process has had resident.
uint64_t sys_peak_bytes(void);

// True if the processor has the AVX-512 instructions that 512-bit software devices profit from.
bool sys_cpu_has_avx512(void);

// Runs body(ctx, i) for every i in [0, count) on up to sys_cpu_count() threads and returns when all
// are done. Which thread takes which index is not fixed: body must not depend on it. The first
// failure recorded by a body (it returned false) is passed on to the caller's thread; the rest of
// the indices are then skipped.
bool sys_parallel_for(size_t count, bool (*body)(void *ctx, size_t index), void *ctx);

// Makes SIGINT and SIGTERM set a flag instead of ending the process; a second signal ends it at
// once. sys_stop_signal() is the number of the signal received, 0 if none.
void sys_catch_stop_signals(void);
int sys_stop_signal(void);

// Makes a write to a closed pipe fail (EPIPE) instead of ending the process.
void sys_ignore_broken_pipes(void);

// Environment: the value or NULL; sets the variable unless the user has set it already.
const char *sys_env(const char *name);
void sys_env_default(const char *name, const char *value);

// Columns of the terminal that stderr is; 0 if stderr is no terminal that can rewrite a line.
int sys_terminal_width(void);

// Local time as 2026-01-31T12:00:00, in a static buffer of the thread's own.
const char *sys_timestamp(void);

#endif
