// The tokenizer as callers see it: fixtures, tokenizer_config.json, decoding, threads, odd texts.
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/system.h"
#include "hf/tokenizer_bytes.h"
#include "hf_cases.h"
#include "hf_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct hf_tokenizer *load(const char *dir)
{
    struct hf_tokenizer *t = hf_tokenizer_load(dir);
    if (!t) fail_msg("%s", err_message());
    return t;
}

// Whether the text encodes to `prompt` and then `completion`.
static bool encodes(const struct hf_tokenizer *t, const char *text, const cJSON *prompt,
                    const cJSON *completion)
{
    struct hf_ids got = {0};
    cJSON *want = cJSON_Duplicate(prompt, true);
    const cJSON *id;
    cJSON_ArrayForEach(id, completion)
        cJSON_AddItemToArray(want, cJSON_CreateNumber(id->valuedouble));
    assert_true(hf_tokenizer_encode(t, text, strlen(text), true, &got));
    bool same = cases_same_ids(&got, want);
    cJSON_Delete(want);
    ARRAY_FREE(&got);
    return same;
}

// Every row of prefs.jsonl, whole, has the ids that transformers gave it.
static void check_fixture(const char *name)
{
    char *dir = file_join(TEST_FIXTURES, name), *path = file_join(dir, "expected.json");
    struct hf_tokenizer *t = load(dir);
    cJSON *expected = json_parse_file(path, 0);
    struct file_lines lines;
    const char *line, *eos = hf_tokenizer_eos_text(t);
    size_t len, rows = 0;
    assert_non_null(expected);
    const cJSON *row = json_get(expected, "rows")->child;
    assert_true(file_lines_open(&lines, TEST_FIXTURES "/prefs.jsonl"));
    while (file_lines_next(&lines, &line, &len) && line) {
        static const char *const keys[2] = {"chosen", "rejected"};
        cJSON *obj = cases_parse(line, len);
        const cJSON *ids = json_get(row, "ids");
        const char *prompt = NULL, *completion = NULL;
        assert_true(json_get_string(obj, "prompt", &prompt));
        for (int i = 0; i < 2; i++) {
            assert_true(json_get_string(obj, keys[i], &completion));
            char *text =
                str_format("%s%s%s", prompt, completion, str_ends_with(completion, eos) ? "" : eos);
            if (!encodes(t, text, json_get(ids, "prompt"), json_get(ids, keys[i])))
                fail_msg("%s: %s of line %zu differs", name, keys[i], lines.number);
            mem_free(text);
        }
        cJSON_Delete(obj);
        row = row->next;
        rows++;
    }
    file_lines_close(&lines);
    assert_int_equal(rows, 16);
    assert_null(row);
    cJSON_Delete(expected);
    hf_tokenizer_destroy(t);
    mem_free(path);
    mem_free(dir);
}

static void test_fixtures(void **state)
{
    (void)state;
    check_fixture("tiny-gqa");
    check_fixture("tiny-llama3");
}

static void test_names(void **state)
{
    (void)state;
    struct hf_tokenizer *t = load(TEST_FIXTURES "/tiny-llama3");
    assert_int_equal(hf_tokenizer_id_count(t), 288);
    assert_int_equal(hf_tokenizer_bos(t), 0);
    assert_int_equal(hf_tokenizer_eos(t), 1);
    assert_int_equal(hf_tokenizer_pad(t), 2);
    assert_string_equal(hf_tokenizer_bos_text(t), "<|begin|>");
    assert_string_equal(hf_tokenizer_eos_text(t), "<|end|>");
    assert_true(hf_tokenizer_adds_bos(t));
    assert_int_equal(hf_tokenizer_find(t, "<|user|>"), 3);
    assert_int_equal(hf_tokenizer_find(t, "no such token"), -1);
    assert_int_equal(hf_tokenizer_find(t, ""), -1);
    assert_non_null(strstr(hf_tokenizer_chat_template(t), "add_generation_prompt"));
    hf_tokenizer_destroy(t);
    t = load(TEST_FIXTURES "/tiny-gqa");
    assert_int_equal(hf_tokenizer_bos(t), -1);
    assert_null(hf_tokenizer_bos_text(t));
    assert_null(hf_tokenizer_chat_template(t));
    assert_false(hf_tokenizer_adds_bos(t));
    hf_tokenizer_destroy(t);
    hf_tokenizer_destroy(NULL);
}

static void expect_decoded(const struct hf_tokenizer *t, const int32_t *ids, size_t count,
                           bool skip_special, const char *want)
{
    struct str got = {0};
    str_append(&got, ">"); // decoding appends
    assert_true(hf_tokenizer_decode(t, ids, count, skip_special, &got));
    assert_string_equal(str_text(&got) + 1, want);
    str_finish(&got);
}

static void test_decode(void **state)
{
    (void)state;
    struct hf_tokenizer *t = load(TEST_FIXTURES "/tiny-gqa");
    struct hf_ids ids = {0};
    struct str out = {0};
    static const char text[] = "\xf0\x9f\x9a\x80 the";
    assert_true(hf_tokenizer_encode(t, text, strlen(text), false, &ids));
    assert_int_equal(ids.count, 5); // four bytes, one word
    expect_decoded(t, ids.items, 5, false, text);
    expect_decoded(t, ids.items, 3, false, "\xef\xbf\xbd"); // one sequence cut short
    expect_decoded(t, ids.items + 1, 1, false, "\xef\xbf\xbd");
    expect_decoded(t, ids.items, 0, false, "");
    hf_tokenizer_token_bytes(t, ids.items[0], &out);
    hf_tokenizer_token_bytes(t, ids.items[4], &out);
    hf_tokenizer_token_bytes(t, 0, &out);
    hf_tokenizer_token_bytes(t, -1, &out);
    hf_tokenizer_token_bytes(t, 288, &out);
    assert_string_equal(str_text(&out), "\xf0 the<|end|>");
    int32_t special[3] = {0, ids.items[4], 1};
    expect_decoded(t, special, 3, false, "<|end|> the<|pad|>");
    expect_decoded(t, special, 3, true, " the");
    special[1] = 288;
    assert_false(hf_tokenizer_decode(t, special, 3, true, &out));
    expect_user_error("id 288 is out of range");
    special[1] = -1;
    assert_false(hf_tokenizer_decode(t, special, 3, true, &out));
    expect_user_error("id -1 is out of range");
    str_finish(&out);
    ARRAY_FREE(&ids);
    hf_tokenizer_destroy(t);
}

static void test_bad_text(void **state)
{
    (void)state;
    struct hf_tokenizer *t = load(TEST_FIXTURES "/tiny-llama3");
    struct hf_ids ids = {0};
    ARRAY_PUSH(&ids, 7);
    assert_false(hf_tokenizer_encode(t, "ab\xff", 3, true, &ids));
    expect_user_error("not UTF-8 at byte 2");
    assert_false(hf_tokenizer_encode(t, "\xed\xa0\x80", 3, true, &ids));
    expect_user_error("not UTF-8 at byte 0");
    assert_int_equal(ids.count, 1); // nothing half done
    assert_true(hf_tokenizer_encode(t, NULL, 0, false, &ids));
    assert_int_equal(ids.count, 1);
    assert_true(hf_tokenizer_encode(t, NULL, 0, true, &ids));
    assert_int_equal(ids.count, 2);
    assert_int_equal(ids.items[1], 0);
    ARRAY_FREE(&ids);
    hf_tokenizer_destroy(t);
}

// Long words and long runs of white space: neither time nor the pattern's stack may run out.
static void test_long_text(void **state)
{
    (void)state;
    static const char *const units[] = {"a", " ", "\n", "the", " t", "1", "\xf0\x9f\x9a\x80", "' "};
    struct hf_tokenizer *t = load(TEST_FIXTURES "/tiny-llama3");
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct str text = {0}, back = {0};
        struct hf_ids ids = {0};
        while (text.len < 1 << 20)
            str_append(&text, units[i]);
        if (!hf_tokenizer_encode(t, text.data, text.len, false, &ids))
            fail_msg("%s", err_message());
        assert_true(hf_tokenizer_decode(t, ids.items, ids.count, false, &back));
        assert_int_equal(back.len, text.len);
        assert_memory_equal(back.data, text.data, text.len);
        ARRAY_FREE(&ids);
        str_finish(&text);
        str_finish(&back);
    }
    hf_tokenizer_destroy(t);
}

struct thread_trial {
    const struct hf_tokenizer *tokenizer;
    struct hf_ids want;
};

#define THREAD_TEXT "Question: what's the right thing to do? 123 \xc3\xa9"

// Odd calls cut the last character: they fail, beside calls that must not notice.
static bool encode_again(void *context, size_t index)
{
    const struct thread_trial *trial = context;
    struct hf_ids got = {0};
    size_t cut = index % 2;
    bool same = true;
    for (int i = 0; i < 50 && same; i++) {
        got.count = 0;
        bool ok = hf_tokenizer_encode(trial->tokenizer, THREAD_TEXT, strlen(THREAD_TEXT) - cut,
                                      true, &got);
        same = ok == !cut &&
               (cut || (got.count == trial->want.count &&
                        memcmp(got.items, trial->want.items, got.count * sizeof *got.items) == 0));
    }
    ARRAY_FREE(&got);
    return same || err_user("call %zu differs", index);
}

static void test_threads(void **state)
{
    (void)state;
    struct hf_tokenizer *t = load(TEST_FIXTURES "/tiny-llama3");
    struct thread_trial trial = {.tokenizer = t};
    assert_true(hf_tokenizer_encode(t, THREAD_TEXT, strlen(THREAD_TEXT), true, &trial.want));
    if (!sys_parallel_for(64, encode_again, &trial)) fail_msg("%s", err_message());
    err_clear();
    ARRAY_FREE(&trial.want);
    hf_tokenizer_destroy(t);
}

// A model folder of the fixture's tokenizer.json with another tokenizer_config.json.
static struct hf_tokenizer *load_config(const char *config)
{
    files_put_text("tokenizer_config.json", config);
    return hf_tokenizer_load(files_path("."));
}

static void refuse_config(const char *config, const char *message)
{
    struct hf_tokenizer *t = load_config(config);
    if (t) fail_msg("accepted %s", config);
    assert_non_null(strstr(err_message(), "tokenizer_config.json"));
    expect_user_error(message);
}

static void test_config(void **state)
{
    (void)state;
    assert_true(
        file_copy(TEST_FIXTURES "/tiny-llama3/tokenizer.json", files_path("tokenizer.json")));
    struct hf_tokenizer *t = load(files_path("."));
    assert_int_equal(hf_tokenizer_eos(t), -1);
    assert_false(hf_tokenizer_adds_bos(t));
    hf_tokenizer_destroy(t);
    t = load_config(
        "{\"bos_token\":{\"content\":\"<|begin|>\",\"lstrip\":false},\"eos_token\":null,"
        "\"pad_token\":\"<|pad|>\",\"chat_template\":[{\"name\":\"tool\",\"template\":"
        "\"T\"},{\"name\":\"default\",\"template\":\"D\"}]}");
    assert_non_null(t);
    assert_int_equal(hf_tokenizer_bos(t), 0);
    assert_int_equal(hf_tokenizer_eos(t), -1);
    assert_int_equal(hf_tokenizer_pad(t), 2);
    assert_true(hf_tokenizer_adds_bos(t));
    assert_string_equal(hf_tokenizer_chat_template(t), "D");
    hf_tokenizer_destroy(t);
    files_put_text("chat_template.jinja", "J");
    t = load_config("{\"chat_template\":\"C\"}");
    assert_non_null(t);
    assert_string_equal(hf_tokenizer_chat_template(t), "J");
    hf_tokenizer_destroy(t);
    files_put("chat_template.jinja", "a\xff", 2);
    assert_null(load_config("{}"));
    expect_user_error("chat_template.jinja: is not UTF-8");
    files_put("chat_template.jinja", "a\0b", 3);
    assert_null(load_config("{}"));
    expect_user_error("chat_template.jinja");
    assert_true(file_remove(files_path("chat_template.jinja")));
    t = load_config("{\"chat_template\":[{\"name\":\"tool\",\"template\":\"T\"}]}");
    assert_non_null(t);
    assert_null(hf_tokenizer_chat_template(t));
    hf_tokenizer_destroy(t);
    refuse_config("[]", "expected a JSON object");
    refuse_config("{", "not valid JSON");
    refuse_config("{\"eos_token\":3}", "eos_token: expected a string");
    refuse_config("{\"eos_token\":{\"special\":true}}", "eos_token: content: missing");
    refuse_config("{\"eos_token\":\"</s>\"}", "eos_token \"</s>\" is not a token");
    refuse_config("{\"bos_token\":\"<s>\"}", "bos_token \"<s>\" is not a token");
    refuse_config("{\"chat_template\":3}", "chat_template: expected");
    refuse_config("{\"chat_template\":[3]}", "chat_template: expected");
    refuse_config("{\"chat_template\":[{\"name\":\"default\"}]}", "chat_template: expected");
    refuse_config("{\"chat_template\":[{\"name\":3,\"template\":\"\"}]}", "chat_template: name");
}

static void test_alphabet(void **state)
{
    (void)state;
    bool seen[0x144] = {false};
    for (int byte = 0; byte < 256; byte++) {
        uint32_t c = hf_byte_char((uint8_t)byte);
        assert_true(c < 0x144 && !seen[c]);
        seen[c] = true;
        assert_int_equal(hf_char_byte(c), byte);
    }
    for (uint32_t c = 0; c < 0x200; c++)
        if (c >= 0x144 || !seen[c]) assert_int_equal(hf_char_byte(c), -1);
    assert_int_equal(hf_byte_char(' '), 0x120); // the library's table
    assert_int_equal(hf_byte_char('\n'), 0x10a);
    assert_int_equal(hf_byte_char(0xad), 0x143);
}

#define R "\xef\xbf\xbd"

// The examples of the Unicode standard, section 3.9, tables 3-8 to 3-11, and the ends of ranges.
static void test_lossy(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"", ""},
        {"a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x9a\x80", "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x9a\x80"},
        {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", R R R R R R R R "A"},
        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", R R R R R R R R "A"},
        {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", R R R R R "A" R R "B"},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", R R R R "A"},
        {"\xf0\x9f\x9a", R},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"\xf5\x80", R R},
        {"\xc2", R},
        {"\xe0\xa0", R},
        {"\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str out = {0};
        hf_append_lossy(&out, cases[i].bytes, strlen(cases[i].bytes));
        assert_string_equal(str_text(&out), cases[i].want);
        str_finish(&out);
    }
}

static int begin(void **state)
{
    (void)state;
    files_begin("test_tokenizer");
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixtures),  cmocka_unit_test(test_names),
        cmocka_unit_test(test_decode),    cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_long_text), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_config),    cmocka_unit_test(test_alphabet),
        cmocka_unit_test(test_lossy),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
