#include "cli/output.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool failed;
static int reason; // errno of the first failure

static bool check(bool ok)
{
    if (!ok && !failed) {
        failed = true;
        reason = errno;
    }
    if (!failed) return true;
    if (reason == EPIPE)
        return err_device("standard output was closed before everything was written to it");
    return err_device("cannot write to standard output: %s", strerror(reason));
}

bool out_printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = failed ? 0 : vfprintf(stdout, fmt, args);
    va_end(args);
    return check(n >= 0);
}

bool out_text(const char *text)
{
    return out_bytes(text, strlen(text));
}

bool out_bytes(const void *bytes, size_t len)
{
    return check(failed || fwrite(bytes, 1, len, stdout) == len);
}

bool out_flush(void)
{
    return check(failed || fflush(stdout) == 0);
}

// ---- tables ----

// Columns a text takes on a terminal: code points, which is right for what we print.
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

void cli_cell(struct cli_table *t, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    CHECK(len >= 0);
    char *text = MEM_ARRAY(char, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    va_end(args);
    ARRAY_PUSH(&t->cells, text);
}

static void append_blanks(struct str *line, size_t count)
{
    while (count--)
        str_append_char(line, ' ');
}

static void append_cell(struct str *line, const char *text, size_t width, bool right)
{
    size_t have = width_of(text), blanks = have < width ? width - have : 0;
    if (right) append_blanks(line, blanks);
    str_append(line, text);
    if (!right) append_blanks(line, blanks);
}

bool cli_table_print(struct cli_table *t)
{
    size_t columns = strlen(t->align);
    size_t *widths = MEM_ARRAY(size_t, columns);
    for (size_t i = 0; i < t->cells.count; i++) {
        size_t width = width_of(t->cells.items[i]);
        if (width > widths[i % columns]) widths[i % columns] = width;
    }
    for (size_t i = 0; i < t->cells.count; i += columns) {
        struct str line = {0};
        append_blanks(&line, t->indent);
        for (size_t c = 0; c < columns && i + c < t->cells.count; c++) {
            if (c) str_append(&line, "  ");
            append_cell(&line, t->cells.items[i + c], widths[c], t->align[c] == 'r');
        }
        while (line.len && line.data[line.len - 1] == ' ')
            line.len--;
        str_append_char(&line, '\n');
        out_bytes(line.data, line.len);
        str_finish(&line);
    }
    for (size_t i = 0; i < t->cells.count; i++)
        mem_free(t->cells.items[i]);
    ARRAY_FREE(&t->cells);
    mem_free(widths);
    return check(true);
}
