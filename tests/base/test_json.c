// Documents that must be refused with their place, and numbers and strings that must come back.
#include "support.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void refuse(const char *text, size_t len, const char *part)
{
    cJSON *tree = json_parse(text, len, "doc");
    if (tree) fail_msg("accepted: %.60s", text);
    assert_true(strncmp(err_message(), "doc: ", 5) == 0);
    expect_error(ERR_USER, part);
}

static void refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "nothing here"},
        {" \n\t", "nothing here"},
        {"[1,2", "line 1, column 5: not valid JSON: the text ends too early"},
        {"{\"a\" 1}", "line 1, column 6: not valid JSON"},
        {"{\"a\":1,", "line 1, column 8"},
        {"{\"a\":1,\n \"b\":x}", "line 2, column 6: not valid JSON"},
        {"[1] x", "line 1, column 5: more text after the end"},
        {"{}{}", "line 1, column 3: more text"},
        {"\"abc", "ends inside a string"},
        {"\"ab\\", "ends inside a string"},
        {"[\"\xC3\xA9\xC3\xA9\", ?]", "line 1, column 8"}, // columns count characters
        {"[\"\\u0000\"]", "line 1, column 3: the character \\u0000"},
        {"{\"a\\u0000b\":1}", "\\u0000"},
        {"[\"\\u00g0\"]", "four hexadecimal digits"},
        {"[\"\\u00", "four hexadecimal digits"},
        {"[\"\\ud800\"]", "surrogate"},
        {"[\"\\udc00\"]", "surrogate"},
        {"[\"\\ud83d\\u0041\"]", "surrogate"},
        {"[\"\\ud83d\\", "surrogate"},
        {"[\"a\nb\"]", "control character in a string"},
        {"[\x01]", "a control character"},
        {"[\"\xFF\"]", "line 1, column 3: not valid UTF-8"},
        {"\n\n[\"\xED\xA0\x80\"]", "line 3, column 3: not valid UTF-8"},
        {"[NaN]", "not valid JSON"},
        {"nul", "not valid JSON"},
        {"[1,]", "not valid JSON"},
        {"]", "not valid JSON"},
        {"'a'", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(cases[i].text, strlen(cases[i].text), cases[i].part);
    refuse("[1]\0", 4, "control character");
    refuse("\"a\0b\"", 5, "control character");
}

static void accepted(void **state)
{
    (void)state;
    static const char text[] =
        " {\"a\\\"]\": [1, -2.5e3, true, null, \"\\ud83d\\ude00\\\\\"],\r\n\"b\":{}}\n";
    cJSON *tree = json_parse(text, strlen(text), "doc");
    assert_non_null(tree);
    char *printed = json_print(tree, false);
    assert_string_equal(printed,
                        "{\"a\\\"]\":[1,-2500,true,null,\"\xF0\x9F\x98\x80\\\\\"],\"b\":{}}");
    mem_free(printed);
    printed = json_print(tree, true);
    assert_string_equal(printed, "{\n  \"a\\\"]\": [\n    1,\n    -2500,\n    true,\n    null,\n"
                                 "    \"\xF0\x9F\x98\x80\\\\\"\n  ],\n  \"b\": {}\n}");
    mem_free(printed);
    cJSON_Delete(tree);
}

static void depth(void **state)
{
    (void)state;
    enum { HUGE_DEPTH = 200000 };
    char *text = mem_calloc(2 * HUGE_DEPTH + 1, 1);
    memset(text, '[', HUGE_DEPTH);
    memset(text + HUGE_DEPTH, ']', HUGE_DEPTH);
    refuse(text, 2 * HUGE_DEPTH, "line 1, column 513: nested more than 512");
    refuse(text, HUGE_DEPTH, "nested more than 512");
    for (int i = 0; i < HUGE_DEPTH; i++)
        memcpy(text + i * 2, "{\"", 2);
    refuse(text, 3, "ends inside a string");
    memset(text, '[', 513);
    memset(text + 513, ']', 513);
    refuse(text, 2 * 513, "nested more than 512");
    memset(text, '[', 512);
    memset(text + 512, ']', 512);
    cJSON *tree = json_parse(text, 2 * 512, "doc");
    assert_non_null(tree);
    char *printed = json_print(tree, false);
    assert_int_equal(strlen(printed), 2 * 512);
    mem_free(printed);
    cJSON_Delete(tree);
    // Brackets in a string, or side by side, are not depth.
    memset(text, '[', 1000);
    text[0] = text[999] = '"';
    tree = json_parse(text, 1000, "doc");
    assert_non_null(tree);
    cJSON_Delete(tree);
    text[0] = '[';
    for (int i = 0; i < 1000; i++)
        memcpy(text + 1 + 3 * i, "[],", 3);
    text[3000] = ']';
    tree = json_parse(text, 3001, "doc");
    assert_non_null(tree);
    cJSON_Delete(tree);
    mem_free(text);
}

// A text without a NUL that ends where the mapped memory ends: nobody looks beyond it.
static void reads_no_byte_more(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"1\":1,",      "[1", "\"a\\",     "tru", "[1,2]",
                                        "{\"a\":\"\\u12", "-",  "\"\\ud83d", "1e",  "\xE2\x82"};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t len = strlen(texts[i]);
        char *text = memcpy(pages + page - len, texts[i], len);
        cJSON *tree = json_parse(text, len, "doc");
        assert_true((tree != NULL) == (strcmp(texts[i], "[1,2]") == 0));
        cJSON_Delete(tree);
    }
    munmap(pages, 2 * page);
    err_clear();
}

static void getters(void **state)
{
    (void)state;
    static const char text[] =
        "{\"i\":-7,\"f\":1.5,\"big\":9007199254740992,\"bigger\":9007199254740994,\"inf\":1e999,"
        "\"s\":\"x\",\"t\":true,\"n\":null,\"I\":3,\"a\":[],\"o\":{},\"twice\":1,\"twice\":2,"
        "\"e\":1e3}";
    cJSON *tree = json_parse(text, strlen(text), "doc");
    assert_non_null(tree);
    int64_t i = 99;
    double d = 99;
    bool b = false;
    const char *s = "preset";
    assert_true(json_get_int(tree, "i", &i) && i == -7);
    assert_true(json_get_int(tree, "I", &i) && i == 3); // case matters
    assert_true(json_get_int(tree, "e", &i) && i == 1000);
    assert_true(json_get_int(tree, "big", &i) && i == INT64_C(9007199254740992));
    assert_true(json_get_int(tree, "twice", &i) && i == 2);
    assert_true(json_get_int(tree, "absent", &i) && i == 2);
    assert_true(json_get_int(tree, "n", &i) && i == 2);
    assert_true(json_get_double(tree, "f", &d) && d == 1.5);
    assert_true(json_get_bool(tree, "t", &b) && b);
    assert_true(json_get_string(tree, "s", &s) && strcmp(s, "x") == 0);
    assert_true(json_get_string(tree, "S", &s) && strcmp(s, "x") == 0); // absent: left alone
    assert_null(json_get(tree, "n"));
    assert_null(json_get(cJSON_GetObjectItemCaseSensitive(tree, "a"), "x"));
    assert_null(json_get(NULL, "x"));

    assert_false(json_get_int(tree, "f", &i));
    expect_error(ERR_USER, "f: expected a whole number of at most 2^53, found 1.5");
    assert_false(json_get_int(tree, "bigger", &i));
    expect_error(ERR_USER, "bigger: expected a whole number");
    assert_false(json_get_int(tree, "inf", &i));
    expect_error(ERR_USER, "inf: ");
    assert_false(json_get_int(tree, "s", &i));
    expect_error(ERR_USER, "s: expected a whole number, found a string");
    assert_false(json_get_double(tree, "inf", &d));
    expect_error(ERR_USER, "inf: ");
    assert_false(json_get_double(tree, "t", &d));
    expect_error(ERR_USER, "t: expected a number, found true");
    assert_false(json_get_bool(tree, "i", &b));
    expect_error(ERR_USER, "i: expected true or false, found a number");
    assert_false(json_get_string(tree, "o", &s));
    expect_error(ERR_USER, "o: expected a string, found an object");
    assert_true(i == 2 && d == 1.5 && b && strcmp(s, "x") == 0); // failures change nothing
    cJSON_Delete(tree);
}

static void double_back(double value)
{
    struct str s = {0};
    json_append_double(&s, value);
    cJSON *tree = json_parse(s.data, s.len, "number");
    assert_non_null(tree);
    assert_memory_equal(&tree->valuedouble, &value, sizeof value);
    char *printed = json_print(tree, false);
    assert_string_equal(printed, s.data);
    mem_free(printed);
    cJSON_Delete(tree);
    str_finish(&s);
}

static void float_back(float value)
{
    struct str s = {0};
    json_append_float(&s, value);
    float back = strtof(s.data, NULL);
    assert_memory_equal(&back, &value, sizeof value);
    assert_true(s.len <= 16);
    str_finish(&s);
}

static void numbers_come_back(void **state)
{
    (void)state;
    struct rng r = rng_begin(5, RNG_TEST);
    for (int i = 0; i < 20000; i++) {
        uint64_t wide = (uint64_t)rng_u32(&r) << 32 | rng_u32(&r);
        uint32_t narrow = rng_u32(&r);
        double d;
        float f;
        memcpy(&d, &wide, sizeof d);
        memcpy(&f, &narrow, sizeof f);
        if (isfinite(d)) double_back(d);
        if (isfinite(f)) float_back(f);
        double_back(rng_uniform(&r));
    }
    static const double edges[] = {0,
                                   5e-324,
                                   2.2250738585072014e-308,
                                   1.7976931348623157e308,
                                   0x1p53,
                                   0x1p53 - 1,
                                   0x1p63,
                                   1.0 / 3,
                                   0.1 + 0.2,
                                   1e15,
                                   1e16};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        double_back(edges[i]);
        double_back(-edges[i]);
    }
}

static void number_texts(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *as_double, *as_float;
    } cases[] = {
        {0.1, "0.1", "0.1"},
        {32000, "32000", "32000"},
        {1e15, "1000000000000000", "1e+15"},
        {0.30000000000000004, "0.30000000000000004", "0.3"},
        {1.0 / 3, "0.3333333333333333", "0.33333334"},
        {NAN, "\"NaN\"", "\"NaN\""},
        {INFINITY, "\"Infinity\"", "\"Infinity\""},
        {-INFINITY, "\"-Infinity\"", "\"-Infinity\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str s = {0};
        json_append_double(&s, cases[i].value);
        assert_string_equal(s.data, cases[i].as_double);
        str_clear(&s);
        json_append_float(&s, (float)cases[i].value);
        assert_string_equal(s.data, cases[i].as_float);
        str_finish(&s);
    }
}

// A host program may have chosen a locale whose decimal point is a comma.
static void comma_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    const char *chosen = NULL;
    for (size_t i = 0; !chosen && i < sizeof names / sizeof names[0]; i++)
        chosen = setlocale(LC_ALL, names[i]);
    if (!chosen) {
        print_message("no locale with a decimal comma is installed here: not tested\n");
        skip();
    }
    struct str s = {0};
    json_append_double(&s, 0.25);
    str_append_char(&s, ' ');
    json_append_float(&s, -1.5e-9f);
    cJSON *tree = json_parse("[0.125]", 7, "doc");
    bool parsed = tree && tree->child->valuedouble == 0.125;
    cJSON_Delete(tree);
    char bytes[32];
    str_bytes(bytes, 1536);
    setlocale(LC_ALL, "C");
    assert_string_equal(s.data, "0.25 -1.5e-09");
    assert_string_equal(bytes, "1.5 KiB");
    assert_true(parsed);
    str_finish(&s);
}

static void strings(void **state)
{
    (void)state;
    struct str s = {0};
    json_append_string(&s, "\"\\/\b\f\n\r\t\x01\x1f\x7f\xC3\xA9\0z", 15);
    assert_string_equal(s.data, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xC3\xA9\\u0000z\"");
    str_clear(&s);
    json_append_string(&s, "a\xFF\xE2\x82z\xC3", 6); // wrong bytes become U+FFFD
    assert_true(str_utf8_valid(s.data, s.len, NULL));
    assert_string_equal(s.data, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\"");
    str_finish(&s);
}

static void files(void **state)
{
    (void)state;
    const char *path = scratch_path("a.json");
    assert_true(file_write_whole(path, "{\"k\":\n 1x}", 10));
    assert_null(json_parse_file(path, 0));
    assert_non_null(strstr(err_message(), path));
    expect_error(ERR_USER, "line 2, column 3");
    assert_null(json_parse_file(path, 9));
    expect_error(ERR_USER, "larger than");
    assert_null(json_parse_file(scratch_path("none.json"), 0));
    expect_error(ERR_USER, "No such file");
    assert_true(file_write_whole(path, "\xEF\xBB\xBF{\"k\":1}", 10)); // a byte order mark
    cJSON *tree = json_parse_file(path, 10);
    assert_non_null(tree);
    cJSON_Delete(tree);
}

// U+0000, where it is asked for, and with the places of errors still right.
static void nul_characters(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":\"x\\u0000\\\\u0000\\u0000\",\"b\":\"\",\"c\":1,\"d\\u0000\":2}";
    cJSON *tree = json_parse_nul(text, sizeof text - 1, "t");
    struct str out = {0};
    assert_non_null(tree);
    str_append(&out, ">");
    assert_true(json_get_text(tree, "a", &out));
    assert_int_equal(out.len, 1 + 9);
    assert_memory_equal(out.data, ">x\0\\u0000\0", 11); // the escaped backslash begins no escape
    assert_true(json_get_text(tree, "b", &out));
    assert_true(json_get_text(tree, "none", &out));
    assert_int_equal(out.len, 10);
    assert_false(json_get_text(tree, "c", &out));
    expect_error(ERR_USER, "c: expected a string");
    assert_null(json_get(tree, "d"));
    str_finish(&out);
    cJSON_Delete(tree);
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"[\"\\u0000\\u0000\", ?]", "line 1, column 18: not valid JSON"},
        {"[\"\\u0000\"] x", "line 1, column 12: more text"},
        {"[\"\\u0000\"", "line 1, column 10: not valid JSON: the text ends too early"},
        {"[\"\xC0\x80\"]", "not valid UTF-8"},
        {"[\"\\u000", "four hexadecimal digits"},
        {"\\u0000", "not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(json_parse_nul(cases[i].text, strlen(cases[i].text), "t"));
        expect_error(ERR_USER, cases[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_with_their_place),
        cmocka_unit_test(accepted),
        cmocka_unit_test(depth),
        cmocka_unit_test(reads_no_byte_more),
        cmocka_unit_test(getters),
        cmocka_unit_test(numbers_come_back),
        cmocka_unit_test(number_texts),
        cmocka_unit_test(comma_locale),
        cmocka_unit_test(strings),
        cmocka_unit_test(files),
        cmocka_unit_test(nul_characters),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
