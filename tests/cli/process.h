// Runs the built program and keeps what it says. And files and folders for it to work on.
#ifndef TESTS_CLI_PROCESS_H
#define TESTS_CLI_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

struct process {
    int code;        // exit code; 128 + n where signal n ended it
    char *out, *err; // NUL-terminated, owned here
};

// Runs trdpo-vk with the words that follow, the last of them NULL, and with `input` as its standard
// input (NULL: none). The result of the call before is freed.
void run_program(struct process *p, const char *input, ...);
#define RUN(p, ...) run_program((p), NULL, __VA_ARGS__, (char *)0)
#define RUN_INPUT(p, input, ...) run_program((p), (input), __VA_ARGS__, (char *)0)
// With a file descriptor for its standard output, which is closed afterwards.
void run_program_to(struct process *p, int out_fd, ...);
// Sends a signal as soon as the file `path` holds something, and waits for the end.
void run_program_until(struct process *p, const char *path, int signal_number, ...);
void process_finish(struct process *p);

// Asserts the exit code, and for failures that the message is printed once, behind the program's
// name, and nothing went to standard output. Shows everything on failure.
void expect_code(const struct process *p, int code);
void expect_error(const struct process *p, int code);
// Asserts that a text occurs in what was printed to standard output, or to standard error.
void expect_out(const struct process *p, const char *text);
void expect_err(const struct process *p, const char *text);

// A fresh folder for this test program, removed by work_finish(); and a path in it (valid until the
// eighth call after).
void work_init(const char *name);
void work_finish(void);
const char *work(const char *name);

// Writes a file in the work folder and returns its path; copies a folder's files into a folder of
// it.
const char *work_write(const char *name, const char *text);
const char *work_copy(const char *from, const char *name);
// Replaces the first `before` in a file of the work folder by `after`.
void work_edit(const char *name, const char *before, const char *after);

#endif
