// Every case of the shared tokenizers, whose ids and texts come from the Hugging Face library.
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "hf_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MOST_PRINTED 10

// A difference is forgiven only where the text has a character that is younger than PCRE2's tables:
// it then falls into another class of the patterns.
static void check_folder(const char *name)
{
    char *dir = str_format("%s/tokenizers/%s", TEST_SHARED, name);
    char *path = file_join(dir, "cases.jsonl.gz");
    if (!file_exists(path)) {
        print_message("[ skipped  ] %s is not there\n", path);
        mem_free(dir);
        mem_free(path);
        skip();
    }
    struct hf_tokenizer *t = hf_tokenizer_load(dir);
    if (!t) fail_msg("%s", err_message());
    struct file_lines lines;
    const char *line;
    size_t len, cases = 0, young = 0, aside = 0, wrong = 0;
    assert_true(file_lines_open(&lines, path));
    while (file_lines_next(&lines, &line, &len) && line) {
        cJSON *obj = cases_parse(line, len);
        const char *difference = cases_check(t, obj);
        struct str text = cases_text(obj, "text");
        bool has_young = cases_has_young(&text);
        cases++;
        young += has_young;
        if (difference && has_young) {
            aside++;
        } else if (difference && ++wrong <= MOST_PRINTED) {
            print_error("%s: line %zu: %s differ: %.200s\n", name, lines.number, difference, line);
        }
        str_finish(&text);
        cJSON_Delete(obj);
    }
    assert_int_equal(err_current(), ERR_NONE);
    file_lines_close(&lines);
    hf_tokenizer_destroy(t);
    print_message("%s: %zu cases, %zu with characters younger than PCRE2's Unicode tables, of "
                  "which %zu differ and are set aside; %zu others differ\n",
                  name, cases, young, aside, wrong);
    assert_true(cases >= 4000);
    assert_int_equal(wrong, 0);
    mem_free(dir);
    mem_free(path);
}

static void test_gpt2(void **state)
{
    (void)state;
    check_folder("gpt-2");
}

static void test_hh_bpe(void **state)
{
    (void)state;
    check_folder("hh-bpe");
}

static void test_llama3(void **state)
{
    (void)state;
    check_folder("llama3-style");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_hh_bpe),
        cmocka_unit_test(test_llama3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
