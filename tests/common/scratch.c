#include "scratch.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static char folder[256];

void scratch_init(const char *name)
{
    snprintf(folder, sizeof folder, "%s", name);
    REQUIRE(file_remove_tree(folder) && file_make_dirs(folder));
}

void scratch_finish(void)
{
    REQUIRE(file_remove_tree(folder));
}

const char *scratchf(const char *fmt, ...)
{
    static char paths[8][1024];
    static int next;
    char *path = paths[next++ % 8];
    int len = snprintf(path, sizeof paths[0], "%s/", folder);
    va_list args;
    va_start(args, fmt);
    vsnprintf(path + len, sizeof paths[0] - (size_t)len, fmt, args);
    va_end(args);
    return path;
}

const char *scratch(const char *name)
{
    return scratchf("%s", name);
}

const char *scratch_write(const char *name, const char *text)
{
    const char *path = scratch(name);
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = 0;
    REQUIRE(file_make_dirs(dir));
    REQUIRE(file_write_whole(path, text, strlen(text)));
    return path;
}

void expect_same_file(const char *a, const char *b)
{
    struct file_map x = {0}, y = {0};
    REQUIRE(file_map_open(&x, a) && file_map_open(&y, b));
    if (x.size != y.size) fail_msg("%s and %s have %zu and %zu bytes", a, b, x.size, y.size);
    for (size_t i = 0; i < x.size; i++)
        if (x.data[i] != y.data[i]) fail_msg("%s and %s differ at byte %zu", a, b, i);
    file_map_close(&x);
    file_map_close(&y);
}

void expect_failure(enum err_kind kind, ...)
{
    assert_int_equal(err_current(), kind);
    va_list parts;
    va_start(parts, kind);
    for (const char *part; (part = va_arg(parts, const char *));)
        if (!strstr(err_message(), part))
            fail_msg("the message '%s' does not say '%s'", err_message(), part);
    va_end(parts);
    err_clear();
}
