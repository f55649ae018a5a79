// Error reporting for every layer.
//
// A function that can fail returns bool (or NULL) and leaves the reason here, once, in words a user
// can act on: what went wrong, where, and what to do. The caller passes the failure up untouched or
// adds where it happened with err_context(). Only the command line prints it and turns the kind
// into an exit code.
#ifndef TRDPO_BASE_ERROR_H
#define TRDPO_BASE_ERROR_H

#include <stdbool.h>

#if defined(__GNUC__)
#define BASE_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#else
#define BASE_PRINTF(fmt_index, first_arg)
#endif

// The value is the process exit code that the kind leads to.
enum err_kind {
    ERR_NONE = 0,
    ERR_DEVICE = 1, // device or I/O failure
    ERR_USER = 2,   // wrong usage, configuration or data
};

// Records a failure of the user's making (usage, configuration, data). Always returns false, so
// that `return err_user("...")` reads well. The state is per thread; the last call wins.
bool err_user(const char *fmt, ...) BASE_PRINTF(1, 2);

// Records a device or input/output failure. Always returns false.
bool err_device(const char *fmt, ...) BASE_PRINTF(1, 2);

// Records a failure of the kind given, for code that passes a kind on. Always returns false.
bool err_set(enum err_kind kind, const char *fmt, ...) BASE_PRINTF(2, 3);

// Puts "CONTEXT: " in front of the recorded message ("config.json: ..."). Always returns false.
bool err_context(const char *fmt, ...) BASE_PRINTF(1, 2);

// The recorded message, "" if none. Valid until the next call of this header on this thread.
const char *err_message(void);

// The recorded kind, ERR_NONE if nothing has failed since err_clear().
enum err_kind err_current(void);

// Forgets the recorded failure.
void err_clear(void);

// CHECK(cond): a programmer's promise, checked in release builds too. Prints file, line and the
// condition, then aborts.
#define CHECK(cond) ((cond) ? (void)0 : err_check_failed(__FILE__, __LINE__, #cond))
_Noreturn void err_check_failed(const char *file, int line, const char *condition);

#endif
