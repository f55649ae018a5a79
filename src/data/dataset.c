#include "data/dataset.h"

#include "data/records.h"
#include "data/report.h"
#include "data/tokenise.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/system.h"

#include <string.h>

// Lines are read one after the other, tokenised on all threads, and added in file order. A batch is
// large enough to keep the threads busy and small enough that memory stays modest.
#define BATCH_LINES 2048
#define BATCH_BYTES ((size_t)16 << 20)

// Records of which the chosen stand before the rejected where pairs are read as unpaired rows:
// what TRL's map() takes at a time.
#define UNPAIR_RECORDS 1000

struct line {
    size_t at, len; // in batch.text
    uint32_t number;
    int rows; // that the record becomes
    uint32_t label[2];
    struct data_tokens tokens[2];
    enum err_kind failed; // ERR_NONE: tokens are set
    char *message;
};

struct loader {
    struct data_set *set;
    const struct data_params *params;
    struct data_tokeniser tokeniser;
    size_t records;                 // read so far
    struct data_row_array rejected; // that wait for the end of their UNPAIR_RECORDS
    struct str text;                // of a batch
    struct line_array ARRAY_OF(struct line) lines;
};

// ---- one row ----

// A row is one line of its file: the parser's own "line 1" would only confuse.
static bool bad_json(const struct line *line)
{
    static const char first[] = "row: line 1, ";
    const char *message = err_message();
    if (str_starts_with(message, first)) message += sizeof first - 1;
    char *copy = mem_strdup(message);
    err_user("line %u, %s", line->number, copy);
    mem_free(copy);
    return false;
}

static bool tokenise_line(const struct loader *l, struct line *line)
{
    cJSON *row = json_parse(l->text.data + line->at, line->len, "row");
    if (!row) return bad_json(line);
    struct data_record record;
    bool ok = data_record_read(&record, row, l->params->kind, l->params->completion_only);
    if (ok) {
        line->rows = record.rows;
        memcpy(line->label, record.label, sizeof line->label);
        ok = data_tokenise(&l->tokeniser, &record, line->tokens);
        data_record_finish(&record);
    }
    cJSON_Delete(row);
    return ok || err_context("line %u", line->number);
}

// A failure is kept with its line, so that the first in file order is reported, not the first in
// time.
static bool tokenise_index(void *ctx, size_t index)
{
    struct loader *l = ctx;
    struct line *line = &l->lines.items[index];
    if (tokenise_line(l, line)) return true;
    line->failed = err_current();
    line->message = mem_strdup(err_message());
    err_clear();
    return true;
}

// ---- batches ----

static void count_row(struct data_set *set, const struct data_tokens *t, uint32_t label)
{
    struct data_report *report = &set->report;
    report->kept++;
    if (set->kind == DATA_UNPAIRED) {
        report->desirable += label;
        report->undesirable += !label;
    }
    report->tokens += (size_t)t->prompt + t->completion[0] + t->completion[1];
    report->truncated += t->truncated;
    report->boundary_merged += t->boundary_merged;
    uint32_t longer = t->completion[0] > t->completion[1] ? t->completion[0] : t->completion[1];
    if (t->prompt + longer > report->longest) report->longest = t->prompt + longer;
}

static bool add_row(struct loader *l, const struct line *line, int index)
{
    const struct data_tokens *t = &line->tokens[index];
    struct data_set *set = l->set;
    struct data_report *report = &set->report;
    struct data_place place = {(uint32_t)set->file_count - 1, line->number};
    report->read++;
    struct data_places *dropped[] = {[DATA_PROMPT_TOO_LONG] = &report->prompt_too_long,
                                     [DATA_IDENTICAL] = &report->identical,
                                     [DATA_EMPTY] = &report->empty};
    if (t->drop != DATA_KEPT) {
        ARRAY_PUSH(dropped[t->drop], place);
        return true;
    }
    if (t->ids.count > UINT32_MAX - set->ids.count)
        return err_user("line %u: the dataset has more than 4,294,967,295 tokens: split it",
                        line->number);
    struct data_row row = {.line = line->number,
                           .file = place.file,
                           .first = (uint32_t)set->ids.count,
                           .prompt = t->prompt,
                           .completion = {t->completion[0], t->completion[1]},
                           .label = line->label[index],
                           .tail = t->tail};
    ARRAY_PUSH(index ? &l->rejected : &set->rows, row);
    ARRAY_RESERVE(&set->ids, set->ids.count + t->ids.count);
    memcpy(set->ids.items + set->ids.count, t->ids.items, t->ids.count * sizeof *t->ids.items);
    set->ids.count += t->ids.count;
    count_row(set, t, row.label);
    return true;
}

static void add_rejected(struct loader *l)
{
    for (size_t i = 0; i < l->rejected.count; i++)
        ARRAY_PUSH(&l->set->rows, l->rejected.items[i]);
    l->rejected.count = 0;
}

static bool add_record(struct loader *l, const struct line *line)
{
    for (int i = 0; i < line->rows; i++)
        if (!add_row(l, line, i)) return false;
    if (++l->records % UNPAIR_RECORDS == 0) add_rejected(l);
    return true;
}

static void clear_batch(struct loader *l)
{
    for (size_t i = 0; i < l->lines.count; i++) {
        for (int k = 0; k < 2; k++)
            ARRAY_FREE(&l->lines.items[i].tokens[k].ids);
        mem_free(l->lines.items[i].message);
    }
    l->lines.count = 0;
    str_clear(&l->text);
}

static bool run_batch(struct loader *l)
{
    bool ok = sys_parallel_for(l->lines.count, tokenise_index, l);
    for (size_t i = 0; ok && i < l->lines.count; i++) {
        const struct line *line = &l->lines.items[i];
        ok = line->failed ? err_set(line->failed, "%s", line->message) : add_record(l, line);
    }
    clear_batch(l);
    return ok || err_context("%s", l->set->files[l->set->file_count - 1]);
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
    return true;
}

static bool take_lines(struct loader *l, struct file_lines *lines)
{
    static const char mark[] = "\xEF\xBB\xBF"; // that some editors put at the start of a file
    for (;;) {
        const char *text;
        size_t len;
        if (!file_lines_next(lines, &text, &len)) return false;
        if (!text) return run_batch(l);
        if (lines->number == 1 && len >= 3 && memcmp(text, mark, 3) == 0) text += 3, len -= 3;
        if (is_blank(text, len)) continue;
        if (lines->number >= UINT32_MAX)
            return err_user("%s: more than 4,294,967,294 lines: split it", lines->path);
        struct line line = {.at = l->text.len, .len = len, .number = (uint32_t)lines->number};
        str_append_bytes(&l->text, text, len);
        ARRAY_PUSH(&l->lines, line);
        if (l->lines.count < BATCH_LINES && l->text.len < BATCH_BYTES) continue;
        if (!run_batch(l)) return false;
        log_progress("reading %s: %zu rows", lines->path, l->set->report.read);
    }
}

static bool read_file(struct loader *l, const char *path)
{
    struct data_set *set = l->set;
    struct file_lines lines = {0};
    if (!file_lines_open(&lines, path)) return false;
    set->files = mem_realloc(set->files, set->file_count + 1, sizeof *set->files);
    set->files[set->file_count++] = mem_strdup(path);
    bool ok = take_lines(l, &lines);
    clear_batch(l);
    file_lines_close(&lines);
    return ok;
}

// ---- the whole ----

static bool is_data_name(const char *name)
{
    static const char *const endings[] = {".jsonl", ".json", ".jsonl.gz", ".json.gz"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (str_ends_with(name, endings[i])) return true;
    return false;
}

static bool read_folder(struct loader *l)
{
    const char *folder = l->params->path;
    char **names;
    size_t count, used = 0;
    if (!file_list(folder, &names, &count)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        char *path = file_join(folder, names[i]);
        if (is_data_name(names[i]) && !file_is_dir(path)) {
            used++;
            ok = read_file(l, path);
        }
        mem_free(path);
    }
    file_list_free(names, count);
    if (ok && !used)
        return err_user("%s: no file in this folder ends in .jsonl, .json, .jsonl.gz or .json.gz",
                        folder);
    return ok;
}

bool data_load(struct data_set *set, const struct data_params *params)
{
    struct loader l = {.set = set, .params = params};
    data_tokeniser_init(&l.tokeniser, params);
    *set = (struct data_set){
        .kind = params->kind, .truncation = params->truncation, .has_bos = l.tokeniser.bos >= 0};
    bool ok = file_is_dir(params->path) ? read_folder(&l) : read_file(&l, params->path);
    add_rejected(&l);
    ok = ok && data_report_check(&set->report, params->path, params->max_length);
    data_tokeniser_finish(&l.tokeniser);
    ARRAY_FREE(&l.rejected);
    ARRAY_FREE(&l.lines);
    str_finish(&l.text);
    if (!ok) data_finish(set);
    return ok;
}
