// A folder for a test program's files, and what tests expect of failures.
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#include "base/error.h"

#include <stddef.h>

// Fails the test with the reason that the code left.
#define REQUIRE(what)                                                                              \
    do {                                                                                           \
        if (!(what)) fail_msg("%s: %s", #what, err_message());                                     \
    } while (0)

// An empty folder NAME in the working directory; scratch_finish() removes it.
void scratch_init(const char *name);
void scratch_finish(void);

// Path of NAME in the folder, in one of eight static buffers used in turn; and of a formatted name.
const char *scratch(const char *name);
const char *scratchf(const char *fmt, ...) BASE_PRINTF(1, 2);

// Writes a text file, making its folder; returns its path.
const char *scratch_write(const char *name, const char *text);

// Asserts that both files exist and hold the same bytes.
void expect_same_file(const char *a, const char *b);

// Asserts that the last failure has this kind and every part, up to a NULL, in its message; forgets
// it.
void expect_failure(enum err_kind kind, ...);
#define EXPECT_USER_ERROR(...) expect_failure(ERR_USER, __VA_ARGS__, (char *)0)
#define EXPECT_DEVICE_ERROR(...) expect_failure(ERR_DEVICE, __VA_ARGS__, (char *)0)

#endif
