// Messages to people: stderr, and the run's train.log while one is open. Results never go here.
#ifndef TRDPO_BASE_LOG_H
#define TRDPO_BASE_LOG_H

#include "error.h"

#include <stdbool.h>

enum log_level { LOG_QUIET, LOG_WARN, LOG_INFO, LOG_DEBUG };

// What reaches stderr; default LOG_INFO. The log file always gets everything up to LOG_INFO.
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

// One line each; a newline is added. log_error() begins the line with "error: " and is shown at
// every level, log_warn() begins it with "warning: ".
void log_error(const char *fmt, ...) BASE_PRINTF(1, 2);
void log_warn(const char *fmt, ...) BASE_PRINTF(1, 2);
void log_info(const char *fmt, ...) BASE_PRINTF(1, 2);
void log_debug(const char *fmt, ...) BASE_PRINTF(1, 2);

// Shows a line that the next log line or progress line replaces. Only on a terminal; a no-op
// elsewhere and never written to the log file. Cut to the terminal's width; an empty line removes
// the one shown.
void log_progress(const char *fmt, ...) BASE_PRINTF(1, 2);

// True if stderr is a terminal that understands carriage returns.
bool log_is_terminal(void);

// Keeps messages from now on for the file that log_open_file() opens later, which they then begin;
// log_close_file() drops them.
void log_keep(void);

// Also appends every message to the file at `path` until log_close_file(). One file at a time.
bool log_open_file(const char *path);
void log_close_file(void);

#endif
