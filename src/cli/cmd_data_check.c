#include "base/error.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/output.h"
#include "data/dataset.h"
#include "data/padding.h"
#include "train/example.h"

#include <stdio.h>
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

static void print_lengths(const struct data_set *set)
{
    bool pairs = set->kind == DATA_PAIRS;
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

// ---- padding ----

static void add_tokens(struct cli_table *t, const char *name, uint64_t tokens, uint64_t padded)
{
    char text[32];
    cli_cell(t, "%s", name);
    cli_cell(t, "%s", str_thousands(text, tokens));
    cli_cell(t, "%.3f", (double)tokens / (double)padded);
}

static void print_padding(const struct data_set *set, uint32_t batch_size)
{
    struct data_token_counts c = data_count_tokens(set, batch_size);
    struct cli_table t = {.align = "lrr"};
    cli_cell(&t, "tokens of one pass over all rows");
    cli_cell(&t, "tokens");
    cli_cell(&t, "ratio");
    char name[64];
    snprintf(name, sizeof name, "padded, in batches of %u", batch_size);
    add_tokens(&t, name, c.padded, c.padded);
    add_tokens(&t, "in the rows", c.rows, c.padded);
    add_tokens(&t, "computed here", c.slots, c.padded);
    out_text("\n");
    cli_table_print(&t);
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
    const struct data_row *p = x->row, *q = y->row;
    const uint32_t a[4] = {p->prompt, p->completion[0], p->completion[1], p->label};
    const uint32_t b[4] = {q->prompt, q->completion[0], q->completion[1], q->label};
    int order = memcmp(a, b, sizeof a);
    if (order) return order;
    const int32_t *ids = x->set->ids.items;
    return memcmp(ids + p->first, ids + q->first, ((size_t)a[0] + a[1] + a[2]) * sizeof *ids);
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
    if (set->kind == DATA_UNPAIRED)
        out_printf("  %-34s %8zu\n  %-34s %8zu\n", "desirable", r->desirable, "undesirable",
                   r->undesirable);
    print_places(set, "dropped: prompt too long", r->prompt_too_long.items,
                 r->prompt_too_long.count);
    print_places(set, "dropped: completions identical", r->identical.items, r->identical.count);
    print_places(set, "dropped: nothing to score", r->empty.items, r->empty.count);
    out_printf("  %-34s %8zu\n", "cut to max_length", r->truncated);
    out_printf("  %-34s %8zu\n", "a token spans the prompt's end", r->boundary_merged);
    print_duplicates(set);
}

// ---- the command ----

static bool choose_kind(const struct cli_args *a, enum data_kind *kind)
{
    bool pairs = cli_flag(a, "pairs"), sft = cli_flag(a, "sft"), kto = cli_flag(a, "kto");
    *kind = sft ? DATA_TEXTS : kto ? DATA_UNPAIRED : DATA_PAIRS;
    if (pairs + sft + kto <= 1) return true;
    return err_user("--pairs, --sft and --kto contradict each other: give one of them");
}

static void print_example(const struct hf_tokenizer *tokenizer, const struct data_set *set)
{
    const struct data_row *row = &set->rows.items[0];
    struct str example = {0};
    train_example_text(tokenizer, set, row, false, &example);
    out_printf("\nline %u (scored tokens stand in [[ ]]):\n%s", row->line, str_text(&example));
    str_finish(&example);
}

static bool run(struct cli *cli)
{
    const struct cli_args *a = &cli->args;
    enum data_kind kind;
    if (!choose_kind(a, &kind)) return false;
    struct hf_tokenizer *tokenizer = hf_tokenizer_load(cli_text(a, "model"));
    struct data_set set = {0};
    const struct data_params params = {
        .path = a->positional,
        .tokenizer = tokenizer,
        .kind = kind,
        .completion_only = true,
        .max_length = (uint32_t)cli_int(a, "max_length"),
    };
    bool ok = tokenizer && data_load(&set, &params);
    if (ok) {
        print_counts(&set, a->positional);
        print_lengths(&set);
        print_padding(&set, (uint32_t)cli_int(a, "batch_size"));
        print_example(tokenizer, &set);
        data_check_balance(&set.report, 1, 1);
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
    {"kto", CLI_FLAG,
     .help = "the rows are labelled completions for method kto, or pairs read as such"},
    {"batch_size", CLI_INT, "N", "8", 1, 1 << 20,
     .help = "rows of a batch, for the tokens that padding would cost"},
    {0},
};

const struct cli_command cli_command_data_check = {
    .name = "data check",
    .summary = "vet a dataset before training on it",
    .synopsis = "FILE --model DIR [options]",
    .details =
        "Reads the file as train would: counts, lengths in tokens, rows that would be dropped\n"
        "or cut, repeated rows, tokens computed beside those of a trainer that pads its batches,\n"
        "and one row as the model sees it.",
    .positional = "FILE",
    .options = options,
    .run = run,
};
