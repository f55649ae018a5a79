#include "base/error.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/output.h"
#include "data/dataset.h"
#include "train/example.h"

#include <stdlib.h>
#include <string.h>

// ---- lengths ----

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// One line of the table: least, percentiles, most. Sorts.
static void add_lengths(struct cli_table *t, const char *name, uint32_t *lengths, size_t count)
{
    static const int percentiles[] = {0, 50, 90, 99, 100};
    qsort(lengths, count, sizeof *lengths, compare_u32);
    cli_cell(t, "%s", name);
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++)
        cli_cell(t, "%u", lengths[(count - 1) * (size_t)percentiles[i] / 100]);
}

static void print_lengths(const struct data_set *set, bool pairs)
{
    static const char *const header[] = {"tokens", "least", "median", "90 %", "99 %", "most"};
    size_t count = set->rows.count;
    uint32_t *lengths[4];
    for (int k = 0; k < 4; k++)
        lengths[k] = MEM_ARRAY(uint32_t, count);
    for (size_t i = 0; i < count; i++) {
        const struct data_row *row = &set->rows.items[i];
        uint32_t longer = row->completion[row->completion[1] > row->completion[0]];
        lengths[0][i] = row->prompt;
        lengths[1][i] = row->completion[0];
        lengths[2][i] = row->completion[1];
        lengths[3][i] = row->prompt + longer;
    }
    struct cli_table t = {.align = "lrrrrr"};
    for (size_t i = 0; i < 6; i++)
        cli_cell(&t, "%s", header[i]);
    add_lengths(&t, "prompt", lengths[0], count);
    add_lengths(&t, pairs ? "chosen" : "completion", lengths[1], count);
    if (pairs) add_lengths(&t, "rejected", lengths[2], count);
    add_lengths(&t, "whole row", lengths[3], count);
    out_text("\n");
    cli_table_print(&t);
    for (int k = 0; k < 4; k++)
        mem_free(lengths[k]);
}

// ---- rows ----

#define SHOWN_LINES 12

static void print_places(const struct data_set *set, const char *name,
                         const struct data_place *places, size_t count)
{
    out_printf("  %-34s %8zu", name, count);
    for (size_t i = 0; i < count && i < SHOWN_LINES; i++) {
        const char *before = i ? ", " : set->file_count > 1 ? "  " : "  lines ";
        if (set->file_count > 1)
            out_printf("%s%s:%u", before, set->files[places[i].file], places[i].line);
        else
            out_printf("%s%u", before, places[i].line);
    }
    out_text(count > SHOWN_LINES ? ", ...\n" : "\n");
}

struct keyed {
    const struct data_set *set;
    const struct data_row *row;
};

// Orders by content; 0 for rows of the same tokens.
static int compare_content(const struct keyed *x, const struct keyed *y)
{
    const uint32_t a[3] = {x->row->prompt, x->row->completion[0], x->row->completion[1]};
    const uint32_t b[3] = {y->row->prompt, y->row->completion[0], y->row->completion[1]};
    int order = memcmp(a, b, sizeof a);
    if (order) return order;
    const int32_t *ids = x->set->ids.items;
    return memcmp(ids + x->row->first, ids + y->row->first,
                  ((size_t)a[0] + a[1] + a[2]) * sizeof *ids);
}

static int compare_rows(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int order = compare_content(x, y);
    if (order) return order;
    return (x->row > y->row) - (x->row < y->row);
}

static int compare_places(const void *a, const void *b)
{
    const struct data_place *x = a, *y = b;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

// Rows that say what an earlier one said.
static void print_duplicates(const struct data_set *set)
{
    size_t count = set->rows.count, found = 0;
    struct keyed *rows = MEM_ARRAY(struct keyed, count);
    struct data_place *places = MEM_ARRAY(struct data_place, count);
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct keyed){set, &set->rows.items[i]};
    qsort(rows, count, sizeof *rows, compare_rows);
    for (size_t i = 1; i < count; i++)
        if (compare_content(&rows[i - 1], &rows[i]) == 0)
            places[found++] = (struct data_place){rows[i].row->file, rows[i].row->line};
    qsort(places, found, sizeof *places, compare_places);
    print_places(set, "repeated rows (kept)", places, found);
    mem_free(rows);
    mem_free(places);
}

static void print_counts(const struct data_set *set, const char *path)
{
    const struct data_report *r = &set->report;
    out_printf("%s: %zu rows read, %zu kept\n", path, r->read, r->kept);
    print_places(set, "dropped: prompt too long", r->prompt_too_long.items,
                 r->prompt_too_long.count);
    print_places(set, "dropped: completions identical", r->identical.items, r->identical.count);
    print_places(set, "dropped: nothing to score", r->empty.items, r->empty.count);
    out_printf("  %-34s %8zu\n", "cut to max_length", r->truncated);
    out_printf("  %-34s %8zu\n", "a token spans the prompt's end", r->boundary_merged);
    print_duplicates(set);
}

// ---- the command ----

static bool run(struct cli *cli)
{
    const struct cli_args *a = &cli->args;
    bool sft = cli_flag(a, "sft"), pairs = !sft;
    if (sft && cli_flag(a, "pairs")) return err_user("--pairs and --sft contradict each other");
    struct hf_tokenizer *tokenizer = hf_tokenizer_load(cli_text(a, "model"));
    struct data_set set = {0};
    const struct data_params params = {
        .path = a->positional,
        .tokenizer = tokenizer,
        .kind = pairs ? DATA_PAIRS : DATA_TEXTS,
        .completion_only = true,
        .max_length = (uint32_t)cli_int(a, "max_length"),
    };
    bool ok = tokenizer && data_load(&set, &params);
    if (ok) {
        struct str example = {0};
        print_counts(&set, a->positional);
        print_lengths(&set, pairs);
        const struct data_row *row = &set.rows.items[0];
        train_example_text(tokenizer, &set, row, pairs, false, &example);
        out_printf("\nline %u (scored tokens stand in [[ ]]):\n%s", row->line, str_text(&example));
        str_finish(&example);
    }
    data_finish(&set);
    hf_tokenizer_destroy(tokenizer);
    return ok;
}

static const struct cli_option options[] = {
    {"model", CLI_TEXT, "DIR", .required = true, .help = "folder with the tokenizer"},
    {"max_length", CLI_INT, "N", "1024", 2, 1 << 20,
     .help = "tokens of prompt and completion together"},
    {"pairs", CLI_FLAG, .help = "the rows are preferences, chosen and rejected (the default)"},
    {"sft", CLI_FLAG, .help = "the rows are texts for method sft"},
    {0},
};

const struct cli_command cli_command_data_check = {
    .name = "data check",
    .summary = "vet a dataset before training on it",
    .synopsis = "FILE --model DIR [options]",
    .details =
        "Reads the file as train would: counts, lengths in tokens, rows that would be dropped\n"
        "or cut, repeated rows, and one row as the model sees it.",
    .positional = "FILE",
    .options = options,
    .run = run,
};
