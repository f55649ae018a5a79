// Rows of one completion under another's prompt, by which KTO estimates the KL term.
#include "data/pack.h"
#include "data/truncate.h"

#include "base/error.h"
#include "base/mem.h"

#include <string.h>

static void put(struct data_set *out, const int32_t *ids, size_t count)
{
    if (!count) return;
    CHECK(count <= UINT32_MAX - out->ids.count);
    ARRAY_RESERVE(&out->ids, out->ids.count + count);
    memcpy(out->ids.items + out->ids.count, ids, count * sizeof *ids);
    out->ids.count += count;
}

static void add(struct data_set *out, const struct data_set *set, const struct data_row *own,
                const struct data_row *other, uint32_t max_length)
{
    struct data_parts p = {.prompt = own->prompt,
                           .completion = {other->completion[0] + other->tail}};
    size_t head = set->has_bos && own->prompt > 0;
    data_truncate(&p, max_length, set->truncation, head);
    CHECK(p.completion[0] > 0);
    struct data_row row = {.line = own->line,
                           .file = own->file,
                           .first = (uint32_t)out->ids.count,
                           .prompt = (uint32_t)p.prompt,
                           .completion = {(uint32_t)p.completion[0]},
                           .label = own->label};
    const int32_t *prompt = data_prompt_ids(set, own);
    if (p.prompt_begin) put(out, prompt, head);
    put(out, prompt + p.prompt_begin, p.prompt - (p.prompt_begin ? head : 0));
    put(out, data_completion_ids(set, other, 0) + p.begin[0], p.completion[0]);
    ARRAY_PUSH(&out->rows, row);
    out->report.tokens += p.prompt + p.completion[0];
    if (p.prompt + p.completion[0] > out->report.longest)
        out->report.longest = (uint32_t)(p.prompt + p.completion[0]);
}

void data_mismatched(struct data_set *out, const struct data_set *set, const uint32_t *order,
                     uint32_t count, uint32_t max_length)
{
    CHECK(set->kind == DATA_UNPAIRED);
    *out = (struct data_set){.kind = DATA_UNPAIRED,
                             .truncation = set->truncation,
                             .has_bos = set->has_bos,
                             .file_count = set->file_count,
                             .files = mem_realloc(NULL, set->file_count, sizeof *out->files)};
    for (size_t i = 0; i < set->file_count; i++)
        out->files[i] = mem_strdup(set->files[i]);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = order[i ? i - 1 : count - 1];
        CHECK(order[i] < set->rows.count && other < set->rows.count);
        add(out, set, &set->rows.items[order[i]], &set->rows.items[other], max_length);
    }
    out->report.read = out->report.kept = count;
}

uint32_t data_mismatched_longest(const struct data_set *set, uint32_t max_length)
{
    uint32_t prompt = 0, completion = 1;
    for (size_t i = 0; i < set->rows.count; i++) {
        const struct data_row *row = &set->rows.items[i];
        if (row->prompt > prompt) prompt = row->prompt;
        if (row->completion[0] + row->tail > completion)
            completion = row->completion[0] + row->tail;
    }
    struct data_row row = {.prompt = prompt, .completion = {completion}};
    if (max_length && prompt + completion > max_length) {
        row.prompt = 0;
        row.completion[0] = max_length;
    }
    return data_row_slots(&row);
}
