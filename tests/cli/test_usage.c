// Help, unknown names, exit codes, standard output that cannot be written.
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct process p;

static void test_help(void **state)
{
    (void)state;
    static const char *const commands[] = {"devices",  "doctor",   "init", "train",     "eval",
                                           "generate", "tokenize", "help", "data check"};
    RUN(&p, "--help");
    expect_code(&p, 0);
    assert_string_equal(p.err, "");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        expect_out(&p, commands[i]);
    char *by_option = mem_strdup(p.out);
    RUN(&p, "help");
    expect_code(&p, 0);
    assert_string_equal(p.out, by_option);
    mem_free(by_option);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        RUN(&p, "help", commands[i]);
        expect_code(&p, 0);
        expect_out(&p, commands[i]);
        expect_out(&p, "Options of every command");
    }
    RUN(&p, "train", "--beta", "nonsense", "--help"); // help wins over mistakes
    expect_code(&p, 0);
    expect_out(&p, "--ref_model_sync_steps N");
    expect_out(&p, "(default 512)");
    RUN(&p, "data", "check", "--help");
    expect_code(&p, 0);
    expect_out(&p, "FILE --model DIR");
}

static void test_version(void **state)
{
    (void)state;
    RUN(&p, "--version");
    expect_code(&p, 0);
    assert_true(strncmp(p.out, "trdpo-vk ", 9) == 0 && strchr(p.out, '.'));
}

// The manual has every command and every option that --help has.
static void test_manual(void **state)
{
    (void)state;
    RUN(&p, "help", "--man");
    expect_code(&p, 0);
    char *manual = mem_strdup(p.out);
    static const char *const commands[] = {"train", "eval", "generate", "data check"};
    size_t options = 0;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        RUN(&p, "help", commands[i]);
        for (char *at = p.out; (at = strstr(at, "\n  --")); at++) {
            char name[64], want[80];
            assert_int_equal(sscanf(at, "\n  --%63[a-z0-9_]", name), 1);
            snprintf(want, sizeof want, "\\-\\-%s\\fR", name);
            if (!strstr(manual, want)) fail_msg("the manual lacks --%s", name);
            options++;
        }
    }
    assert_true(options > 50);
    mem_free(manual);
}

static void test_usage_errors(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *message;
    } cases[] = {
        {{NULL}, "which command?"},
        {{"tran"}, "did you mean 'train'?"},
        {{"frobnicate"}, "there is no command 'frobnicate'"},
        {{"help", "tran"}, "did you mean 'train'?"},
        {{"data"}, "trdpo-vk data check"},
        {{"data", "chekc"}, "trdpo-vk data check"},
        {{"--nonsense", "devices"}, "'--nonsense' is no option of trdpo-vk itself"},
        {{"devices", "--jsn"}, "did you mean '--json'?"},
        {{"devices", "extra"}, "devices takes no argument"},
        {{"devices", "--device", "0"}, "--device has no meaning"},
        {{"tokenize", "--model", "x", "--profile"}, "tokenize has no --profile"},
        {{"doctor", "--verbose", "--quiet"}, "contradict"},
        {{"eval", "--model", "x"}, "eval needs --dataset FILE"},
        {{"init", "--arch", "x"}, "init needs --tokenizer DIR"},
        {{"generate", "--model", "x"}, "either --prompt TEXT or --prompts FILE"},
        {{"train", "--config"}, "--config needs a value"},
        {{"train", "--loss_typ", "sigmoid"}, "did you mean '--loss_type'?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const *w = cases[i].words;
        RUN(&p, w[0], w[1], w[2], w[3], w[4], w[5]);
        expect_error(&p, 2);
        expect_err(&p, cases[i].message);
    }
}

static void test_global_options_first(void **state)
{
    (void)state;
    RUN(&p, "--quiet", "help", "devices");
    expect_code(&p, 0);
    RUN(&p, "--device", "no such device", "doctor");
    assert_int_not_equal(p.code, 0);
    expect_err(&p, "no such device");
    RUN(&p, "--device=0", "--device", "1", "doctor");
    expect_error(&p, 2);
    expect_err(&p, "--device is given twice");
}

static void test_output_fails(void **state)
{
    (void)state;
    int fds[2];
    run_program_to(&p, open("/dev/full", O_WRONLY), "help", NULL);
    expect_error(&p, 1);
    expect_err(&p, "cannot write to standard output");
    assert_int_equal(pipe(fds), 0);
    close(fds[0]); // nobody reads
    run_program_to(&p, fds[1], "help", NULL);
    expect_error(&p, 1);
    expect_err(&p, "standard output was closed");
}

static int finish(void **state)
{
    (void)state;
    process_finish(&p);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),         cmocka_unit_test(test_version),
        cmocka_unit_test(test_manual),       cmocka_unit_test(test_usage_errors),
        cmocka_unit_test(test_output_fails), cmocka_unit_test(test_global_options_first),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
