#include "placed_rows.h"

#include "base/mem.h"
#include "base/rng.h"
#include "data/pack.h"

void rows_finish(struct rows *r)
{
    data_finish(&r->set);
    ARRAY_FREE(&r->origin);
}

static void copy_ids(struct rows *to, const struct data_set *from, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        ARRAY_PUSH(&to->set.ids, from->ids.items[i]);
        ARRAY_PUSH(&to->origin, i);
    }
}

static uint32_t any_length(struct rng *r, uint32_t bits)
{
    return (uint32_t)rng_below(r, (1u << rng_below(r, bits)) + 1);
}

// Pairs of random ids: prompts of none to 128 tokens, some shared, completions of one to 128.
static void make_pairs(struct rows *to, uint32_t vocab)
{
    struct rng r = rng_begin(5, RNG_TEST);
    struct data_set from = {0};
    *to = (struct rows){.set.kind = DATA_PAIRS};
    for (uint32_t k = 0; k < ROWS; k++) {
        struct data_row row = {.line = k + 1, .first = (uint32_t)from.ids.count};
        const struct data_row *like = k % 3 == 2 ? &from.rows.items[k - 1] : NULL;
        row.prompt = like ? like->prompt : k % 8 == 3 ? 0 : any_length(&r, 8);
        for (int c = 0; c < 2; c++)
            row.completion[c] =
                1 + (k % 5 == (uint32_t)c ? 0 : any_length(&r, 8)) + (row.prompt == 0);
        for (uint32_t i = 0; i < row.prompt + row.completion[0] + row.completion[1]; i++) {
            bool shared = like && i < row.prompt;
            int32_t id = shared ? from.ids.items[like->first + i] : (int32_t)rng_below(&r, vocab);
            ARRAY_PUSH(&from.ids, id);
        }
        ARRAY_PUSH(&from.rows, row);
        ARRAY_PUSH(&to->set.rows, row);
    }
    copy_ids(to, &from, 0, (uint32_t)from.ids.count);
    data_finish(&from);
}

// Each pair as two rows, all chosen first.
void rows_unpaired(struct rows *to, const struct data_set *pairs)
{
    *to = (struct rows){.set.kind = DATA_UNPAIRED};
    for (uint32_t i = 0; i < 2 * ROWS; i++) {
        const struct data_row *from = &pairs->rows.items[i % ROWS];
        int c = i >= ROWS;
        struct data_row row = {.line = from->line,
                               .first = (uint32_t)to->set.ids.count,
                               .prompt = from->prompt,
                               .completion = {from->completion[c]},
                               .label = !c};
        copy_ids(to, pairs, from->first, from->prompt);
        copy_ids(to, pairs, from->first + from->prompt + (c ? from->completion[0] : 0),
                 from->completion[c]);
        ARRAY_PUSH(&to->set.rows, row);
    }
}

// Slots of the longest row and of all.
uint32_t rows_slots(const struct data_set *set, uint32_t *all)
{
    uint32_t longest = 0;
    *all = 0;
    for (size_t i = 0; i < set->rows.count; i++) {
        uint32_t slots = data_row_slots(&set->rows.items[i]);
        if (slots > longest) longest = slots;
        *all += slots;
    }
    return longest;
}

void subject_open(struct subject *t, const struct model_layout *layout, uint64_t seed)
{
    make_pairs(&t->pairs, layout->config.vocab);
    t->longest = rows_slots(&t->pairs.set, &t->all);
    t->origins = (uint32_t)t->pairs.set.ids.count;
    t->bytes = layout->elements * sizeof(float);
    struct rng r = rng_begin(seed, RNG_TEST);
    t->dlogp = MEM_ARRAY(float, t->origins);
    for (uint32_t i = 0; i < t->origins; i++)
        t->dlogp[i] = (float)rng_normal(&r);
}

void subject_close(struct subject *t)
{
    mem_free(t->dlogp);
    rows_finish(&t->pairs);
}
