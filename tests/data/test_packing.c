// Properties of packing whole datasets: rows of very different length, prompts that several rows
// share, empty prompts, completions of one token, budgets from exactly the longest row to all rows.
//
// The judge knows nothing of the layout. It asks what an ordinary model would be given: a slot must
// see exactly the beginning of one sequence (a row's prompt and one completion), at the positions
// 0, 1, 2, ..., and so must every slot that it sees; a scored position must stand where its target
// is the sequence's next token; and over all packs every token to be scored is scored once.
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#define ROWS 40
#define SEEDS 60
#define IDS 30

enum kind { PAIRS, UNPAIRED, WHOLE_TEXTS, KINDS };

// ---- datasets ----

// 0 to `most`, small ones as often as large ones.
static uint32_t length(struct rng *r, uint32_t most)
{
    uint32_t bits = (uint32_t)rng_below(r, 11), n = (uint32_t)rng_below(r, (1u << bits) + 1);
    return n < most ? n : most;
}

static void add_row(struct data_set *set, struct rng *r, enum kind kind)
{
    struct data_row row = {.line = (uint32_t)set->rows.count + 1,
                           .first = (uint32_t)set->ids.count};
    const struct data_row *from = NULL; // whose prompt this row has too
    if (set->rows.count && rng_below(r, 2)) from = &set->rows.items[rng_below(r, set->rows.count)];
    row.prompt = from ? from->prompt : length(r, 600);
    for (int c = 0; c < (kind == PAIRS ? 2 : 1); c++) {
        uint32_t n = 1 + (rng_below(r, 4) ? length(r, 500) : 0);
        // Only mismatched rows can be of one token.
        row.completion[c] = n == 1 && !row.prompt && kind != UNPAIRED ? 2 : n;
    }
    if (kind == UNPAIRED) row.label = (uint32_t)rng_below(r, 2);
    for (uint32_t i = 0; i < row.prompt; i++)
        ARRAY_PUSH(&set->ids, from ? set->ids.items[from->first + i] : (int32_t)rng_below(r, IDS));
    for (uint32_t i = 0; i < row.completion[0] + row.completion[1]; i++)
        ARRAY_PUSH(&set->ids, (int32_t)rng_below(r, IDS));
    ARRAY_PUSH(&set->rows, row);
}

static uint32_t longest_row(const struct data_set *set, uint64_t *all)
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

// ---- the judge ----

// Token `i` of the sequence of prompt and completion `c`.
static uint32_t sequence_id(const struct data_set *set, const struct data_row *row, int c,
                            uint32_t i)
{
    return (uint32_t)(i < row->prompt ? data_prompt_ids(set, row)[i]
                                      : data_completion_ids(set, row, c)[i - row->prompt]);
}

static bool sees(const struct data_pack *p, uint32_t query, uint32_t key)
{
    const struct data_span *s = &p->spans[query];
    return (key >= s->prefix_begin && key < s->prefix_end) ||
           (key >= s->own_begin && key < s->own_end);
}

// The slots that slot t sees, in order of position; returns their number. Fails unless they have
// the positions 0, 1, ..., the last being t itself, and each of them sees those before it and
// itself.
static uint32_t context_of(const struct data_pack *p, uint32_t t, uint32_t *slots)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < p->tokens; k++) {
        if (!sees(p, t, k)) continue;
        assert_true(k <= t);
        assert_int_equal(p->positions[k], n);
        slots[n++] = k;
    }
    assert_true(n > 0 && slots[n - 1] == t);
    if (n == 1) return n;
    // As every slot is judged, it is enough that the one before sees all before it.
    uint32_t before = slots[n - 2], seen = 0;
    for (uint32_t k = 0; k < p->tokens; k++)
        if (sees(p, before, k)) assert_int_equal(slots[seen++], k);
    assert_int_equal(seen, n - 1);
    return n;
}

static void judge_contexts(const struct data_pack *p)
{
    uint32_t *slots = MEM_ARRAY(uint32_t, p->tokens);
    for (uint32_t t = 0; t < p->tokens; t++)
        context_of(p, t, slots);
    mem_free(slots);
}

static void judge_scored(const struct data_pack *p, const struct data_set *set, enum kind kind,
                         uint32_t *times)
{
    uint32_t *slots = MEM_ARRAY(uint32_t, p->tokens), per_row = kind == PAIRS ? 2 : 1, s = 0;
    assert_int_equal(p->sequences, p->rows * per_row);
    for (uint32_t q = 0; q < p->sequences; q++) {
        const struct data_row *row = &set->rows.items[p->row_index[q / per_row]];
        int c = (int)(q % per_row);
        assert_int_equal(p->labels[q], row->label);
        assert_int_equal(p->sequence_first[q], s);
        uint32_t first = kind == WHOLE_TEXTS ? 1 : row->prompt ? row->prompt : 1;
        for (uint32_t i = first; i < row->prompt + row->completion[c]; i++, s++) {
            assert_int_equal(p->scored_sequence[s], q);
            assert_int_equal(p->scored_target[s], sequence_id(set, row, c, i));
            assert_int_equal(context_of(p, p->scored_slot[s], slots), i);
            for (uint32_t k = 0; k < i; k++)
                assert_int_equal(p->ids[slots[k]], sequence_id(set, row, c, k));
            times[row->first + i + (c && i >= row->prompt ? row->completion[0] : 0)]++;
        }
    }
    assert_int_equal(p->scored, s);
    assert_int_equal(p->sequence_first[p->sequences], s);
    mem_free(slots);
}

// key_end[k] is the end of the queries that see k, which are all from k on.
static void judge_key_ends(const struct data_pack *p)
{
    for (uint32_t k = 0; k < p->tokens; k++)
        for (uint32_t q = 0; q < p->tokens; q++)
            if (sees(p, q, k) != (q >= k && q < p->key_end[k]))
                fail_msg("slot %u, key %u: key_end is %u", q, k, p->key_end[k]);
}

// No slot is computed for nothing: each is seen by a scored position, except where nothing is
// scored at all.
static void judge_slots_used(const struct data_pack *p)
{
    bool *used = MEM_ARRAY(bool, p->tokens);
    for (uint32_t s = 0; s < p->scored; s++)
        used[p->scored_slot[s]] = true;
    for (uint32_t t = p->tokens; t-- > 0;)
        for (uint32_t q = t + 1; !used[t] && q < p->key_end[t]; q++)
            used[t] = used[q];
    for (uint32_t t = 0; t < p->tokens; t++)
        if (!used[t] && !(p->positions[t] == 0 && p->key_end[t] == t + 1))
            fail_msg("slot %u is of no use", t);
    mem_free(used);
}

static void judge_capacity(const struct data_pack *p, uint32_t budget)
{
    assert_int_equal(p->token_capacity, budget);
    assert_true(p->tokens > 0 && p->tokens <= budget);
    assert_true(p->scored <= p->scored_capacity);
    assert_true(p->sequences <= p->sequence_capacity);
    assert_true(p->unique <= p->tokens);
}

// Every token to be scored was, once.
static void judge_times(const struct data_set *set, enum kind kind, const uint32_t *times)
{
    for (size_t r = 0; r < set->rows.count; r++) {
        const struct data_row *row = &set->rows.items[r];
        uint32_t tokens = row->prompt + row->completion[0] + row->completion[1];
        for (uint32_t i = 0; i < tokens; i++) {
            bool begins = i == 0 || (!row->prompt && i == row->completion[0]);
            bool scored = !begins && (i >= row->prompt || kind == WHOLE_TEXTS);
            if (i == row->prompt && row->prompt) scored = true;
            assert_int_equal(times[row->first + i], scored);
        }
    }
}

// ---- packing as a step does it ----

static void pack_all(const struct data_set *set, enum kind kind, const uint32_t *order,
                     uint32_t budget)
{
    uint32_t count = (uint32_t)set->rows.count, *pack_of = MEM_ARRAY(uint32_t, count);
    uint32_t *times = MEM_ARRAY(uint32_t, set->ids.count), rows = 0;
    uint32_t packs = data_pack_plan(set, order, count, budget, pack_of);
    struct data_pack p;
    data_pack_init(&p, &(struct data_pack_params){.tokens = budget,
                                                  .max_rows = count,
                                                  .score_prompt = kind == WHOLE_TEXTS});
    for (uint32_t k = 0; k < packs; k++) {
        data_pack_clear(&p);
        for (uint32_t i = 0; i < count; i++)
            if (pack_of[i] == k) assert_true(data_pack_add(&p, set, order[i]));
        data_pack_close(&p);
        judge_capacity(&p, budget);
        judge_contexts(&p);
        judge_key_ends(&p);
        judge_slots_used(&p);
        judge_scored(&p, set, kind, times);
        rows += p.rows;
    }
    assert_int_equal(rows, count);
    judge_times(set, kind, times);
    data_pack_finish(&p);
    mem_free(times);
    mem_free(pack_of);
}

static void test_whole_datasets(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rng r = rng_begin(seed, RNG_TEST);
        enum kind kind = (enum kind)(seed % KINDS);
        struct data_set set = {0};
        uint32_t order[ROWS], rows = 1 + (uint32_t)rng_below(&r, ROWS);
        for (uint32_t i = 0; i < rows; i++)
            add_row(&set, &r, kind);
        rng_permutation(&r, order, rows);
        uint64_t all;
        uint32_t longest = longest_row(&set, &all);
        pack_all(&set, kind, order, longest);
        pack_all(&set, kind, order, longest + (uint32_t)rng_below(&r, longest + 1));
        if (all < 3000) pack_all(&set, kind, order, (uint32_t)all);
        data_finish(&set);
    }
}

// ---- first fit ----

// The fewest packs that hold slots[at..count), by trying all; `room` of the `used` packs so far.
static uint32_t fewest(const uint32_t *slots, uint32_t count, uint32_t at, uint32_t budget,
                       uint32_t *room, uint32_t used, uint32_t best)
{
    if (used >= best) return best;
    if (at == count) return used;
    for (uint32_t k = 0; k <= used; k++) {
        if (k < used && room[k] < slots[at]) continue;
        uint32_t before = k < used ? room[k] : budget;
        room[k] = before - slots[at];
        uint32_t packs = fewest(slots, count, at + 1, budget, room, used + (k == used), best);
        room[k] = before;
        if (packs < best) best = packs;
    }
    return best;
}

// First fit takes at most 1.7 times the fewest packs (Dosa and Sgall), and of any two of its packs
// the rows fill more than one, so that it takes fewer than twice what the slots ask for, plus one.
static void test_first_fit_bounds(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct rng r = rng_begin(seed, RNG_TEST);
        struct data_set set = {0};
        uint32_t count = 1 + (uint32_t)rng_below(&r, 9), order[9], pack_of[9], slots[9], room[10];
        for (uint32_t i = 0; i < count; i++)
            add_row(&set, &r, seed % 2 ? PAIRS : UNPAIRED);
        rng_permutation(&r, order, count);
        uint64_t all;
        uint32_t longest = longest_row(&set, &all);
        uint32_t budget = longest + (uint32_t)rng_below(&r, longest + 1);
        uint32_t packs = data_pack_plan(&set, order, count, budget, pack_of), filled[9] = {0};
        for (uint32_t i = 0; i < count; i++) {
            slots[i] = data_row_slots(&set.rows.items[order[i]]);
            filled[pack_of[i]] += slots[i];
        }
        for (uint32_t a = 0; a < packs; a++) {
            assert_true(filled[a] > 0 && filled[a] <= budget);
            for (uint32_t b = 0; b < a; b++)
                assert_true(filled[a] + filled[b] > budget);
        }
        uint32_t best = fewest(slots, count, 0, budget, room, 0, count + 1);
        assert_true(packs >= best && 10 * packs <= 17 * best);
        data_finish(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_datasets),
        cmocka_unit_test(test_first_fit_bounds),
    };
    return cmocka_run_group_tests_name("packing", tests, NULL, NULL);
}
