// `data check`: counts, lengths, what is dropped and repeated, one example.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process.h"

#include <stdio.h>
#include <string.h>

#define MODEL TEST_FIXTURES "/tiny-gqa"

static struct process p;

static void test_fixture(void **state)
{
    (void)state;
    RUN(&p, "data", "check", TEST_FIXTURES "/prefs.jsonl", "--model", MODEL);
    expect_code(&p, 0);
    expect_out(&p, "16 rows read, 16 kept");
    expect_out(&p, "[[ a blue kite moves by the harbour.<|end|>]]  (21 tokens, 21 scored)");
    expect_out(
        &p,
        "Question: what about the old clock sings near the mill?\\nAnswer:  (41 tokens, 0 scored)");
}

// The number behind a name in the list of counts.
static int count_of(const char *name)
{
    const char *at = strstr(p.out, name);
    int count = -1;
    if (at) sscanf(at + strlen(name), "%d", &count);
    return count;
}

static void test_counts(void **state)
{
    (void)state;
    const char *path = work_write(
        "rows.jsonl", "{\"prompt\": \"a\", \"chosen\": \" x y\", \"rejected\": \" z\"}\n"
                      "{\"prompt\": \"a\", \"chosen\": \" x\", \"rejected\": \" x\"}\n"
                      "{\"prompt\": \"b\", \"chosen\": \" x\", \"rejected\": \" z\"}\n"
                      "{\"prompt\": \"a\", \"chosen\": \" x y\", \"rejected\": \" z\"}\n"
                      "{\"prompt\": \"a\", \"chosen\": \" x y\", \"rejected\": \" z\"}\n");
    RUN(&p, "data", "check", path, "--model", MODEL);
    expect_code(&p, 0);
    expect_out(&p, "5 rows read, 4 kept");
    assert_int_equal(count_of("completions identical"), 1);
    expect_out(&p, "lines 2\n");
    assert_int_equal(count_of("repeated rows (kept)"), 2);
    expect_out(&p, "lines 4, 5\n");
    assert_int_equal(count_of("prompt too long"), 0);
}

// In this tokenizer these letters do not merge: "xyz" and the end token are 4 tokens.
static void test_tokens_beside_padding(void **state)
{
    (void)state;
    const char *path = work_write(
        "padding.jsonl", "{\"prompt\": \"xyz\", \"chosen\": \"bc\", \"rejected\": \"b\"}\n"
                         "{\"prompt\": \"x\", \"chosen\": \"b\", \"rejected\": \"cba\"}\n"
                         "{\"prompt\": \"xy\", \"chosen\": \"bcb\", \"rejected\": \"b\"}\n");
    // lengths 6, 5; 3, 5; 6, 4, whence 29; slots 3+2+1, 1+1+3, 2+3+1
    RUN(&p, "data", "check", path, "--model", MODEL, "--batch_size", "2");
    expect_code(&p, 0);
    assert_int_equal(count_of("padded, in batches of 2"), 36);
    assert_int_equal(count_of("in the rows"), 29);
    assert_int_equal(count_of("computed here"), 17);
    expect_out(&p, "  0.472\n");
    RUN(&p, "data", "check", path, "--model", MODEL, "--batch_size", "1");
    assert_int_equal(count_of("padded, in batches of 1"), 34);
    // as unpaired rows 6, 3, 6 and 5, 5, 4: in file order
    RUN(&p, "data", "check", path, "--model", MODEL, "--batch_size", "2", "--kto");
    expect_out(&p, "6 rows read, 6 kept");
    assert_int_equal(count_of("padded, in batches of 2"), 34);
    assert_int_equal(count_of("computed here"), 23);
    RUN(&p, "data", "check", path, "--model", MODEL, "--batch_size", "0");
    expect_error(&p, 2);
}

static void test_unpaired(void **state)
{
    (void)state;
    const char *path =
        work_write("kto.jsonl", "{\"prompt\": \"a\", \"completion\": \" x y\", \"label\": true}\n"
                                "{\"prompt\": \"a\", \"completion\": \" x y\", \"label\": false}\n"
                                "{\"prompt\": \"a\", \"completion\": \" x y\", \"label\": 1}\n"
                                "{\"prompt\": \"b\", \"completion\": \" x y\", \"label\": true}\n");
    RUN(&p, "data", "check", path, "--model", MODEL, "--kto");
    expect_code(&p, 0);
    assert_int_equal(count_of("  desirable"), 3);
    assert_int_equal(count_of("  undesirable"), 1);
    assert_int_equal(count_of("repeated rows (kept)"), 1); // line 2 says something else
    expect_out(&p, "lines 3\n");
    expect_out(&p, "label    desirable");
    expect_err(&p, "desirable_weight to 0.33 ... 0.44");
    RUN(&p, "data", "check", path, "--model", MODEL);
    expect_error(&p, 2);
    expect_err(&p, "line 1: missing field 'chosen'");
    const char *bad = work_write(
        "label.jsonl", "{\"prompt\": \"a\", \"completion\": \" x\", \"label\": \"yes\"}\n");
    RUN(&p, "data", "check", bad, "--model", MODEL, "--kto");
    expect_error(&p, 2);
    expect_err(&p, "label.jsonl: line 1: 'label'");
    RUN(&p, "data", "check", path, "--model", MODEL, "--kto", "--sft");
    expect_error(&p, 2);
    expect_err(&p, "contradict");
}

static void test_too_long(void **state)
{
    (void)state;
    RUN(&p, "data", "check", TEST_FIXTURES "/prefs.jsonl", "--model", MODEL, "--max_length", "42");
    expect_code(&p, 0);
    assert_true(count_of("prompt too long") > 0);
    assert_true(count_of("cut to max_length") > 0);
    RUN(&p, "data", "check", TEST_FIXTURES "/prefs.jsonl", "--model", MODEL, "--max_length", "2");
    expect_error(&p, 2); // nothing is left
    expect_err(&p, "prefs.jsonl");
}

static void test_mistakes(void **state)
{
    (void)state;
    static const char good[] = "{\"prompt\": \"a\", \"chosen\": \"x\", \"rejected\": \"y\"}\n";
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"{\"prompt\": \"a\", \"chosen\": \"x\"}\n", "rejected"},
        {"{\"prompt\": \"a\", \"chosen\": 3, \"rejected\": \"y\"}\n", "chosen"},
        {"{\"prompt\": \"a\", \"chosen\": \"x\", \"rejected\": \"y\"\n", ""},
        {"{\"prompt\": \"\xC3\", \"chosen\": \"x\", \"rejected\": \"y\"}\n", ""},
        {"3\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s", good, cases[i].line);
        RUN(&p, "data", "check", work_write("bad.jsonl", text), "--model", MODEL);
        expect_error(&p, 2);
        expect_err(&p, "bad.jsonl");
        expect_err(&p, "2"); // the line
        expect_err(&p, cases[i].message);
    }
    RUN(&p, "data", "check", work_write("empty.jsonl", ""), "--model", MODEL);
    expect_error(&p, 2);
    expect_err(&p, "empty.jsonl");
    RUN(&p, "data", "check", work("absent.jsonl"), "--model", MODEL);
    expect_error(&p, 2);
    RUN(&p, "data", "check", "x", "--model", MODEL, "--sft", "--pairs");
    expect_error(&p, 2);
    expect_err(&p, "contradict");
}

static int init(void **state)
{
    (void)state;
    work_init("data-check");
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
        cmocka_unit_test(test_fixture),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_tokens_beside_padding),
        cmocka_unit_test(test_unpaired),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, init, finish);
}
