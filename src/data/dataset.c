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

struct line {
    size_t at, len; // in batch.text
    uint32_t number;
    struct data_tokens tokens;
    enum err_kind failed; // ERR_NONE: tokens are set
    char *message;
};

struct batch {
    const struct data_params *params;
    const struct data_tokeniser *tokeniser;
    struct str text;
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

static bool tokenise_line(const struct batch *b, struct line *line)
{
    cJSON *row = json_parse(b->text.data + line->at, line->len, "row");
    if (!row) return bad_json(line);
    struct data_record record;
    bool ok = data_record_read(&record, row, b->params->pairs, b->params->completion_only);
    if (ok) {
        ok = data_tokenise(b->tokeniser, &record, &line->tokens);
        data_record_finish(&record);
    }
    cJSON_Delete(row);
    return ok || err_context("line %u", line->number);
}

// A failure is kept with its line, so that the first in file order is reported, not the first in
// time.
static bool tokenise_index(void *ctx, size_t index)
{
    struct batch *b = ctx;
    struct line *line = &b->lines.items[index];
    if (tokenise_line(b, line)) return true;
    line->failed = err_current();
    line->message = mem_strdup(err_message());
    err_clear();
    return true;
}

// ---- batches ----

static bool add_row(struct data_set *set, const struct line *line)
{
    const struct data_tokens *t = &line->tokens;
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
                           .completion = {t->completion[0], t->completion[1]}};
    ARRAY_PUSH(&set->rows, row);
    ARRAY_RESERVE(&set->ids, set->ids.count + t->ids.count);
    memcpy(set->ids.items + set->ids.count, t->ids.items, t->ids.count * sizeof *t->ids.items);
    set->ids.count += t->ids.count;
    report->kept++;
    report->truncated += t->truncated;
    report->boundary_merged += t->boundary_merged;
    uint32_t longer = t->completion[0] > t->completion[1] ? t->completion[0] : t->completion[1];
    if (t->prompt + longer > report->longest) report->longest = t->prompt + longer;
    return true;
}

static void clear_batch(struct batch *b)
{
    for (size_t i = 0; i < b->lines.count; i++) {
        ARRAY_FREE(&b->lines.items[i].tokens.ids);
        mem_free(b->lines.items[i].message);
    }
    b->lines.count = 0;
    str_clear(&b->text);
}

static bool run_batch(struct batch *b, struct data_set *set)
{
    bool ok = sys_parallel_for(b->lines.count, tokenise_index, b);
    for (size_t i = 0; ok && i < b->lines.count; i++) {
        const struct line *line = &b->lines.items[i];
        ok = line->failed ? err_set(line->failed, "%s", line->message) : add_row(set, line);
    }
    clear_batch(b);
    return ok || err_context("%s", set->files[set->file_count - 1]);
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
    return true;
}

static bool take_lines(struct batch *b, struct data_set *set, struct file_lines *lines)
{
    static const char mark[] = "\xEF\xBB\xBF"; // that some editors put at the start of a file
    for (;;) {
        const char *text;
        size_t len;
        if (!file_lines_next(lines, &text, &len)) return false;
        if (!text) return run_batch(b, set);
        if (lines->number == 1 && len >= 3 && memcmp(text, mark, 3) == 0) text += 3, len -= 3;
        if (is_blank(text, len)) continue;
        if (lines->number >= UINT32_MAX)
            return err_user("%s: more than 4,294,967,294 lines: split it", lines->path);
        struct line line = {.at = b->text.len, .len = len, .number = (uint32_t)lines->number};
        str_append_bytes(&b->text, text, len);
        ARRAY_PUSH(&b->lines, line);
        if (b->lines.count < BATCH_LINES && b->text.len < BATCH_BYTES) continue;
        if (!run_batch(b, set)) return false;
        log_progress("reading %s: %zu rows", lines->path, set->report.read);
    }
}

static bool read_file(struct data_set *set, const struct data_params *params,
                      const struct data_tokeniser *tokeniser, const char *path)
{
    struct batch b = {.params = params, .tokeniser = tokeniser};
    struct file_lines lines = {0};
    if (!file_lines_open(&lines, path)) return false;
    set->files = mem_realloc(set->files, set->file_count + 1, sizeof *set->files);
    set->files[set->file_count++] = mem_strdup(path);
    bool ok = take_lines(&b, set, &lines);
    clear_batch(&b);
    ARRAY_FREE(&b.lines);
    str_finish(&b.text);
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

static bool read_folder(struct data_set *set, const struct data_params *params,
                        const struct data_tokeniser *tokeniser)
{
    char **names;
    size_t count, used = 0;
    if (!file_list(params->path, &names, &count)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        char *path = file_join(params->path, names[i]);
        if (is_data_name(names[i]) && !file_is_dir(path)) {
            used++;
            ok = read_file(set, params, tokeniser, path);
        }
        mem_free(path);
    }
    file_list_free(names, count);
    if (ok && !used)
        return err_user("%s: no file in this folder ends in .jsonl, .json, .jsonl.gz or .json.gz",
                        params->path);
    return ok;
}

bool data_load(struct data_set *set, const struct data_params *params)
{
    *set = (struct data_set){0};
    struct data_tokeniser tokeniser;
    data_tokeniser_init(&tokeniser, params);
    bool ok = file_is_dir(params->path) ? read_folder(set, params, &tokeniser)
                                        : read_file(set, params, &tokeniser, params->path);
    ok = ok && data_report_check(&set->report, params->path, params->max_length);
    data_tokeniser_finish(&tokeniser);
    if (!ok) data_finish(set);
    return ok;
}
