// Files for the tests of hf: a folder of the test's own in the working directory.
#ifndef TEST_HF_FILES_H
#define TEST_HF_FILES_H

#include <stddef.h>

// Starts with an empty folder NAME; later names are inside it.
void files_begin(const char *name);
void files_end(void);

// Path of NAME in the folder, in one of four static buffers used in turn.
const char *files_path(const char *name);

// Writes a file (making its folders is the caller's business).
const char *files_put(const char *name, const void *bytes, size_t len);
const char *files_put_text(const char *name, const char *text);

// True if the file holds exactly this text.
int files_hold(const char *name, const char *text);

// Asserts that the last failure is the user's and its message has `part` in it; then forgets it.
void expect_user_error(const char *part);

#endif
