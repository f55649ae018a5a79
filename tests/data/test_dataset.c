// Datasets end to end: the fixtures' rows against what PyTorch's side was given, truncation and
// drops, files and folders, failures with their place, real HH data.
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define DIR "test_dataset_files"
#define GQA TEST_FIXTURES "/tiny-gqa"
#define LLAMA3 TEST_FIXTURES "/tiny-llama3"

static struct hf_tokenizer *gqa, *llama3; // no BOS; BOS and a chat template

static int setup(void **state)
{
    (void)state;
    gqa = hf_tokenizer_load(GQA);
    llama3 = hf_tokenizer_load(LLAMA3);
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

static const char *put(const char *name, const char *text)
{
    static char path[4][128];
    static int next;
    char *at = path[next++ % 4];
    snprintf(at, 128, DIR "/%s", name);
    if (!file_write_whole(at, text, strlen(text))) fail_msg("%s", err_message());
    return at;
}

// Loads text as a file, with the settings given.
static bool load_text(struct data_set *set, const char *text, struct data_params params)
{
    err_clear();
    params.path = put("rows.jsonl", text);
    return data_load(set, &params);
}

static void expect_loaded(bool ok)
{
    if (!ok) fail_msg("%s", err_message());
}

// ---- the fixtures' ids ----

static void check_ids(const cJSON *want, const int32_t *ids, uint32_t count)
{
    assert_int_equal(cJSON_GetArraySize(want), count);
    for (const cJSON *id = want->child; id; id = id->next)
        assert_int_equal(id->valueint, *ids++);
}

static void check_fixture(const struct hf_tokenizer *tokenizer, const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/expected.json", folder);
    cJSON *expected = json_parse_file(path, 0);
    assert_non_null(expected);
    struct data_set set;
    expect_loaded(data_load(&set, &(struct data_params){.path = TEST_FIXTURES "/prefs.jsonl",
                                                        .tokenizer = tokenizer,
                                                        .kind = DATA_PAIRS,
                                                        .max_length = 1024}));
    assert_int_equal(set.rows.count, 16);
    size_t merged = 0, i = 0;
    for (const cJSON *r = json_get(expected, "rows")->child; r; r = r->next, i++) {
        const struct data_row *row = &set.rows.items[i];
        const cJSON *ids = json_get(r, "ids");
        assert_int_equal(row->line, i + 1);
        check_ids(json_get(ids, "prompt"), data_prompt_ids(&set, row), row->prompt);
        check_ids(json_get(ids, "chosen"), data_completion_ids(&set, row, 0), row->completion[0]);
        check_ids(json_get(ids, "rejected"), data_completion_ids(&set, row, 1), row->completion[1]);
        merged += json_get(r, "prompt_cut")->valueint > 0;
    }
    assert_int_equal(i, 16);
    assert_int_equal(set.report.boundary_merged, merged);
    assert_true(merged > 0);
    data_finish(&set);
    cJSON_Delete(expected);
}

static void test_fixture_rows(void **state)
{
    (void)state;
    check_fixture(gqa, GQA);
    check_fixture(llama3, LLAMA3);
}

// ---- single rows ----

// The text that a part of row 0 decodes to.
static char *decoded(const struct hf_tokenizer *t, const int32_t *ids, uint32_t count)
{
    struct str text = {0};
    assert_true(hf_tokenizer_decode(t, ids, count, false, &text));
    str_append(&text, "");
    return str_take(&text);
}

static void check_row(const struct hf_tokenizer *t, const struct data_set *set, size_t index,
                      const char *prompt, const char *first, const char *second)
{
    const struct data_row *row = &set->rows.items[index];
    const char *want[3] = {prompt, first, second};
    for (int i = 0; i < 3; i++) {
        if (!want[i]) continue;
        char *got = i ? decoded(t, data_completion_ids(set, row, i - 1), row->completion[i - 1])
                      : decoded(t, data_prompt_ids(set, row), row->prompt);
        assert_string_equal(got, want[i]);
        mem_free(got);
    }
    if (!second) assert_int_equal(row->completion[1], 0);
}

static void test_mixed_forms(void **state)
{
    (void)state;
    struct data_set set;
    const char *text =
        "{\"prompt\": \"Say:\", \"chosen\": \" yes\", \"rejected\": \" no<|end|>\"}\n"
        "\n"
        "{\"chosen\": \"\\n\\nHuman: hi\\n\\nAssistant: a\", \"rejected\": \"\\n\\nHuman: "
        "hi\\n\\nAssistant: b\"}\r\n"
        "{\"chosen\": [{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": \"assistant\", "
        "\"content\": \"a\"}], \"rejected\": [{\"role\": \"user\", \"content\": \"hi\"}, "
        "{\"role\": "
        "\"assistant\", \"content\": \"b\"}]}\n"
        "{\"prompt\": \"<|begin|>Say:\", \"chosen\": \" yes\", \"rejected\": \" no\"}";
    expect_loaded(
        load_text(&set, text, (struct data_params){.tokenizer = llama3, .kind = DATA_PAIRS}));
    assert_int_equal(set.rows.count, 4);
    check_row(llama3, &set, 0, "<|begin|>Say:", " yes<|end|>", " no<|end|>");
    check_row(llama3, &set, 1, "<|begin|>\n\nHuman: hi\n\nAssistant:", " a<|end|>", " b<|end|>");
    // The template brings its own BOS, which must not be doubled, and no end token.
    check_row(llama3, &set, 2, "<|begin|><|user|>\nhi\n<|assistant|>\n", "a\n", "b\n");
    check_row(llama3, &set, 3, "<|begin|>Say:", " yes<|end|>", " no<|end|>"); // BOS once
    assert_int_equal(set.rows.items[1].line, 3);                              // line 2 is blank
    data_finish(&set);
}

static void test_sft_forms(void **state)
{
    (void)state;
    struct data_set set;
    const char *text = "{\"text\": \"all of it\"}\n"
                       "{\"prompt\": \"Say:\", \"completion\": \" yes\"}\n"
                       "{\"prompt\": \"Say:\", \"chosen\": \" yes\", \"rejected\": \" yes\"}\n"
                       "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": "
                       "\"assistant\", \"content\": \"a\"}]}\n"
                       "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n";
    struct data_params params = {.tokenizer = llama3, .kind = DATA_TEXTS, .completion_only = true};
    expect_loaded(load_text(&set, text, params));
    assert_int_equal(set.rows.count, 4);
    check_row(llama3, &set, 0, "<|begin|>", "all of it<|end|>", NULL);
    check_row(llama3, &set, 1, "<|begin|>Say:", " yes<|end|>", NULL);
    check_row(llama3, &set, 2, "<|begin|>Say:", " yes<|end|>", NULL);
    check_row(llama3, &set, 3, "<|begin|><|user|>\nhi\n<|assistant|>\n", "a\n", NULL);
    assert_int_equal(set.report.empty.count, 1); // the assistant says nothing
    assert_int_equal(set.report.empty.items[0].line, 5);
    data_finish(&set);

    params.completion_only = false; // then all of it is a text like any other
    expect_loaded(load_text(&set, text, params));
    assert_int_equal(set.rows.count, 5);
    check_row(llama3, &set, 4, "<|begin|>", "<|user|>\nhi\n", NULL);
    data_finish(&set);

    params.tokenizer = gqa; // without BOS
    expect_loaded(load_text(&set, "{\"text\": \"all\"}\n{\"text\": \"\"}\n", params));
    check_row(gqa, &set, 0, "", "all<|end|>", NULL);
    assert_int_equal(set.rows.count, 1); // a lone end token has nothing before it to predict it
    assert_int_equal(set.report.empty.count, 1);
    data_finish(&set);
}

// ---- truncation and drops ----

// A row cut by the plain rule. For a prompt and each completion: ids kept, after `head` from the
// front.
struct cut {
    uint32_t head, prompt, completion[2];
    const int32_t *prompt_end, *begin[2]; // where the kept prompt ends; where completions begin
};

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static struct cut cut_row(const struct data_set *set, const struct data_row *row, uint32_t max,
                          bool keep_end, bool has_bos)
{
    struct cut c = {.head = 0, .prompt = row->prompt};
    uint32_t longer = least(max, row->completion[0] > row->completion[1] ? row->completion[0]
                                                                         : row->completion[1]);
    if (keep_end && row->prompt + longer > max) {
        c.prompt = max - longer > 1 ? max - longer : 1;
        c.head = has_bos;
    }
    c.prompt_end = data_prompt_ids(set, row) + row->prompt;
    for (int w = 0; w < 2; w++) {
        c.completion[w] = c.prompt < max ? least(row->completion[w], max - c.prompt) : 0;
        c.begin[w] = data_completion_ids(set, row, w) +
                     (keep_end ? row->completion[w] - c.completion[w] : 0);
    }
    return c;
}

static bool is_kept(const struct cut *c, uint32_t max)
{
    return c->prompt < max &&
           (c->completion[0] != c->completion[1] ||
            memcmp(c->begin[0], c->begin[1], c->completion[0] * sizeof(int32_t)) != 0);
}

static void check_cut(const struct data_set *full, const struct data_params *params, bool has_bos)
{
    struct data_set set;
    size_t at = 0;
    expect_loaded(data_load(&set, params));
    for (size_t i = 0; i < full->rows.count; i++) {
        const struct data_row *f = &full->rows.items[i];
        struct cut c =
            cut_row(full, f, params->max_length, params->truncation == DATA_KEEP_END, has_bos);
        bool kept = at < set.rows.count && set.rows.items[at].line == f->line;
        assert_int_equal(kept, is_kept(&c, params->max_length));
        if (!kept) continue;
        const struct data_row *row = &set.rows.items[at++];
        assert_int_equal(row->prompt, c.prompt);
        const int32_t *prompt = data_prompt_ids(&set, row);
        assert_memory_equal(prompt, data_prompt_ids(full, f), c.head * sizeof *prompt);
        uint32_t rest = c.prompt - c.head;
        assert_memory_equal(prompt + c.head, c.prompt_end - rest, rest * sizeof *prompt);
        for (int w = 0; w < 2; w++) {
            assert_int_equal(row->completion[w], c.completion[w]);
            assert_memory_equal(data_completion_ids(&set, row, w), c.begin[w],
                                c.completion[w] * sizeof *prompt);
        }
    }
    assert_int_equal(at, set.rows.count);
    assert_true(set.report.longest <= params->max_length);
    data_finish(&set);
}

static void test_truncation(void **state)
{
    (void)state;
    struct data_set full;
    struct data_params params = {.path = TEST_FIXTURES "/prefs.jsonl", .kind = DATA_PAIRS};
    for (int k = 0; k < 2; k++) {
        params.tokenizer = k ? llama3 : gqa;
        params.max_length = 0;
        expect_loaded(data_load(&full, &params));
        for (params.max_length = 4; params.max_length < 120; params.max_length += 5) {
            params.truncation = DATA_KEEP_START;
            check_cut(&full, &params, k == 1);
            params.truncation = DATA_KEEP_END;
            check_cut(&full, &params, k == 1);
        }
        data_finish(&full);
    }
}

static void test_drops(void **state)
{
    (void)state;
    struct data_set set;
    const char *text = "{\"prompt\": \"a b c d e f g h i j k l m n o p\", \"chosen\": \" x\", "
                       "\"rejected\": \" y\"}\n"
                       "{\"prompt\": \"a\", \"chosen\": \" x\", \"rejected\": \" x<|end|>\"}\n"
                       "{\"prompt\": \"a\", \"chosen\": \" x y z x y z x y z one\", \"rejected\": "
                       "\" x y z x y z x y z two\"}\n"
                       "{\"prompt\": \"\", \"chosen\": \"\", \"rejected\": \"x\"}\n"
                       "{\"prompt\": \"a\", \"chosen\": \" x\", \"rejected\": \" y\"}\n";
    struct data_params params = {.tokenizer = gqa, .kind = DATA_PAIRS, .max_length = 8};
    expect_loaded(load_text(&set, text, params));
    assert_int_equal(set.report.read, 5);
    assert_int_equal(set.report.kept, 1);
    assert_int_equal(set.rows.items[0].line, 5);
    assert_int_equal(set.report.prompt_too_long.count, 1);
    assert_int_equal(set.report.prompt_too_long.items[0].line, 1);
    assert_int_equal(set.report.identical.count, 2); // 2: as given, 3: once cut
    assert_int_equal(set.report.identical.items[0].line, 2);
    assert_int_equal(set.report.identical.items[1].line, 3);
    assert_int_equal(set.report.empty.count, 1);
    assert_int_equal(set.report.empty.items[0].line, 4);
    assert_int_equal(set.report.truncated, 0); // of the rows kept
    data_finish(&set);
}

// ---- files ----

static void test_folder_and_gzip(void **state)
{
    (void)state;
    assert_true(file_make_dirs(DIR "/folder"));
    static const char row[] = "{\"prompt\": \"p%d\", \"chosen\": \" x\", \"rejected\": \" y\"}\n";
    char text[200];
    snprintf(text, sizeof text, row, 2);
    put("folder/b.jsonl", text);
    put("folder/README.md", "not data");
    gzFile gz = gzopen(DIR "/folder/a.jsonl.gz", "wb");
    gzprintf(gz, row, 0);
    gzprintf(gz, row, 1);
    assert_int_equal(gzclose(gz), Z_OK);
    struct data_set set;
    struct data_params params = {.path = DIR "/folder", .tokenizer = gqa, .kind = DATA_PAIRS};
    expect_loaded(data_load(&set, &params));
    assert_int_equal(set.file_count, 2);
    assert_int_equal(set.rows.count, 3);
    check_row(gqa, &set, 0, "p0", " x<|end|>", " y<|end|>");
    check_row(gqa, &set, 2, "p2", " x<|end|>", " y<|end|>");
    assert_int_equal(set.rows.items[2].file, 1);
    assert_int_equal(set.rows.items[2].line, 1);
    assert_non_null(strstr(set.files[1], "b.jsonl"));
    data_finish(&set);

    put("folder/b.jsonl", "{\"prompt\": \"p\", \"chosen\": 1}\n");
    err_clear();
    assert_false(data_load(&set, &params));
    assert_non_null(strstr(err_message(), "b.jsonl: line 1: 'chosen'"));
}

// ---- failures ----

static void expect_failure(const char *text, struct data_params params, const char *where,
                           const char *what)
{
    struct data_set set;
    if (load_text(&set, text, params)) fail_msg("loaded: %s", text);
    assert_int_equal(err_current(), ERR_USER);
    if (!strstr(err_message(), where) || !strstr(err_message(), what) ||
        !strstr(err_message(), "rows.jsonl"))
        fail_msg("not '%s' and '%s' in: %s", where, what, err_message());
    assert_null(set.rows.items); // nothing left behind
}

#define GOOD "{\"prompt\": \"a\", \"chosen\": \" x\", \"rejected\": \" y\"}\n"

static void test_failures(void **state)
{
    (void)state;
    struct data_params p = {.tokenizer = gqa, .kind = DATA_PAIRS};
    expect_failure("", p, "rows.jsonl", "empty");
    expect_failure("\n\n  \n", p, "rows.jsonl", "empty");
    expect_failure(GOOD "{\"prompt\": \"a\", \"chosen\"\n", p, "line 2, column", "");
    expect_failure(GOOD GOOD "{\"prompt\": \"\xFF\"}\n", p, "line 3", "UTF-8");
    expect_failure(GOOD "{\"prompt\": \"a\", \"chosen\": \" x\"}\n", p, "line 2:", "'rejected'");
    expect_failure(GOOD "[1, 2]\n", p, "line 2:", "found a list");
    expect_failure(GOOD "{\"prompt\": 7, \"chosen\": \" x\", \"rejected\": \" y\"}\n", p,
                   "line 2: 'prompt'", "found a number");
    expect_failure("{\"prompt\": \"a\", \"completion\": \"b\", \"label\": true}\n", p,
                   "line 1:", "found: prompt, completion, label");
    expect_failure("{\"chosen\": [{\"role\": \"user\", \"content\": \"q\"}], \"rejected\": []}\n",
                   p, "line 1:", "chat template");
    // The first failure in the file, whichever thread meets one first.
    struct str many = {0};
    for (int i = 0; i < 3000; i++)
        str_append(&many, i % 500 == 499 ? "{\"chosen\": 1}\n" : GOOD);
    expect_failure(str_text(&many), p, "line 500:", "'chosen'");
    str_finish(&many);

    p.max_length = 2;
    expect_failure("{\"prompt\": \"a b c d\", \"chosen\": \"x\", \"rejected\": \"y\"}\n"
                   "{\"prompt\": \"\", \"chosen\": \"x\", \"rejected\": \"x\"}\n",
                   p, "every row was dropped (2 of 2)", "max_length (2)");

    err_clear();
    struct data_set set;
    p.path = DIR "/absent.jsonl";
    assert_false(data_load(&set, &p));
    assert_int_equal(err_current(), ERR_USER);
    assert_true(file_make_dirs(DIR "/nothing"));
    p.path = DIR "/nothing";
    assert_false(data_load(&set, &p));
    assert_non_null(strstr(err_message(), "no file in this folder"));
}

static void test_cut_gzip(void **state)
{
    (void)state;
    gzFile gz = gzopen(DIR "/cut.jsonl.gz", "wb");
    for (int i = 0; i < 200; i++)
        gzputs(gz, GOOD);
    assert_int_equal(gzclose(gz), Z_OK);
    size_t len;
    char *bytes = file_read(DIR "/cut.jsonl.gz", 0, &len);
    struct data_set set;
    struct data_params p = {.path = DIR "/cut.jsonl.gz", .tokenizer = gqa, .kind = DATA_PAIRS};
    for (size_t n = 3; n < len; n += 5) {
        assert_true(file_write_whole(DIR "/cut.jsonl.gz", bytes, n));
        err_clear();
        assert_false(data_load(&set, &p));
        assert_int_equal(err_current(), ERR_USER);
        assert_non_null(strstr(err_message(), "cut.jsonl.gz"));
    }
    mem_free(bytes);
}

// ---- real data ----

static void test_hh(void **state)
{
    (void)state;
    static const char path[] = TEST_SHARED "/hh/train.jsonl.gz";
    if (!file_exists(path)) {
        print_message("skipped: %s is not there\n", path);
        return;
    }
    struct hf_tokenizer *t = hf_tokenizer_load(TEST_SHARED "/models/hh-llama");
    if (!t) fail_msg("%s", err_message());
    struct data_set set;
    struct data_params p = {.path = path, .tokenizer = t, .kind = DATA_PAIRS};
    expect_loaded(data_load(&set, &p));
    assert_int_equal(set.report.read, 1900);
    assert_int_equal(set.report.kept, 1900);
    assert_int_equal(set.report.boundary_merged, 0);
    for (size_t i = 0; i < set.rows.count; i++) {
        const struct data_row *row = &set.rows.items[i];
        char *prompt = decoded(t, data_prompt_ids(&set, row), row->prompt);
        assert_true(str_starts_with(prompt, "\n\nHuman:"));
        assert_true(str_ends_with(prompt, "\n\nAssistant:"));
        mem_free(prompt);
        for (int w = 0; w < 2; w++) {
            char *text = decoded(t, data_completion_ids(&set, row, w), row->completion[w]);
            assert_true(str_ends_with(text, "<|endoftext|>"));
            mem_free(text);
        }
    }
    data_log_report(&set, path);
    data_finish(&set);
    p.max_length = 64;
    expect_loaded(data_load(&set, &p));
    assert_int_equal(set.report.kept + set.report.prompt_too_long.count +
                         set.report.identical.count + set.report.empty.count,
                     1900);
    data_log_report(&set, path);
    data_finish(&set);
    hf_tokenizer_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixture_rows), cmocka_unit_test(test_mixed_forms),
        cmocka_unit_test(test_sft_forms),    cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_drops),        cmocka_unit_test(test_folder_and_gzip),
        cmocka_unit_test(test_failures),     cmocka_unit_test(test_cut_gzip),
        cmocka_unit_test(test_hh),
    };
    return cmocka_run_group_tests_name("dataset", tests, setup, teardown);
}
