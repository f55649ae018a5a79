#define _GNU_SOURCE
#include "process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WORDS 64

static char *read_all(FILE *f)
{
    struct str text = {0};
    char block[4096];
    size_t got;
    rewind(f);
    while ((got = fread(block, 1, sizeof block, f)) > 0)
        str_append_bytes(&text, block, got);
    fclose(f);
    return str_take(&text);
}

void process_finish(struct process *p)
{
    mem_free(p->out);
    mem_free(p->err);
    *p = (struct process){0};
}

struct child {
    pid_t pid;
    FILE *out, *err;
};

// `out_fd`: the program's standard output, -1 to keep it in p->out.
static struct child start(struct process *p, const char *input, int out_fd, char **words)
{
    process_finish(p);
    // Files, not pipes: nothing can block.
    FILE *in = tmpfile();
    struct child c = {.out = tmpfile(), .err = tmpfile()};
    assert_true(in && c.out && c.err);
    if (input) fputs(input, in);
    rewind(in);
    fflush(NULL);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        dup2(fileno(in), 0);
        dup2(out_fd >= 0 ? out_fd : fileno(c.out), 1);
        dup2(fileno(c.err), 2);
        execv(PROGRAM, words);
        _exit(127);
    }
    fclose(in);
    return c;
}

static void finish(struct process *p, const struct child *c)
{
    int status = 0;
    while (waitpid(c->pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    p->out = read_all(c->out);
    p->err = read_all(c->err);
}

static void collect_words(char **words, va_list args)
{
    int count = 1;
    words[0] = PROGRAM;
    while ((words[count] = va_arg(args, char *)))
        assert_true(++count < MAX_WORDS);
}

void run_program(struct process *p, const char *input, ...)
{
    char *words[MAX_WORDS];
    va_list args;
    va_start(args, input);
    collect_words(words, args);
    va_end(args);
    struct child c = start(p, input, -1, words);
    finish(p, &c);
}

void run_program_to(struct process *p, int out_fd, ...)
{
    char *words[MAX_WORDS];
    va_list args;
    va_start(args, out_fd);
    collect_words(words, args);
    va_end(args);
    struct child c = start(p, NULL, out_fd, words);
    close(out_fd);
    finish(p, &c);
}

void run_program_until(struct process *p, const char *path, int signal_number, ...)
{
    char *words[MAX_WORDS];
    va_list args;
    va_start(args, signal_number);
    collect_words(words, args);
    va_end(args);
    struct child c = start(p, NULL, -1, words);
    siginfo_t ended = {0};
    while (file_size(path) == 0 && ended.si_pid == 0) {
        usleep(10000);
        waitid(P_PID, (id_t)c.pid, &ended, WEXITED | WNOHANG | WNOWAIT);
    }
    kill(c.pid, signal_number);
    finish(p, &c);
}

// ---- expectations ----

static void show(const struct process *p)
{
    print_message("exit code %d\n--- stdout\n%s\n--- stderr\n%s\n---\n", p->code, p->out, p->err);
}

void expect_code(const struct process *p, int code)
{
    if (p->code != code) show(p);
    assert_int_equal(p->code, code);
}

void expect_error(const struct process *p, int code)
{
    static const char prefix[] = "trdpo-vk: error: ";
    const char *first = strstr(p->err, prefix);
    bool once = first && !strstr(first + 1, prefix) && strlen(first) > sizeof prefix + 8;
    if (p->code != code || !once || *p->out) show(p);
    assert_int_equal(p->code, code);
    assert_true(once);
    assert_string_equal(p->out, "");
}

static void expect_text(const struct process *p, const char *where, const char *text)
{
    if (strstr(where, text)) return;
    show(p);
    fail_msg("'%s' is not in the output", text);
}

void expect_out(const struct process *p, const char *text)
{
    expect_text(p, p->out, text);
}

void expect_err(const struct process *p, const char *text)
{
    expect_text(p, p->err, text);
}

// ---- files ----

static char folder[256];

void work_init(const char *name)
{
    const char *temp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/trdpo-%s-XXXXXX", temp ? temp : "/tmp", name);
    assert_non_null(mkdtemp(folder));
}

void work_finish(void)
{
    assert_true(file_remove_tree(folder));
}

const char *work(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *work_write(const char *name, const char *text)
{
    const char *path = work(name);
    assert_true(file_write_whole(path, text, strlen(text)));
    return path;
}

const char *work_copy(const char *from, const char *name)
{
    const char *to = work(name);
    char **names;
    size_t count = 0;
    assert_true(file_make_dirs(to));
    assert_true(file_list(from, &names, &count));
    for (size_t i = 0; i < count; i++) {
        char *source = file_join(from, names[i]), *target = file_join(to, names[i]);
        assert_true(file_is_dir(source) || file_copy(source, target));
        mem_free(source);
        mem_free(target);
    }
    file_list_free(names, count);
    return to;
}

void work_edit(const char *name, const char *before, const char *after)
{
    size_t len;
    const char *path = work(name);
    char *text = file_read(path, 0, &len);
    assert_non_null(text);
    char *at = strstr(text, before);
    assert_non_null(at);
    struct str edited = {0};
    str_append_bytes(&edited, text, (size_t)(at - text));
    str_append(&edited, after);
    str_append(&edited, at + strlen(before));
    assert_true(file_write_whole(path, edited.data, edited.len));
    str_finish(&edited);
    mem_free(text);
}
