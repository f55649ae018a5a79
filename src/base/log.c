#include "log.h"

#include "mem.h"
#include "str.h"
#include "system.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define KEPT_BYTES ((size_t)1 << 20) // and one line, at most

static atomic_int level = LOG_INFO;

// Guards the rest: a line goes out whole, whichever thread it comes from.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool progress_shown;
static FILE *file;
static bool keeping;
static struct str kept; // lines for a file that is yet to be opened

void log_set_level(enum log_level new_level)
{
    atomic_store(&level, (int)new_level);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load(&level);
}

bool log_is_terminal(void)
{
    return sys_terminal_width() > 0;
}

// Puts `line` on stderr in one write, over the progress line if one is shown.
static void write_stderr(const char *line)
{
    struct str out = {0};
    if (progress_shown) str_append(&out, "\r\x1b[K");
    str_append(&out, line);
    fwrite(out.data, 1, out.len, stderr);
    fflush(stderr);
    str_finish(&out);
    progress_shown = false;
}

static void write_file(const char *line)
{
    if (fputs(line, file) != EOF && fflush(file) == 0) return;
    // Said once, and the run goes on: what matters more than its log will fail on its own.
    char *warning = str_format("warning: cannot write the log file: %s\n", strerror(errno));
    fclose(file);
    file = NULL;
    write_stderr(warning);
    mem_free(warning);
}

BASE_PRINTF(3, 0)
static void put_line(enum log_level line_level, const char *prefix, const char *fmt, va_list args)
{
    char message[1024], *longer = NULL;
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(message, sizeof message, fmt, args);
    if (len >= (int)sizeof message) {
        longer = mem_realloc(NULL, (size_t)len + 1, 1);
        vsnprintf(longer, (size_t)len + 1, fmt, again);
    }
    va_end(again);
    char *line = str_format("%s%s\n", prefix, longer ? longer : message);
    mem_free(longer);
    pthread_mutex_lock(&mutex);
    if (line_level <= log_get_level()) write_stderr(line);
    if (file && line_level <= LOG_INFO) write_file(line);
    if (keeping && line_level <= LOG_INFO && kept.len < KEPT_BYTES) str_append(&kept, line);
    pthread_mutex_unlock(&mutex);
    mem_free(line);
}

void log_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_line(LOG_QUIET, "error: ", fmt, args);
    va_end(args);
}

void log_warn(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_line(LOG_WARN, "warning: ", fmt, args);
    va_end(args);
}

void log_info(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_line(LOG_INFO, "", fmt, args);
    va_end(args);
}

void log_debug(const char *fmt, ...)
{
    if (log_get_level() < LOG_DEBUG) return;
    va_list args;
    va_start(args, fmt);
    put_line(LOG_DEBUG, "", fmt, args);
    va_end(args);
}

void log_progress(const char *fmt, ...)
{
    char text[512];
    int width = sys_terminal_width();
    if (width == 0 || log_get_level() < LOG_INFO) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    // A line that wraps could not be taken back: one column stays free. Counted in characters.
    size_t end = 0;
    for (int columns = 0; text[end]; end++) {
        bool begins = ((unsigned char)text[end] & 0xC0) != 0x80;
        if (begins && ++columns >= width) break;
    }
    text[end] = '\0';
    pthread_mutex_lock(&mutex);
    if (text[0] || progress_shown) {
        fprintf(stderr, "\r%s\x1b[K", text);
        fflush(stderr);
    }
    progress_shown = text[0] != '\0';
    pthread_mutex_unlock(&mutex);
}

void log_keep(void)
{
    pthread_mutex_lock(&mutex);
    keeping = true;
    pthread_mutex_unlock(&mutex);
}

bool log_open_file(const char *path)
{
    FILE *opened = fopen(path, "ab");
    if (!opened) return err_device("%s: cannot write the log: %s", path, strerror(errno));
    pthread_mutex_lock(&mutex);
    struct str before = kept;
    kept = (struct str){0};
    pthread_mutex_unlock(&mutex);
    log_close_file();
    pthread_mutex_lock(&mutex);
    file = opened;
    if (before.len) write_file(str_text(&before));
    pthread_mutex_unlock(&mutex);
    str_finish(&before);
    return true;
}

void log_close_file(void)
{
    pthread_mutex_lock(&mutex);
    if (file) fclose(file);
    file = NULL;
    keeping = false;
    str_finish(&kept);
    pthread_mutex_unlock(&mutex);
}
