// Packing: every array against a slow, plain model of the layout, on seeded random rows.
#include "base/error.h"
#include "base/rng.h"
#include "data/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define MAX_SLOTS 400

static void add_row(struct data_set *set, struct rng *r, uint32_t prompt, uint32_t chosen,
                    uint32_t rejected)
{
    struct data_row row = {.line = (uint32_t)set->rows.count + 1,
                           .first = (uint32_t)set->ids.count,
                           .prompt = prompt,
                           .completion = {chosen, rejected}};
    for (uint32_t i = 0; i < prompt + chosen + rejected; i++)
        ARRAY_PUSH(&set->ids, (int32_t)rng_below(r, 23));
    ARRAY_PUSH(&set->rows, row);
}

// What a slot is: token `offset` of part 0 (prompt), 1 (chosen) or 2 (rejected) of a packed row.
struct slot {
    uint32_t row, part, offset;
};

static uint32_t list_slots(const struct data_set *set, const uint32_t *order, uint32_t count,
                           struct slot *slots)
{
    uint32_t n = 0;
    for (uint32_t r = 0; r < count; r++) {
        const struct data_row *row = &set->rows.items[order[r]];
        for (uint32_t i = 0; i < row->prompt; i++)
            slots[n++] = (struct slot){r, 0, i};
        for (uint32_t c = 0; c < 2; c++)
            for (uint32_t i = 0; i + 1 < row->completion[c]; i++)
                slots[n++] = (struct slot){r, 1 + c, i};
    }
    return n;
}

// The rule in words: a token attends to itself, to earlier tokens of its part, and a completion's
// token to the whole prompt of its row.
static bool attends(struct slot query, struct slot key)
{
    if (query.row != key.row) return false;
    if (query.part == key.part) return key.offset <= query.offset;
    return key.part == 0;
}

static void check_spans(const struct data_pack *p, const struct slot *slots)
{
    for (uint32_t q = 0; q < p->tokens; q++) {
        struct data_span s = p->spans[q];
        assert_true(s.prefix_begin <= s.prefix_end && s.prefix_end <= s.own_begin);
        assert_int_equal(s.own_end, q + 1);
        for (uint32_t k = 0; k < p->tokens; k++) {
            bool seen =
                (k >= s.prefix_begin && k < s.prefix_end) || (k >= s.own_begin && k < s.own_end);
            assert_int_equal(seen, attends(slots[q], slots[k]));
            bool reached = q >= k && q < p->key_end[k];
            assert_int_equal(reached, attends(slots[q], slots[k]));
        }
    }
}

static void check_ids(const struct data_pack *p, const struct data_set *set, const uint32_t *order,
                      const struct slot *slots)
{
    for (uint32_t t = 0; t < p->tokens; t++) {
        const struct data_row *row = &set->rows.items[order[slots[t].row]];
        uint32_t before = slots[t].part == 2 ? row->prompt + row->completion[0]
                          : slots[t].part    ? row->prompt
                                             : 0;
        assert_int_equal(p->ids[t], set->ids.items[row->first + before + slots[t].offset]);
        uint32_t position = (slots[t].part ? row->prompt : 0) + slots[t].offset;
        assert_int_equal(p->positions[t], position);
    }
}

static uint32_t find_slot(const struct slot *slots, uint32_t count, struct slot want)
{
    for (uint32_t t = 0; t < count; t++)
        if (slots[t].row == want.row && slots[t].part == want.part &&
            slots[t].offset == want.offset)
            return t;
    fail_msg("no slot");
    return 0;
}

// Expected scored positions: each scored token, and the slot of the token before it.
static void check_scored(const struct data_pack *p, const struct data_set *set,
                         const uint32_t *order, uint32_t count, const struct slot *slots,
                         bool score_prompt)
{
    uint32_t s = 0, sequence = 0;
    for (uint32_t r = 0; r < count; r++) {
        const struct data_row *row = &set->rows.items[order[r]];
        const int32_t *ids = set->ids.items + row->first;
        for (uint32_t c = 0; c < 2; c++) {
            if (!row->completion[c]) continue;
            assert_int_equal(p->sequence_first[sequence], s);
            for (uint32_t i = 1; c == 0 && score_prompt && i < row->prompt; i++, s++) {
                assert_int_equal(p->scored_target[s], ids[i]);
                struct slot from = {r, 0, i - 1};
                assert_int_equal(p->scored_slot[s], find_slot(slots, p->tokens, from));
                assert_int_equal(p->scored_sequence[s], sequence);
            }
            const int32_t *own = ids + row->prompt + (c ? row->completion[0] : 0);
            for (uint32_t i = 0; i < row->completion[c]; i++) {
                if (i == 0 && row->prompt == 0) continue;
                assert_int_equal(p->scored_target[s], own[i]);
                struct slot from = {r, i ? 1 + c : 0, i ? i - 1 : row->prompt - 1};
                assert_int_equal(p->scored_slot[s], find_slot(slots, p->tokens, from));
                assert_int_equal(p->scored_sequence[s], sequence);
                s++;
            }
            sequence++;
        }
    }
    assert_int_equal(p->scored, s);
    assert_int_equal(p->sequences, sequence);
    assert_int_equal(p->sequence_first[sequence], s);
}

static void check_scatter(const struct data_pack *p)
{
    uint32_t at = 0;
    for (uint32_t t = 0; t < p->tokens; t++) {
        assert_int_equal(p->slot_scored_first[t], at);
        for (uint32_t s = 0; s < p->scored; s++)
            if (p->scored_slot[s] == t) assert_int_equal(p->slot_scored[at++], s);
    }
    assert_int_equal(p->slot_scored_first[p->tokens], at);
    assert_int_equal(at, p->scored);

    uint32_t u = 0;
    at = 0;
    for (uint32_t id = 0; id < 23; id++) {
        uint32_t first = at;
        for (uint32_t t = 0; t < p->tokens; t++)
            if (p->ids[t] == id) assert_int_equal(p->unique_slots[at++], t);
        if (at == first) continue;
        assert_int_equal(p->unique_ids[u], id);
        assert_int_equal(p->unique_first[u], first);
        u++;
    }
    assert_int_equal(p->unique, u);
    assert_int_equal(p->unique_first[u], p->tokens);
    assert_int_equal(at, p->tokens);
}

static void check_pack(struct data_pack *p, const struct data_set *set, bool score_prompt)
{
    struct slot slots[MAX_SLOTS];
    data_pack_close(p);
    assert_int_equal(list_slots(set, p->row_index, p->rows, slots), p->tokens);
    assert_true(p->tokens <= p->token_capacity && p->scored <= p->scored_capacity &&
                p->sequences <= p->sequence_capacity);
    check_ids(p, set, p->row_index, slots);
    check_spans(p, slots);
    check_scored(p, set, p->row_index, p->rows, slots, score_prompt);
    check_scatter(p);
}

static void test_random_rows(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct rng r = rng_begin(seed, RNG_TEST);
        struct data_set set = {0};
        bool pairs = seed % 3 != 0, score_prompt = seed % 2;
        for (int i = 0; i < 12; i++) {
            uint32_t prompt = (uint32_t)rng_below(&r, 9), least = prompt ? 1 : 2;
            uint32_t chosen = least + (uint32_t)rng_below(&r, 8);
            add_row(&set, &r, prompt, chosen, pairs ? least + (uint32_t)rng_below(&r, 8) : 0);
        }
        uint32_t longest = 0;
        for (size_t i = 0; i < set.rows.count; i++)
            if (data_row_slots(&set.rows.items[i]) > longest)
                longest = data_row_slots(&set.rows.items[i]);
        struct data_pack p;
        data_pack_init(&p, &(struct data_pack_params){
                               .tokens = longest + (uint32_t)rng_below(&r, MAX_SLOTS - longest),
                               .max_rows = (uint32_t)rng_below(&r, 14),
                               .score_prompt = score_prompt});
        data_pack_clear(&p);
        for (uint32_t i = 0; i < set.rows.count; i++) {
            if (data_pack_add(&p, &set, i)) continue;
            check_pack(&p, &set, score_prompt); // the pack is as it was before
            data_pack_clear(&p);
            assert_true(data_pack_add(&p, &set, i));
        }
        check_pack(&p, &set, score_prompt);
        data_pack_finish(&p);
        data_finish(&set);
    }
}

// Written out by hand: a pair with prompt [7 8], chosen [1 2 3], rejected [4 5].
static void test_layout_of_a_pair(void **state)
{
    (void)state;
    const int32_t ids[] = {7, 8, 1, 2, 3, 4, 5};
    struct data_set set = {0};
    for (int i = 0; i < 7; i++)
        ARRAY_PUSH(&set.ids, ids[i]);
    ARRAY_PUSH(&set.rows, (struct data_row){.line = 1, .prompt = 2, .completion = {3, 2}});
    struct data_pack p;
    data_pack_init(&p, &(struct data_pack_params){.tokens = 16});
    data_pack_clear(&p);
    assert_true(data_pack_add(&p, &set, 0));
    data_pack_close(&p);
    const uint32_t slots[] = {7, 8, 1, 2, 4}, positions[] = {0, 1, 2, 3, 2};
    const uint32_t key_end[] = {5, 5, 4, 4, 5};
    const uint32_t source[] = {1, 2, 3, 1, 4}, target[] = {1, 2, 3, 4, 5};
    assert_int_equal(p.tokens, 5);
    assert_int_equal(p.scored, 5);
    assert_memory_equal(p.ids, slots, sizeof slots);
    assert_memory_equal(p.positions, positions, sizeof positions);
    assert_memory_equal(p.key_end, key_end, sizeof key_end);
    assert_memory_equal(p.scored_slot, source, sizeof source);
    assert_memory_equal(p.scored_target, target, sizeof target);
    data_pack_finish(&p);
    data_finish(&set);
}

static void test_full_capacity(void **state)
{
    (void)state;
    struct rng r = rng_begin(1, RNG_TEST);
    struct data_set set = {0};
    for (int i = 0; i < 9; i++)
        add_row(&set, &r, 1, 1, 1); // one slot, two scored positions: the densest row
    struct data_pack p;
    data_pack_init(&p, &(struct data_pack_params){.tokens = 8});
    data_pack_clear(&p);
    for (uint32_t i = 0; i < 8; i++)
        assert_true(data_pack_add(&p, &set, i));
    assert_false(data_pack_add(&p, &set, 8));
    assert_int_equal(p.scored, 16);
    check_pack(&p, &set, false);
    data_pack_finish(&p);

    data_pack_init(&p, &(struct data_pack_params){.tokens = 8, .max_rows = 3});
    data_pack_clear(&p);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(data_pack_add(&p, &set, i));
    assert_false(data_pack_add(&p, &set, 3));
    data_pack_finish(&p);
    data_finish(&set);
}

static void test_plan_is_first_fit(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct rng r = rng_begin(seed, RNG_TEST);
        struct data_set set = {0};
        uint32_t count = (uint32_t)rng_below(&r, 70), order[70], plan[70], room[70], packs = 0;
        for (uint32_t i = 0; i < count; i++)
            add_row(&set, &r, 1 + (uint32_t)rng_below(&r, 20), 1 + (uint32_t)rng_below(&r, 6), 2);
        rng_permutation(&r, order, count);
        uint32_t made = data_pack_plan(&set, order, count, 40, plan);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t slots = data_row_slots(&set.rows.items[order[i]]), at = 0;
            while (at < packs && room[at] < slots)
                at++;
            if (at == packs) room[packs++] = 40;
            room[at] -= slots;
            assert_int_equal(plan[i], at);
        }
        assert_int_equal(made, packs);
        data_finish(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_rows),
        cmocka_unit_test(test_layout_of_a_pair),
        cmocka_unit_test(test_full_capacity),
        cmocka_unit_test(test_plan_is_first_fit),
    };
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
