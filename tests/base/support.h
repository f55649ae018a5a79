// What the tests of base share: a scratch folder, children whose stderr is read, expectations.
#ifndef TEST_BASE_SUPPORT_H
#define TEST_BASE_SUPPORT_H

#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// cmocka set-up and tear-down of a group: an empty scratch folder in the working directory.
int scratch_setup(void **state);
int scratch_teardown(void **state);

// Path of NAME in the scratch folder, in one of four static buffers used in turn.
const char *scratch_path(const char *name);

// Asserts that the last failure is of this kind with `part` in its message; then forgets it.
void expect_error(enum err_kind kind, const char *part);

// Runs body(ctx) in a child process. Its stderr goes to a pipe, or to a terminal of 40 columns if
// `terminal`; all of it up to `size - 1` bytes comes back in `output`. Returns the wait status.
int run_child(void (*body)(void *ctx), void *ctx, int terminal, char *output, size_t size);

#endif
