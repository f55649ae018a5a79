#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A fixed buffer: recording a failure never allocates, and a thread that ends leaves nothing
// behind. Longer messages are cut, with the cut shown.
enum { MESSAGE_SIZE = 4096 };

struct failure {
    enum err_kind kind;
    char message[MESSAGE_SIZE];
};
static _Thread_local struct failure failure;

// Formats into `out`. The arguments may point into the recorded message, so never into it directly.
BASE_PRINTF(2, 0)
static void format_message(char out[MESSAGE_SIZE], const char *fmt, va_list args)
{
    static const char cut[] = "...";
    int len = vsnprintf(out, MESSAGE_SIZE, fmt, args);
    if (len < 0) {
        snprintf(out, MESSAGE_SIZE, "(a message that cannot be formatted: %s)", fmt);
        return;
    }
    if (len < MESSAGE_SIZE) return;
    size_t end = MESSAGE_SIZE - sizeof cut;
    while (end > 0 && ((unsigned char)out[end] & 0xC0) == 0x80) // not inside a UTF-8 character
        end--;
    memcpy(out + end, cut, sizeof cut);
}

BASE_PRINTF(2, 0)
static bool record(enum err_kind kind, const char *fmt, va_list args)
{
    char message[MESSAGE_SIZE];
    format_message(message, fmt, args);
    failure.kind = kind;
    memcpy(failure.message, message, strlen(message) + 1);
    return false;
}

bool err_user(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    record(ERR_USER, fmt, args);
    va_end(args);
    return false;
}

bool err_device(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    record(ERR_DEVICE, fmt, args);
    va_end(args);
    return false;
}

bool err_set(enum err_kind kind, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    record(kind, fmt, args);
    va_end(args);
    return false;
}

bool err_context(const char *fmt, ...)
{
    char context[MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    format_message(context, fmt, args);
    va_end(args);
    return err_set(failure.kind, "%s: %s", context, failure.message);
}

const char *err_message(void)
{
    return failure.message;
}

enum err_kind err_current(void)
{
    return failure.kind;
}

void err_clear(void)
{
    failure.kind = ERR_NONE;
    failure.message[0] = '\0';
}

_Noreturn void err_check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "trdpo-vk: internal error at %s:%d: %s does not hold. Please report this.\n",
            file, line, condition);
    abort();
}
