// The option parser, on tables of its own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option first[] = {
    {"model", CLI_TEXT, "DIR", .required = true, .help = "a folder"},
    {"top_p", CLI_NUMBER, "X", "0.5", 0, 1, .help = "a share"},
    {"steps", CLI_INT, "N", "-1", -1, 100, .help = "a count"},
    {"kind", CLI_CHOICE, "red|green", "red", .help = "a word"},
    {0},
};
static const struct cli_option second[] = {
    {"json", CLI_FLAG, .help = "a flag"},
    {"resume", CLI_TEXT, "PATH", .bare = "true", .help = "with or without a value"},
    {0},
};
static const struct cli_option *const tables[] = {first, second};

static bool takes_other(const char *name)
{
    return strcmp(name, "foreign") == 0;
}

// Parses words that end with NULL.
static bool parse(struct cli_args *args, const char *positional, char *const *words)
{
    int count = 0;
    while (words[count])
        count++;
    const struct cli_syntax syntax = {.command = "cook",
                                      .tables = tables,
                                      .table_count = 2,
                                      .positional = positional,
                                      .takes_other = takes_other};
    err_clear();
    return cli_parse(args, &syntax, count, words);
}
#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static void test_values(void **state)
{
    (void)state;
    struct cli_args args;
    assert_true(parse(&args, NULL,
                      WORDS("--model", "m", "--top-p=0.25", "--steps", "-1", "--json", "--kind",
                            "green", "--resume")));
    assert_string_equal(cli_text(&args, "model"), "m");
    assert_true(cli_number(&args, "top_p") == 0.25);
    assert_int_equal(cli_int(&args, "steps"), -1);
    assert_string_equal(cli_text(&args, "kind"), "green");
    assert_string_equal(cli_text(&args, "resume"), "true");
    assert_true(cli_flag(&args, "json") && cli_given(&args, "steps"));
    cli_args_finish(&args);

    assert_true(parse(&args, NULL, WORDS("--model=--odd=1", "--resume", "here")));
    assert_string_equal(cli_text(&args, "model"), "--odd=1");
    assert_string_equal(cli_text(&args, "resume"), "here");
    assert_true(cli_number(&args, "top_p") == 0.5);
    assert_string_equal(cli_text(&args, "kind"), "red");
    assert_false(cli_flag(&args, "json") || cli_given(&args, "steps"));
    cli_args_finish(&args);

    assert_true(parse(&args, NULL, WORDS("--model", "", "--resume", "--json")));
    assert_string_equal(cli_text(&args, "model"), "");
    assert_string_equal(cli_text(&args, "resume"), "true");
    cli_args_finish(&args);
}

static void test_positional(void **state)
{
    (void)state;
    struct cli_args args;
    assert_true(parse(&args, "FILE", WORDS("--model", "m", "f")));
    assert_string_equal(args.positional, "f");
    cli_args_finish(&args);
    assert_true(parse(&args, "FILE", WORDS("--model", "m", "--", "--json")));
    assert_string_equal(args.positional, "--json");
    assert_false(cli_flag(&args, "json"));
    cli_args_finish(&args);
    assert_true(parse(&args, "[NAME]", WORDS("--model", "m")));
    assert_null(args.positional);
    cli_args_finish(&args);
}

static void test_others(void **state)
{
    (void)state;
    struct cli_args args;
    assert_true(parse(&args, NULL, WORDS("--model", "m", "--foreign", "x")));
    assert_int_equal(args.others.count, 1);
    assert_string_equal(args.others.items[0].name, "foreign");
    assert_string_equal(args.others.items[0].text, "x");
    cli_args_finish(&args);
}

static void test_mistakes(void **state)
{
    (void)state;
    static const struct {
        char *words[8];
        const char *positional, *message;
    } cases[] = {
        {{"--json"}, NULL, "cook needs --model DIR"},
        {{"--model"}, NULL, "--model needs a value"},
        {{"--model", "--json"}, NULL, "--model needs a value"},
        {{"--modle", "m"}, NULL, "did you mean '--model'?"},
        {{"--zzzzzzzz", "m"}, NULL, "has no option '--zzzzzzzz'"},
        {{"--model", "m", "--model", "n"}, NULL, "--model is given twice"},
        {{"--model", "m", "--json", "--json"}, NULL, "--json is given twice"},
        {{"--model", "m", "--top_p", "1", "--top-p", "1"}, NULL, "--top_p is given twice"},
        {{"--model", "m", "--foreign", "1", "--foreign=2"}, NULL, "--foreign is given twice"},
        {{"--model", "m", "--json=1"}, NULL, "--json takes no value"},
        {{"--model", "m", "--top_p", "1.5"}, NULL, "--top_p: 1.5 is out of range: from 0 to 1"},
        {{"--model", "m", "--top_p", "nan"}, NULL, "expected a number, not 'nan'"},
        {{"--model", "m", "--top_p", "1x"}, NULL, "expected a number, not '1x'"},
        {{"--model", "m", "--top_p="}, NULL, "expected a number, not ''"},
        {{"--model", "m", "--steps", "1.5"}, NULL, "expected a whole number, not '1.5'"},
        {{"--model", "m", "--steps", " 1"}, NULL, "expected a whole number, not ' 1'"},
        {{"--model", "m", "--steps", "99999999999999999999"}, NULL, "out of range: from -1 to 100"},
        {{"--model", "m", "--kind", "gree"}, NULL, "--kind: 'gree' is not one of red|green"},
        {{"--model", "m", "x"}, NULL, "cook takes no argument"},
        {{"--model", "m", "-x"}, NULL, "options begin with two dashes"},
        {{"--model", "m"}, "FILE", "cook needs a FILE"},
        {{"--model", "m", "a", "b"}, "FILE", "cook takes one FILE: what is 'b'?"},
        {{"--model", "m", "--=3"}, NULL, "has no option '--'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cli_args args;
        bool ok = parse(&args, cases[i].positional, cases[i].words);
        cli_args_finish(&args);
        if (ok || err_current() != ERR_USER || !strstr(err_message(), cases[i].message))
            fail_msg("case %zu: wanted '%s', got '%s'", i, cases[i].message,
                     ok ? "success" : err_message());
    }
}

static void test_help(void **state)
{
    (void)state;
    static const char want[] = "  --model DIR       a folder (required)\n"
                               "  --top_p X         a share (default 0.5)\n"
                               "  --steps N         a count (default -1)\n"
                               "  --kind red|green  a word (default red)\n";
    struct str out = {0};
    cli_options_help(first, &out);
    assert_string_equal(str_text(&out), want);
    str_clear(&out);
    cli_options_help(second, &out);
    assert_string_equal(str_text(&out), "  --json           a flag\n"
                                        "  --resume [PATH]  with or without a value\n");
    str_finish(&out);
}

static void test_help_wraps(void **state)
{
    (void)state;
    static const struct cli_option table[] = {
        {"a_very_long_name_indeed_of_an_option", CLI_INT, "N",
         .help = "text that goes on and on and on and on and on and on and on and on, past the end "
                 "of the line"},
        {"short", CLI_FLAG, .help = "no"},
        {0},
    };
    struct str out = {0};
    cli_options_help(table, &out);
    size_t width = 0, longest = 0;
    for (const char *c = out.data; *c; c++) {
        width = *c == '\n' ? 0 : width + 1;
        if (width > longest) longest = width;
    }
    assert_true(longest <= 80);
    assert_non_null(strstr(out.data, "option N\n           text that"));
    assert_non_null(strstr(out.data, "end of the line\n") || strstr(out.data, "\n           "));
    str_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_positional),
        cmocka_unit_test(test_others), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_help),   cmocka_unit_test(test_help_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
