#include "data/pack.h"

#include "base/error.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void data_pack_init(struct data_pack *pack, const struct data_pack_params *params)
{
    // Every row takes at least one slot, so T rows are as many as fit. A row scores at most one
    // position more than it has slots: its last prompt slot predicts both completions.
    uint32_t T = params->tokens;
    uint32_t rows = params->max_rows && params->max_rows < T ? params->max_rows : T;
    CHECK(T > 0 && T <= UINT32_MAX / 4);
    uint32_t S = T + rows, R = 2 * rows;
    *pack = (struct data_pack){.token_capacity = T,
                               .scored_capacity = S,
                               .sequence_capacity = R,
                               .score_prompt = params->score_prompt,
                               .row_limit = rows};
    pack->ids = MEM_ARRAY(uint32_t, T);
    pack->positions = MEM_ARRAY(uint32_t, T);
    pack->spans = MEM_ARRAY(struct data_span, T);
    pack->key_end = MEM_ARRAY(uint32_t, T);
    pack->scored_slot = MEM_ARRAY(uint32_t, S);
    pack->scored_target = MEM_ARRAY(uint32_t, S);
    pack->scored_sequence = MEM_ARRAY(uint32_t, S);
    pack->sequence_first = MEM_ARRAY(uint32_t, (size_t)R + 1);
    pack->row_index = MEM_ARRAY(uint32_t, rows);
    pack->labels = MEM_ARRAY(uint32_t, R);
    pack->slot_scored_first = MEM_ARRAY(uint32_t, (size_t)T + 1);
    pack->slot_scored = MEM_ARRAY(uint32_t, S);
    pack->unique_ids = MEM_ARRAY(uint32_t, T);
    pack->unique_first = MEM_ARRAY(uint32_t, (size_t)T + 1);
    pack->unique_slots = MEM_ARRAY(uint32_t, T);
    pack->sort_key = MEM_ARRAY(uint64_t, T);
}

void data_pack_finish(struct data_pack *pack)
{
    void *all[] = {
        pack->ids,          pack->positions,         pack->spans,           pack->key_end,
        pack->scored_slot,  pack->scored_target,     pack->scored_sequence, pack->sequence_first,
        pack->row_index,    pack->slot_scored_first, pack->slot_scored,     pack->unique_ids,
        pack->unique_first, pack->unique_slots,      pack->sort_key,        pack->labels};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(all[i]);
    *pack = (struct data_pack){0};
}

// Slots of a completion of `count` tokens.
static uint32_t completion_slots(uint32_t prompt, uint32_t count)
{
    return count == 0 ? 0 : count == 1 && prompt == 0 ? 1 : count - 1;
}

uint32_t data_row_slots(const struct data_row *row)
{
    return row->prompt + completion_slots(row->prompt, row->completion[0]) +
           completion_slots(row->prompt, row->completion[1]);
}

void data_pack_clear(struct data_pack *pack)
{
    pack->tokens = pack->scored = pack->sequences = pack->rows = pack->unique = 0;
    pack->sequence_first[0] = 0;
}

static void put_slot(struct data_pack *pack, int32_t id, uint32_t position, struct data_span span,
                     uint32_t key_end)
{
    uint32_t t = pack->tokens++;
    span.own_end = t + 1;
    pack->ids[t] = (uint32_t)id;
    pack->positions[t] = position;
    pack->spans[t] = span;
    pack->key_end[t] = key_end;
}

static void put_scored(struct data_pack *pack, uint32_t slot, int32_t target)
{
    uint32_t s = pack->scored++;
    pack->scored_slot[s] = slot;
    pack->scored_target[s] = (uint32_t)target;
    pack->scored_sequence[s] = pack->sequences;
}

// The slots of a completion and what they predict; `begin` is the row's first slot.
static void put_completion(struct data_pack *pack, uint32_t begin, const struct data_row *row,
                           const int32_t *ids, uint32_t count)
{
    uint32_t own = pack->tokens, prompt = row->prompt, slots = completion_slots(prompt, count);
    struct data_span span = {begin, begin + prompt, own, 0};
    if (prompt) put_scored(pack, begin + prompt - 1, ids[0]);
    for (uint32_t i = 0; i < slots; i++) {
        put_slot(pack, ids[i], prompt + i, span, own + slots);
        if (i + 1 < count) put_scored(pack, own + i, ids[i + 1]);
    }
    pack->labels[pack->sequences] = row->label;
    pack->sequence_first[++pack->sequences] = pack->scored;
}

bool data_pack_add(struct data_pack *pack, const struct data_set *set, uint32_t row_index)
{
    CHECK(row_index < set->rows.count);
    const struct data_row *row = &set->rows.items[row_index];
    bool pair = row->completion[1] > 0;
    uint32_t slots = data_row_slots(row), begin = pack->tokens;
    CHECK(row->completion[0] > 0 && slots > 0);
    CHECK(pack->sequences == pack->rows * (pair ? 2 : 1));
    if (pack->rows == pack->row_limit || slots > pack->token_capacity - begin) return false;

    const int32_t *prompt = data_prompt_ids(set, row);
    struct data_span span = {begin, begin, begin, 0};
    for (uint32_t i = 0; i < row->prompt; i++) {
        put_slot(pack, prompt[i], i, span, begin + slots);
        if (pack->score_prompt && i + 1 < row->prompt) put_scored(pack, begin + i, prompt[i + 1]);
    }
    for (int c = 0; c < (pair ? 2 : 1); c++)
        put_completion(pack, begin, row, data_completion_ids(set, row, c), row->completion[c]);
    pack->row_index[pack->rows++] = row_index;
    return true;
}

static void list_scored_by_slot(struct data_pack *pack)
{
    uint32_t *first = pack->slot_scored_first;
    memset(first, 0, ((size_t)pack->tokens + 1) * sizeof *first);
    for (uint32_t s = 0; s < pack->scored; s++)
        first[pack->scored_slot[s] + 1]++;
    for (uint32_t t = 0; t < pack->tokens; t++)
        first[t + 1] += first[t];
    // Filling moves each slot's first on to the next one's; then they move back.
    for (uint32_t s = 0; s < pack->scored; s++)
        pack->slot_scored[first[pack->scored_slot[s]]++] = s;
    memmove(first + 1, first, pack->tokens * sizeof *first);
    first[0] = 0;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void list_slots_by_id(struct data_pack *pack)
{
    for (uint32_t t = 0; t < pack->tokens; t++)
        pack->sort_key[t] = (uint64_t)pack->ids[t] << 32 | t;
    qsort(pack->sort_key, pack->tokens, sizeof *pack->sort_key, compare_keys);
    for (uint32_t i = 0; i < pack->tokens; i++) {
        uint32_t id = (uint32_t)(pack->sort_key[i] >> 32);
        if (!pack->unique || pack->unique_ids[pack->unique - 1] != id) {
            pack->unique_first[pack->unique] = i;
            pack->unique_ids[pack->unique++] = id;
        }
        pack->unique_slots[i] = (uint32_t)pack->sort_key[i];
    }
    pack->unique_first[pack->unique] = pack->tokens;
}

void data_pack_close(struct data_pack *pack)
{
    pack->unique = 0;
    list_scored_by_slot(pack);
    list_slots_by_id(pack);
}
