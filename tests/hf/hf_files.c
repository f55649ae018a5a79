#include "hf_files.h"

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char root[64];

void files_begin(const char *name)
{
    snprintf(root, sizeof root, "%s.tmp", name);
    assert_true(file_remove_tree(root));
    assert_true(file_make_dirs(root));
}

void files_end(void)
{
    assert_true(file_remove_tree(root));
}

const char *files_path(const char *name)
{
    static char paths[4][512];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

const char *files_put(const char *name, const void *bytes, size_t len)
{
    const char *path = files_path(name);
    FILE *f = fopen(path, "wb"); // thousands of them: not synced
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return path;
}

const char *files_put_text(const char *name, const char *text)
{
    return files_put(name, text, strlen(text));
}

int files_hold(const char *name, const char *text)
{
    size_t len;
    char *got = file_read(files_path(name), 0, &len);
    assert_non_null(got);
    int same = len == strlen(text) && memcmp(got, text, len) == 0;
    if (!same) print_error("%s holds:\n%s\n", name, got);
    mem_free(got);
    return same;
}

void expect_user_error(const char *part)
{
    if (err_current() != ERR_USER || !strstr(err_message(), part))
        fail_msg("kind %d, message \"%s\"; expected \"%s\" in it", (int)err_current(),
                 err_message(), part);
    err_clear();
}
