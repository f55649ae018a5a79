// Variants of tokenizer.json with the ids and texts that the Hugging Face library gives
// (tools/fixtures_tokenizer.py).
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/system.h"
#include "hf_cases.h"
#include "hf_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MOST_PRINTED 20

// The decode without special tokens, which the shared cases do not have.
static bool skips_special(const struct hf_tokenizer *t, const cJSON *obj)
{
    if (!json_get(obj, "decoded_skip")) return true;
    struct str want = cases_text(obj, "decoded_skip"), got = {0};
    struct hf_ids ids = {0};
    const cJSON *id;
    cJSON_ArrayForEach(id, json_get(obj, "ids_special")) ARRAY_PUSH(&ids, id->valueint);
    assert_true(hf_tokenizer_decode(t, ids.items, ids.count, true, &got));
    bool same = got.len == want.len && memcmp(str_text(&got), want.data, want.len) == 0;
    ARRAY_FREE(&ids);
    str_finish(&got);
    str_finish(&want);
    return same;
}

static void test_variants(void **state)
{
    (void)state;
    const char *path = sys_env("TRDPO_TOKENIZER_VARIANTS");
    struct file_lines lines;
    const char *line;
    size_t len, cases = 0, wrong = 0;
    assert_true(file_lines_open(&lines, path ? path : TEST_FIXTURES "/tokenizers.jsonl.gz"));
    while (file_lines_next(&lines, &line, &len) && line) {
        cJSON *variant = cases_parse(line, len);
        const char *name = NULL;
        assert_true(json_get_string(variant, "name", &name));
        const char *base = NULL;
        assert_true(json_get_string(variant, "base", &base));
        struct hf_tokenizer *t = cases_load(base, json_get(variant, "change"));
        if (!t) fail_msg("%s: %s", name, err_message());
        const cJSON *obj;
        cJSON_ArrayForEach(obj, json_get(variant, "cases"))
        {
            const char *difference = cases_check(t, obj);
            if (!difference && !skips_special(t, obj)) difference = "decoded_skip";
            cases++;
            if (!difference || ++wrong > MOST_PRINTED) continue;
            char *text = json_print(obj, false);
            print_error("%s: %s differ: %.300s\n", name, difference, text);
            mem_free(text);
        }
        hf_tokenizer_destroy(t);
        cJSON_Delete(variant);
    }
    assert_int_equal(err_current(), ERR_NONE);
    print_message("%zu variants, %zu cases, %zu differ\n", lines.number, cases, wrong);
    file_lines_close(&lines);
    assert_true(cases >= 500);
    assert_int_equal(wrong, 0);
}

static int begin(void **state)
{
    (void)state;
    files_begin("test_tokenizer_variants");
    return 0;
}

static int end(void **state)
{
    (void)state;
    files_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_variants)};
    return cmocka_run_group_tests(tests, begin, end);
}
