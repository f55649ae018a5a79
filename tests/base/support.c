#include "support.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];

int scratch_setup(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "base-scratch-%ld", (long)getpid());
    return file_remove_tree(root) && file_make_dirs(root) ? 0 : -1;
}

int scratch_teardown(void **state)
{
    (void)state;
    return file_remove_tree(root) ? 0 : -1;
}

const char *scratch_path(const char *name)
{
    static char paths[4][512];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

void expect_error(enum err_kind kind, const char *part)
{
    if (!strstr(err_message(), part)) fail_msg("\"%s\" lacks \"%s\"", err_message(), part);
    assert_int_equal(err_current(), kind);
    err_clear();
}

// The two ends of a pseudo-terminal.
static void open_terminal(int ends[2])
{
    struct winsize size = {.ws_row = 10, .ws_col = 40};
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(ends[0] >= 0);
    assert_int_equal(grantpt(ends[0]), 0);
    assert_int_equal(unlockpt(ends[0]), 0);
    ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
    assert_true(ends[1] >= 0);
    assert_int_equal(ioctl(ends[1], TIOCSWINSZ, &size), 0);
}

int run_child(void (*body)(void *ctx), void *ctx, int terminal, char *output, size_t size)
{
    int ends[2], status;
    size_t used = 0;
    if (terminal)
        open_terminal(ends);
    else
        assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body(ctx);
        _exit(0);
    }
    close(ends[1]);
    for (;;) {
        char chunk[4096];
        ssize_t got = read(ends[0], chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break; // a terminal whose other end is closed gives EIO
        size_t kept = (size_t)got < size - 1 - used ? (size_t)got : size - 1 - used;
        memcpy(output + used, chunk, kept);
        used += kept;
    }
    output[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}
