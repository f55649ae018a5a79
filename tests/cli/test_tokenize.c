// `tokenize`: there and back, the ids of the fixtures, mistakes with their line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "process.h"

#include <stdlib.h>
#include <string.h>

#define MODEL TEST_FIXTURES "/tiny-gqa"
#define MODEL_BOS TEST_FIXTURES "/tiny-llama3"

static struct process p;

static void test_round_trip(void **state)
{
    (void)state;
    static const char lines[] = "{\"text\": \"The river sings.\\n\\tTwice!\"}\n"
                                "{\"text\": \"\"}\n"
                                "{\"text\": \"caf\\u00e9 \\ud83d\\ude00 \\\"quoted\\\"\"}\n";
    static const char want[] = "{\"text\": \"The river sings.\\n\\tTwice!\"}\n"
                               "{\"text\": \"\"}\n"
                               "{\"text\": \"caf\xC3\xA9 \xF0\x9F\x98\x80 \\\"quoted\\\"\"}\n";
    RUN_INPUT(&p, lines, "tokenize", "--model", MODEL);
    expect_code(&p, 0);
    expect_out(&p, "{\"ids\": []}\n");
    char *ids = mem_strdup(p.out);
    RUN_INPUT(&p, ids, "tokenize", "--model", MODEL, "--decode");
    expect_code(&p, 0);
    assert_string_equal(p.out, want);
    // The same from a file.
    RUN(&p, "tokenize", "--model", MODEL, "--decode", "--dataset", work_write("ids.jsonl", ids));
    expect_code(&p, 0);
    assert_string_equal(p.out, want);
    mem_free(ids);
}

// Prompts of the fixture rows against the ids that transformers gave them.
static void test_expected_ids(void **state)
{
    (void)state;
    cJSON *expected = json_parse_file(MODEL "/expected.json", 0);
    assert_non_null(expected);
    struct file_lines lines;
    const char *line;
    size_t len, checked = 0;
    assert_true(file_lines_open(&lines, TEST_FIXTURES "/prefs.jsonl"));
    const cJSON *row = json_get(expected, "rows")->child;
    for (; row; row = row->next) {
        assert_true(file_lines_next(&lines, &line, &len) && line);
        int64_t cut = -1;
        assert_true(json_get_int(row, "prompt_cut", &cut));
        if (cut) continue; // its last tokens are not those of the prompt alone
        cJSON *pref = json_parse(line, len, "prefs");
        struct str input = {0}, want = {0};
        const char *prompt = NULL;
        assert_true(json_get_string(pref, "prompt", &prompt));
        str_append(&input, "{\"text\": ");
        json_append_string(&input, prompt, strlen(prompt));
        str_append(&input, "}\n");
        const cJSON *ids = json_get(json_get(row, "ids"), "prompt")->child;
        for (const cJSON *id = ids; id; id = id->next)
            str_appendf(&want, "%s%d", want.len ? ", " : "{\"ids\": [", id->valueint);
        str_append(&want, "]}\n");
        RUN_INPUT(&p, str_text(&input), "tokenize", "--special", "--model", MODEL);
        expect_code(&p, 0);
        assert_string_equal(p.out, str_text(&want));
        str_finish(&input);
        str_finish(&want);
        cJSON_Delete(pref);
        checked++;
    }
    assert_true(checked >= 8);
    file_lines_close(&lines);
    cJSON_Delete(expected);
}

static void test_special(void **state)
{
    (void)state;
    RUN_INPUT(&p, "{\"text\": \"a\"}\n", "tokenize", "--model", MODEL_BOS);
    char *bare = mem_strdup(p.out);
    RUN_INPUT(&p, "{\"text\": \"a\"}\n", "tokenize", "--model", MODEL_BOS, "--special");
    expect_code(&p, 0);
    assert_true(strlen(p.out) > strlen(bare)); // BOS before it
    char *special = mem_strdup(p.out);
    RUN_INPUT(&p, special, "tokenize", "--model", MODEL_BOS, "--decode");
    assert_string_equal(p.out, "{\"text\": \"a\"}\n");
    RUN_INPUT(&p, special, "tokenize", "--model", MODEL_BOS, "--decode", "--special");
    assert_true(strlen(p.out) > strlen("{\"text\": \"a\"}\n"));
    mem_free(bare);
    mem_free(special);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *input, *option, *message;
    } cases[] = {
        {"{\"text\": 3}\n", NULL, "standard input: line 1: text: expected a string"},
        {"\n{}\n", NULL, "standard input: line 2: expected an object with \"text\""},
        {"[1]\n", NULL, "standard input: line 1"},
        {"{\"text\": \"a\"", NULL, "standard input: line 1"},
        {"{\"text\": \"\xFF\"}\n", NULL, "standard input: line 1"},
        {"{\"text\": \"a\"}\n", "--decode", "expected an object with \"ids\""},
        {"{\"ids\": [1, \"x\"]}\n", "--decode", "no token id"},
        {"{\"ids\": [1.5]}\n", "--decode", "no token id"},
        {"{\"ids\": [-1]}\n", "--decode", "no token id"},
        {"{\"ids\": [100000]}\n", "--decode", "standard input: line 1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RUN_INPUT(&p, cases[i].input, "tokenize", "--model", MODEL, cases[i].option);
        expect_error(&p, 2);
        expect_err(&p, cases[i].message);
    }
    RUN(&p, "tokenize", "--model", work("absent"));
    expect_error(&p, 2);
    expect_err(&p, "absent");
    RUN(&p, "tokenize", "--model", MODEL, "--dataset", work("absent.jsonl"));
    expect_error(&p, 2);
    expect_err(&p, "absent.jsonl");
}

// Lines before a mistake are answered.
static void test_lines_before_a_mistake(void **state)
{
    (void)state;
    RUN_INPUT(&p, "{\"text\": \"a\"}\n{\"text\"\n", "tokenize", "--model", MODEL);
    expect_code(&p, 2);
    expect_out(&p, "{\"ids\": [");
    expect_err(&p, "line 2");
}

static int init(void **state)
{
    (void)state;
    work_init("tokenize");
    return 0;
}

static int finish(void **state)
{
    (void)state;
    process_finish(&p);
    work_finish();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_expected_ids),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_lines_before_a_mistake),
    };
    return cmocka_run_group_tests(tests, init, finish);
}
