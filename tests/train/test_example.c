// The example shown before step 1: which tokens are scored, and that a text stays one line.
#include "../common/scratch.h"

#include "base/array.h"
#include "hf/tokenizer.h"
#include "train/example.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static struct hf_tokenizer *tokenizer;

// A row of three texts; an empty prompt is none.
static void put_row(struct data_set *set, const char *prompt, const char *first, const char *second)
{
    const char *texts[3] = {prompt, first, second};
    uint32_t counts[3];
    for (int i = 0; i < 3; i++) {
        struct hf_ids ids = {0};
        if (texts[i])
            REQUIRE(hf_tokenizer_encode(tokenizer, texts[i], strlen(texts[i]), false, &ids));
        for (size_t k = 0; k < ids.count; k++)
            ARRAY_PUSH(&set->ids, ids.items[k]);
        counts[i] = (uint32_t)ids.count;
        ARRAY_FREE(&ids);
    }
    ARRAY_PUSH(
        &set->rows,
        (struct data_row){.line = 1, .prompt = counts[0], .completion = {counts[1], counts[2]}});
}

static void expect_text(const char *prompt, const char *first, const char *second,
                        bool score_prompt, const char *parts[])
{
    struct data_set set = {.kind = second ? DATA_PAIRS : DATA_TEXTS};
    struct str text = {0};
    put_row(&set, prompt, first, second);
    train_example_text(tokenizer, &set, &set.rows.items[0], score_prompt, &text);
    for (; *parts; parts++)
        if (!strstr(str_text(&text), *parts)) fail_msg("'%s' is not in:\n%s", *parts, text.data);
    size_t lines = 0;
    for (const char *p = text.data; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, (*prompt != 0) + 1 + (second != NULL));
    str_finish(&text);
    ARRAY_FREE(&set.ids);
    ARRAY_FREE(&set.rows);
}

#define EXPECT_TEXT(prompt, first, second, score, ...)                                             \
    expect_text(prompt, first, second, score, (const char *[]){__VA_ARGS__, NULL})

static void pairs(void **state)
{
    (void)state;
    EXPECT_TEXT("Say:\nso", " yes", " no no", false, "  prompt   Say:\\nso  (", ", 0 scored)",
                "  chosen   [[ yes]]  (", "  rejected [[ no no]]  (");
}

// Nothing predicts the first token of all.
static void first_tokens(void **state)
{
    (void)state;
    EXPECT_TEXT("", "abc", "bcd", false, "  chosen   a[[bc]]  (3 tokens, 2 scored)",
                "  rejected b[[cd]]  (3 tokens, 2 scored)");
    EXPECT_TEXT("xyz", "abc", NULL, true, "  prompt   x[[yz]]  (3 tokens, 2 scored)",
                "  text     [[abc]]  (3 tokens, 3 scored)");
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
    (void)state;
    EXPECT_TEXT("\x1b[31m\a", "\r\n\x7f", " b", false, "\\x1b[31m\\x07", "\\r\\n\\x7f");
}

static void long_texts_are_cut_in_the_middle(void **state)
{
    (void)state;
    char text[3001] = "";
    for (int i = 0; i < 1000; i++)
        strcat(text, i < 10 ? "beg" : i >= 990 ? "end" : "\xe2\x82\xac"); // three bytes each
    struct data_set set = {.kind = DATA_TEXTS};
    struct str out = {0};
    put_row(&set, "", text, NULL);
    train_example_text(tokenizer, &set, &set.rows.items[0], false, &out);
    assert_true(out.len < 600);
    assert_non_null(strstr(str_text(&out), "begbeg"));
    assert_non_null(strstr(str_text(&out), " [...] "));
    assert_non_null(strstr(str_text(&out), "endend]]"));
    assert_true(str_utf8_valid(out.data, out.len, NULL)); // no character was cut
    str_finish(&out);
    ARRAY_FREE(&set.ids);
    ARRAY_FREE(&set.rows);
}

static int begin(void **state)
{
    (void)state;
    tokenizer = hf_tokenizer_load(TEST_FIXTURES "/tiny-gqa");
    return tokenizer ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    hf_tokenizer_destroy(tokenizer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),
        cmocka_unit_test(first_tokens),
        cmocka_unit_test(control_characters_do_not_reach_the_terminal),
        cmocka_unit_test(long_texts_are_cut_in_the_middle),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
