// Unpaired rows: the order in which pairs become them, their labels, drops and balance; mismatched
// rows against what cutting the whole completions gives.
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define DIR "test_unpaired_files"

static struct hf_tokenizer *gqa, *llama3; // no BOS; BOS and a chat template

static int setup(void **state)
{
    (void)state;
    gqa = hf_tokenizer_load(TEST_FIXTURES "/tiny-gqa");
    llama3 = hf_tokenizer_load(TEST_FIXTURES "/tiny-llama3");
    if (!gqa || !llama3) fail_msg("%s", err_message());
    return file_remove_tree(DIR) && file_make_dirs(DIR) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    hf_tokenizer_destroy(gqa);
    hf_tokenizer_destroy(llama3);
    return file_remove_tree(DIR) ? 0 : -1;
}

static void load(struct data_set *set, const char *text, struct data_params params)
{
    params.path = DIR "/rows.jsonl";
    params.kind = DATA_UNPAIRED;
    if (!file_write_whole(params.path, text, strlen(text)) || !data_load(set, &params))
        fail_msg("%s", err_message());
}

static void expect_part(const struct hf_tokenizer *t, const int32_t *ids, uint32_t count,
                        const char *want)
{
    struct str got = {0};
    assert_true(hf_tokenizer_decode(t, ids, count, false, &got));
    assert_string_equal(str_text(&got), want);
    str_finish(&got);
}

static void expect_row(const struct hf_tokenizer *t, const struct data_set *set, size_t index,
                       const char *prompt, const char *completion, uint32_t label)
{
    const struct data_row *row = &set->rows.items[index];
    expect_part(t, data_prompt_ids(set, row), row->prompt, prompt);
    expect_part(t, data_completion_ids(set, row, 0), row->completion[0], completion);
    assert_int_equal(row->completion[1], 0);
    assert_int_equal(row->label, label);
}

static void test_rows_and_labels(void **state)
{
    (void)state;
    struct data_set set;
    load(&set,
         "{\"prompt\": \"Say:\", \"completion\": \" yes\", \"label\": true}\n"
         "{\"prompt\": \"Say:\", \"completion\": \" no<|end|>\", \"label\": 0}\n"
         "{\"prompt\": [{\"role\": \"user\", \"content\": \"hi\"}], \"completion\": [{\"role\": "
         "\"assistant\", \"content\": \"a\"}], \"label\": false}\n"
         "{\"completion\": [{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": \"assistant\", "
         "\"content\": \"b\"}], \"label\": 1}\n",
         (struct data_params){.tokenizer = llama3});
    assert_int_equal(set.rows.count, 4);
    expect_row(llama3, &set, 0, "<|begin|>Say:", " yes<|end|>", 1);
    expect_row(llama3, &set, 1, "<|begin|>Say:", " no<|end|>", 0);
    expect_row(llama3, &set, 2, "<|begin|><|user|>\nhi\n<|assistant|>\n", "a\n", 0);
    expect_row(llama3, &set, 3, "<|begin|><|user|>\nhi\n<|assistant|>\n", "b\n", 1);
    assert_int_equal(set.report.desirable, 2);
    assert_int_equal(set.report.undesirable, 2);
    data_finish(&set);
}

// Each half of a pair is tokenised against the prompt alone, and is kept or dropped alone; halves
// that are the same are two rows that contradict each other, as in TRL.
static void test_pairs_become_two_rows(void **state)
{
    (void)state;
    struct data_set set;
    load(&set,
         "{\"prompt\": \"p\", \"chosen\": \" x\", \"rejected\": \" y\"}\n"
         "{\"prompt\": \"\", \"chosen\": \"\", \"rejected\": \"z\"}\n"
         "{\"prompt\": \"q\", \"chosen\": \" same\", \"rejected\": \" same\"}\n"
         "{\"prompt\": \"r\", \"completion\": \" single\", \"label\": false}\n",
         (struct data_params){.tokenizer = gqa});
    assert_int_equal(set.rows.count, 6);
    expect_row(gqa, &set, 0, "p", " x<|end|>", 1);
    expect_row(gqa, &set, 1, "q", " same<|end|>", 1);
    expect_row(gqa, &set, 2, "r", " single<|end|>", 0);
    expect_row(gqa, &set, 3, "p", " y<|end|>", 0);
    expect_row(gqa, &set, 4, "", "z<|end|>", 0);
    expect_row(gqa, &set, 5, "q", " same<|end|>", 0);
    assert_int_equal(set.report.read, 7);
    assert_int_equal(set.report.kept, 6);
    assert_int_equal(set.report.empty.count, 1);
    assert_int_equal(set.report.empty.items[0].line, 2);
    assert_int_equal(set.report.desirable, 2);
    assert_int_equal(set.report.undesirable, 4);
    data_finish(&set);
}

// Of every 1,000 records, whatever the batches they are read in, first the chosen.
static void test_order_of_many_pairs(void **state)
{
    (void)state;
    enum { RECORDS = 5300, BLOCK = 1000 };
    struct str text = {0};
    for (int i = 0; i < RECORDS; i++)
        str_appendf(&text, "{\"prompt\": \"p\", \"chosen\": \" a%d\", \"rejected\": \" b%d\"}\n", i,
                    i);
    struct data_set set;
    load(&set, str_text(&text), (struct data_params){.tokenizer = gqa});
    assert_int_equal(set.rows.count, 2 * RECORDS);
    for (size_t i = 0; i < 2 * RECORDS; i++) {
        size_t block = i / (2 * BLOCK), first = block * BLOCK, in = i % (2 * BLOCK);
        size_t size = RECORDS - first < BLOCK ? RECORDS - first : BLOCK;
        size_t record = first + in % size;
        char want[32];
        snprintf(want, sizeof want, " %c%zu<|end|>", in < size ? 'a' : 'b', record);
        expect_row(gqa, &set, i, "p", want, in < size);
        assert_int_equal(set.rows.items[i].line, record + 1);
    }
    data_finish(&set);
    str_finish(&text);
}

// ---- balance ----

static void expect_range(const double got[2], double least, double most)
{
    if (got[0] != least || got[1] != most)
        fail_msg("%g ... %g is not %g ... %g", got[0], got[1], least, most);
}

// Values from TRL's expressions, by Python.
static void test_balance(void **state)
{
    (void)state;
    struct data_report r = {.desirable = 300, .undesirable = 700};
    struct data_weight_ranges w = data_weight_ranges(&r, 1, 1);
    expect_range(w.desirable, 2.33, 3.1);
    expect_range(w.undesirable, 0.32, 0.43);
    w = data_weight_ranges(&r, 1.5, 0.8);
    expect_range(w.desirable, 1.87, 2.48);
    expect_range(w.undesirable, 0.48, 0.64);
    assert_false(data_check_balance(&r, 1, 1));
    assert_true(data_check_balance(&r, 2.5, 1));
    assert_true(data_check_balance(&r, 1, 0.4));
    assert_false(data_check_balance(&r, 2.5, 0.4)); // not both
    r = (struct data_report){.desirable = 40, .undesirable = 40};
    assert_true(data_check_balance(&r, 7, 1));
    // 0.125 and 0.375: a tie goes to the even hundredth
    r = (struct data_report){.desirable = 8, .undesirable = 1};
    w = data_weight_ranges(&r, 1, 1);
    expect_range(w.desirable, 0.12, 0.17);
    expect_range(w.undesirable, 6.02, 8);
    r = (struct data_report){.desirable = 5};
    assert_false(data_check_balance(&r, 1, 1));
}

// ---- mismatched rows ----

static void expect_ids(const int32_t *got, const int32_t *want, uint32_t count)
{
    assert_memory_equal(got, want, count * sizeof *got);
}

// `full` holds the rows uncut; `set` the same rows cut to `max`, some dropped. What TRL does: the
// whole prompt and the whole completion of the other row, then the first `max` of them.
static void check_keep_start(const struct data_set *full, const struct data_set *set,
                             const uint32_t *order, uint32_t count, uint32_t max)
{
    struct data_set out;
    data_mismatched(&out, set, order, count, max);
    assert_int_equal(out.rows.count, count);
    uint32_t longest = data_mismatched_longest(set, max);
    for (uint32_t i = 0; i < count; i++) {
        const struct data_row *got = &out.rows.items[i], *own = &set->rows.items[order[i]];
        const struct data_row *other = &set->rows.items[order[(i + count - 1) % count]];
        const struct data_row *a = &full->rows.items[own->line - 1];
        const struct data_row *b = &full->rows.items[other->line - 1];
        uint32_t room = (max ? max : UINT32_MAX) - a->prompt;
        uint32_t n = b->completion[0] < room ? b->completion[0] : room;
        assert_int_equal(got->prompt, a->prompt);
        assert_int_equal(got->completion[0], n);
        expect_ids(data_prompt_ids(&out, got), data_prompt_ids(full, a), a->prompt);
        expect_ids(data_completion_ids(&out, got, 0), data_completion_ids(full, b, 0), n);
        assert_int_equal(got->label, own->label);
        assert_int_equal(got->line, own->line);
        assert_string_equal(out.files[got->file], set->files[own->file]);
        assert_true(data_row_slots(got) <= longest);
    }
    data_finish(&out);
}

// As the header says for DATA_KEEP_END: parts as in the set; the prompt gives way first.
static void check_keep_end(const struct data_set *set, const uint32_t *order, uint32_t count,
                           uint32_t max)
{
    struct data_set out;
    data_mismatched(&out, set, order, count, max);
    for (uint32_t i = 0; i < count; i++) {
        const struct data_row *got = &out.rows.items[i], *own = &set->rows.items[order[i]];
        const struct data_row *other = &set->rows.items[order[(i + count - 1) % count]];
        uint32_t n = other->completion[0], p = own->prompt, least = p ? 1 : 0;
        if (p + n > max) p = max > n + least ? max - n : least;
        uint32_t head = set->has_bos && own->prompt ? 1 : 0, kept = n < max - p ? n : max - p;
        assert_int_equal(got->prompt, p);
        assert_int_equal(got->completion[0], kept);
        expect_ids(data_prompt_ids(&out, got), data_prompt_ids(set, own), head);
        expect_ids(data_prompt_ids(&out, got) + head,
                   data_prompt_ids(set, own) + own->prompt - (p - head), p - head);
        expect_ids(data_completion_ids(&out, got, 0), data_completion_ids(set, other, 0) + n - kept,
                   kept);
    }
    data_finish(&out);
}

static void append_words(struct str *text, struct rng *r, uint64_t most)
{
    for (uint64_t n = rng_below(r, most + 1); n; n--)
        str_append(text, rng_below(r, 2) ? " mill" : " bird");
}

static void test_mismatched_rows(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct rng r = rng_begin(seed, RNG_TEST);
        struct str text = {0};
        for (int i = 0; i < 24; i++) {
            str_append(&text, "{\"prompt\": \"");
            append_words(&text, &r, 12);
            str_append(&text, "\", \"completion\": \"");
            append_words(&text, &r, 30);
            str_appendf(&text, "\", \"label\": %d}\n", (int)rng_below(&r, 2));
        }
        struct data_params p = {.tokenizer = seed % 2 ? gqa : llama3};
        struct data_set full, set;
        load(&full, str_text(&text), p);
        // Rows that have nothing to score are dropped uncut too, and `full` is found by line.
        bool complete = full.rows.count == 24;
        uint32_t order[24];
        p.max_length = seed % 5 ? 10 + (uint32_t)rng_below(&r, 60) : 0;
        load(&set, str_text(&text), p);
        for (uint32_t count = 1; complete && count <= set.rows.count; count += 5) {
            rng_permutation(&r, order, set.rows.count);
            check_keep_start(&full, &set, order, count, p.max_length);
        }
        data_finish(&set);
        p.truncation = DATA_KEEP_END;
        load(&set, str_text(&text), p);
        for (uint32_t count = 1; p.max_length && count <= set.rows.count; count += 5) {
            rng_permutation(&r, order, set.rows.count);
            check_keep_end(&set, order, count, p.max_length);
        }
        data_finish(&set);
        data_finish(&full);
        str_finish(&text);
    }
}

// The shortest there can be: no prompt, and the one token of another row.
static void test_nothing_scored(void **state)
{
    (void)state;
    struct data_set set, out;
    load(&set,
         "{\"prompt\": \"p\", \"completion\": \"\", \"label\": 1}\n"
         "{\"prompt\": \"\", \"completion\": \"x\", \"label\": 1}\n",
         (struct data_params){.tokenizer = gqa});
    assert_int_equal(set.rows.count, 2);
    const uint32_t order[] = {0, 1};
    data_mismatched(&out, &set, order, 2, 0);
    assert_int_equal(out.rows.items[1].prompt, 0);
    assert_int_equal(out.rows.items[1].completion[0], 1);
    assert_int_equal(data_row_slots(&out.rows.items[1]), 1);
    struct data_pack pack;
    data_pack_init(&pack, &(struct data_pack_params){.tokens = 4});
    data_pack_clear(&pack);
    assert_true(data_pack_add(&pack, &out, 1) && data_pack_add(&pack, &out, 0));
    data_pack_close(&pack);
    const uint32_t first[] = {0, 0, pack.scored};
    assert_memory_equal(pack.sequence_first, first, sizeof first);
    assert_int_equal(pack.spans[0].own_end, 1);
    assert_int_equal(pack.key_end[0], 1);
    data_pack_finish(&pack);
    data_finish(&out);
    data_finish(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_and_labels),     cmocka_unit_test(test_pairs_become_two_rows),
        cmocka_unit_test(test_order_of_many_pairs), cmocka_unit_test(test_balance),
        cmocka_unit_test(test_mismatched_rows),     cmocka_unit_test(test_nothing_scored),
    };
    return cmocka_run_group_tests_name("unpaired", tests, setup, teardown);
}
