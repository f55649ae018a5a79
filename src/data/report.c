#include "data/report.h"

#include "base/error.h"
#include "base/log.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// Line numbers that one reason's line shows.
#define SHOWN 8

bool data_report_check(const struct data_report *r, const char *path, uint32_t max_length)
{
    if (!r->read) return err_user("%s: the dataset is empty", path);
    if (r->kept) return true;
    struct str why = {0};
    if (r->prompt_too_long.count)
        str_appendf(&why,
                    "; %zu because the prompt alone reaches max_length (%" PRIu32 "): raise it",
                    r->prompt_too_long.count, max_length);
    if (r->identical.count)
        str_appendf(&why,
                    "; %zu because chosen and rejected are the same, or become so when cut to "
                    "max_length",
                    r->identical.count);
    if (r->empty.count)
        str_appendf(&why, "; %zu because there is no token to score", r->empty.count);
    err_user("%s: every row was dropped (%zu of %zu)%s", path, r->read, r->read, str_text(&why));
    str_finish(&why);
    return false;
}

static void log_dropped(const struct data_set *set, const struct data_places *places,
                        const char *reason)
{
    if (!places->count) return;
    char count[32];
    struct str list = {0};
    for (size_t i = 0; i < places->count && i < SHOWN; i++) {
        const struct data_place *p = &places->items[i];
        bool names_file = set->file_count > 1 && (i == 0 || p->file != places->items[i - 1].file);
        str_append(&list, i ? ", " : "");
        if (names_file) str_appendf(&list, "%s: ", set->files[p->file]);
        str_appendf(&list, "%" PRIu32, p->line);
    }
    if (places->count > SHOWN) str_append(&list, ", ...");
    log_warn("  %s dropped, %s: line%s %s", str_thousands(count, places->count), reason,
             places->count == 1 ? "" : "s", str_text(&list));
    str_finish(&list);
}

void data_log_report(const struct data_set *set, const char *name)
{
    const struct data_report *r = &set->report;
    char read[32], kept[32], tokens[32], truncated[32], merged[32], wanted[32], unwanted[32];
    struct str line = {0};
    str_appendf(&line, "%s: %s of %s rows kept, %s tokens, longest row %" PRIu32, name,
                str_thousands(kept, r->kept), str_thousands(read, r->read),
                str_thousands(tokens, r->tokens), r->longest);
    if (set->kind == DATA_UNPAIRED)
        str_appendf(&line, "; %s desirable, %s undesirable", str_thousands(wanted, r->desirable),
                    str_thousands(unwanted, r->undesirable));
    if (r->truncated)
        str_appendf(&line, "; %s cut to max_length", str_thousands(truncated, r->truncated));
    if (r->boundary_merged)
        str_appendf(&line, "; %s with a token that merges across the prompt's end",
                    str_thousands(merged, r->boundary_merged));
    log_info("%s", str_text(&line));
    str_finish(&line);
    log_dropped(set, &r->prompt_too_long, "prompt reaches max_length");
    log_dropped(set, &r->identical, "chosen and rejected are or became the same");
    log_dropped(set, &r->empty, "no token to score");
}

// ---- balance of labels ----

// To the nearest decimal fraction, as Python's round() has it: x * 100 may round to a tie.
static double hundredths(double x)
{
    char text[400];
    snprintf(text, sizeof text, "%.2f", x);
    return strtod(text, NULL);
}

struct data_weight_ranges data_weight_ranges(const struct data_report *report,
                                             double desirable_weight, double undesirable_weight)
{
    double wanted = report->desirable ? (double)report->desirable : 1;
    double unwanted = report->undesirable ? (double)report->undesirable : 1;
    double d = unwanted * undesirable_weight / wanted, u = wanted * desirable_weight / unwanted;
    return (struct data_weight_ranges){{hundredths(d), hundredths(d * 1.33)},
                                       {hundredths(u / 1.33), hundredths(u)}};
}

static bool within(double x, const double range[2])
{
    return range[0] <= x && x <= range[1];
}

bool data_check_balance(const struct data_report *report, double desirable_weight,
                        double undesirable_weight)
{
    if (report->desirable == report->undesirable) return true;
    struct data_weight_ranges r = data_weight_ranges(report, desirable_weight, undesirable_weight);
    if (within(desirable_weight, r.desirable) || within(undesirable_weight, r.undesirable))
        return true;
    log_warn("%zu desirable and %zu undesirable rows are out of balance for these weights: set "
             "either desirable_weight to %.2f ... %.2f or undesirable_weight to %.2f ... %.2f, not "
             "both",
             report->desirable, report->undesirable, r.desirable[0], r.desirable[1],
             r.undesirable[0], r.undesirable[1]);
    return false;
}
