// Standard output, where results go, and aligned tables on it.
//
// Every function returns false once anything could not be written (the reader closed the pipe, the
// disk is full): err_device says so. main() checks once more at the end, so a command may print
// without looking and stop early only where it pays.
#ifndef TRDPO_CLI_OUTPUT_H
#define TRDPO_CLI_OUTPUT_H

#include "base/array.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

bool out_printf(const char *fmt, ...) BASE_PRINTF(1, 2);
bool out_text(const char *text);
bool out_bytes(const void *bytes, size_t len);
bool out_flush(void);

// A table whose columns are as wide as their widest cell, two blanks apart:
//
//   struct cli_table t = {.align = "lrr"};
//   cli_cell(&t, "kernel"); cli_cell(&t, "calls"); cli_cell(&t, "ms");
//   cli_cell(&t, "%s", name); ...
//   cli_table_print(&t); // prints and frees
//
// One letter a column: l or r. Rows fill up from the left; rows are as long as `align`.
struct cli_table {
    const char *align;
    size_t indent;
    struct cli_cells ARRAY_OF(char *) cells;
};
void cli_cell(struct cli_table *t, const char *fmt, ...) BASE_PRINTF(2, 3);
bool cli_table_print(struct cli_table *t);

#endif
