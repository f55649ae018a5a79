// Records: the form of a row by its fields, where its prompt ends, and what is wrong with it.
#include "base/error.h"
#include "base/json.h"
#include "data/prompts.h"
#include "data/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum mode { PAIRS, SFT, SFT_WHOLE, KTO };

static bool read_row(struct data_record *r, cJSON **row, const char *json, enum mode mode)
{
    *row = json_parse(json, strlen(json), "row");
    if (!*row) fail_msg("%s: %s", json, err_message());
    static const enum data_kind kinds[] = {DATA_PAIRS, DATA_TEXTS, DATA_TEXTS, DATA_UNPAIRED};
    return data_record_read(r, *row, kinds[mode], mode != SFT_WHOLE);
}

// ---- texts ----

struct text_case {
    enum mode mode;
    const char *json, *prompt, *whole[2];
};

static const struct text_case text_cases[] = {
    {PAIRS, "{\"prompt\":\"Q:\",\"chosen\":\" a\",\"rejected\":\" b\"}", "Q:", {"Q: a", "Q: b"}},
    {PAIRS, "{\"rejected\":\"\",\"chosen\":\" a\",\"prompt\":\"\"}", "", {" a", ""}},
    // implicit: a space goes with the word after it
    {PAIRS,
     "{\"chosen\":\"Q: x A: yes\",\"rejected\":\"Q: x A: no\"}",
     "Q: x A:",
     {"Q: x A: yes", "Q: x A: no"}},
    // cut back to the start of the word
    {PAIRS,
     "{\"chosen\":\"say yesterday\",\"rejected\":\"say yes\"}",
     "say",
     {"say yesterday", "say yes"}},
    {PAIRS, "{\"chosen\":\"one\",\"rejected\":\"only\"}", "", {"one", "only"}},
    {PAIRS, "{\"chosen\":\"a\\nbc\",\"rejected\":\"a\\nbd\"}", "a\n", {"a\nbc", "a\nbd"}},
    // a prefix of the other, at the end of a word
    {PAIRS, "{\"chosen\":\"well\",\"rejected\":\"well done\"}", "well", {"well", "well done"}},
    // e acute and e circumflex share their first byte; both are letters of the word
    {PAIRS,
     "{\"chosen\":\"le b\xC3\xA9\",\"rejected\":\"le b\xC3\xAA\"}",
     "le",
     {"le b\xC3\xA9", "le b\xC3\xAA"}},
    // ideographs: between any two
    {PAIRS,
     "{\"chosen\":\"\xE6\x9D\xB1\xE4\xBA\xAC\",\"rejected\":\"\xE6\x9D\xB1\xE6\xB5\xB7\"}",
     "\xE6\x9D\xB1",
     {"\xE6\x9D\xB1\xE4\xBA\xAC", "\xE6\x9D\xB1\xE6\xB5\xB7"}},
    // HH: after the last turn that both share, even where they go on alike
    {PAIRS,
     "{\"chosen\":\"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nHuman: c\\n\\nAssistant: Well yes\","
     "\"rejected\":\"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nHuman: c\\n\\nAssistant: Well no\"}",
     "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
     {"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: Well yes",
      "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: Well no"}},
    // HH: one goes on after the turn where they part
    {PAIRS,
     "{\"chosen\":\"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nHuman: c\\n\\nAssistant: d\","
     "\"rejected\":\"\\n\\nHuman: a\\n\\nAssistant: e\"}",
     "\n\nHuman: a\n\nAssistant:",
     {"\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d", "\n\nHuman: a\n\nAssistant: e"}},
    // no HH turns without a human: words
    {PAIRS,
     "{\"chosen\":\"x\\n\\nAssistant: a b\",\"rejected\":\"x\\n\\nAssistant: a c\"}",
     "x\n\nAssistant: a",
     {"x\n\nAssistant: a b", "x\n\nAssistant: a c"}},
    // a prompt of null is no prompt
    {PAIRS, "{\"prompt\":null,\"chosen\":\"a b\",\"rejected\":\"a c\"}", "a", {"a b", "a c"}},
    {SFT, "{\"prompt\":\"Q\",\"completion\":\" A\"}", "Q", {"Q A", NULL}},
    {SFT, "{\"text\":\"all\"}", "", {"all", NULL}},
    {SFT, "{\"text\":\"all\",\"completion\":null,\"prompt\":\"p\"}", "", {"all", NULL}},
    {SFT, "{\"prompt\":\"Q:\",\"chosen\":\" a\",\"rejected\":\" b\"}", "Q:", {"Q: a", NULL}},
    {SFT, "{\"prompt\":\"Q:\",\"chosen\":\" a\"}", "Q:", {"Q: a", NULL}},
    {SFT, "{\"chosen\":\"a b\",\"rejected\":\"a c\"}", "a", {"a b", NULL}},
    {SFT, "{\"chosen\":\"a b\",\"rejected\":\"a b\"}", "", {"a b", NULL}},
    {SFT,
     "{\"chosen\":\"\\n\\nHuman: a\\n\\nAssistant: b\"}",
     "\n\nHuman: a\n\nAssistant:",
     {"\n\nHuman: a\n\nAssistant: b", NULL}},
    {KTO, "{\"prompt\":\"Q\",\"completion\":\" A\",\"label\":true}", "Q", {"Q A", NULL}},
    // a pair is two rows, whose prompt is what both begin with
    {KTO, "{\"prompt\":\"Q:\",\"chosen\":\" a\",\"rejected\":\" b\"}", "Q:", {"Q: a", "Q: b"}},
    {KTO, "{\"chosen\":\"a b\",\"rejected\":\"a c\",\"completion\":null}", "a", {"a b", "a c"}},
    // completion and label say more than a pair beside them
    {KTO,
     "{\"prompt\":\"Q\",\"completion\":\" A\",\"label\":0,\"chosen\":\"x\",\"rejected\":\"y\"}",
     "Q",
     {"Q A", NULL}},
};

static void test_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof text_cases / sizeof *text_cases; i++) {
        const struct text_case *c = &text_cases[i];
        struct data_record r;
        cJSON *row;
        if (!read_row(&r, &row, c->json, c->mode)) fail_msg("%s: %s", c->json, err_message());
        assert_false(r.messages);
        assert_int_equal(r.completions, c->whole[1] ? 2 : 1);
        assert_string_equal(str_text(&r.prompt), c->prompt);
        for (int k = 0; k < r.completions; k++)
            assert_string_equal(str_text(&r.whole[k]), c->whole[k]);
        data_record_finish(&r);
        cJSON_Delete(row);
    }
}

// ---- messages ----

#define U(t) "{\"role\":\"user\",\"content\":\"" t "\"}"
#define A(t) "{\"role\":\"assistant\",\"content\":\"" t "\"}"
#define S(t) "{\"role\":\"system\",\"content\":\"" t "\"}"

// Lists as text: first letter of the role and content.
struct list_case {
    enum mode mode;
    const char *json, *prompt, *whole[2];
};

static void check_list(const cJSON *list, const char *want)
{
    struct str got = {0};
    for (const cJSON *m = list->child; m; m = m->next)
        str_appendf(&got, "%s%c:%s", got.len ? " " : "",
                    cJSON_GetObjectItem(m, "role")->valuestring[0],
                    cJSON_GetObjectItem(m, "content")->valuestring);
    assert_string_equal(str_text(&got), want);
    str_finish(&got);
}

static void test_messages(void **state)
{
    (void)state;
    static const struct list_case cases[] = {
        {PAIRS,
         "{\"prompt\":[" S("s") "," U("q") "],\"chosen\":[" A("x") "],\"rejected\":[" A("y") "]}",
         "s:s u:q",
         {"s:s u:q a:x", "s:s u:q a:y"}},
        {PAIRS,
         "{\"chosen\":[" U("q") "," A("x") "],\"rejected\":[" U("q") "," A("y") "]}",
         "u:q",
         {"u:q a:x", "u:q a:y"}},
        // one ends where the other goes on: both completions begin with the assistant's message
        {PAIRS,
         "{\"chosen\":[" U("q") "," A("x") "],\"rejected\":[" U("q") "," A("x") "," U("r") "," A(
             "z") "]}",
         "u:q",
         {"u:q a:x", "u:q a:x u:r a:z"}},
        {PAIRS,
         "{\"chosen\":[" U("q") "," A("x") "],\"rejected\":[" U("q") "," A("x") "]}",
         "u:q",
         {"u:q a:x", "u:q a:x"}},
        {PAIRS,
         "{\"chosen\":[" U("q") "," A("x") "],\"rejected\":[" U("r") "," A("x") "]}",
         "",
         {"u:q a:x", "u:r a:x"}},
        // a text prompt that the messages hold, and one that they do not
        {PAIRS,
         "{\"prompt\":\"q\",\"chosen\":[" U("q") "," A("x") "],\"rejected\":[" U("q") "," A(
             "y") "]}",
         "u:q",
         {"u:q a:x", "u:q a:y"}},
        {PAIRS,
         "{\"prompt\":\"q\",\"chosen\":[" A("x") "],\"rejected\":[" A("y") "]}",
         "u:q",
         {"u:q a:x", "u:q a:y"}},
        {SFT, "{\"messages\":[" U("q") "," A("x") "]}", "u:q", {"u:q a:x", NULL}},
        {SFT,
         "{\"messages\":[" U("q") "," A("x") "," U("r") "," A("y") "]}",
         "u:q a:x u:r",
         {"u:q a:x u:r a:y", NULL}},
        {SFT, "{\"messages\":[" U("q") "]}", "u:q", {"u:q", NULL}},
        {SFT_WHOLE, "{\"messages\":[" U("q") "]}", "", {"u:q", NULL}},
        {SFT, "{\"prompt\":[" U("q") "],\"completion\":[" A("x") "]}", "u:q", {"u:q a:x", NULL}},
        {SFT,
         "{\"prompt\":\"p\",\"messages\":[" U("q") "," A("x") "],\"chosen\":[" A("z") "]}",
         "u:q",
         {"u:q a:x", NULL}},
        {SFT, "{\"chosen\":[" U("q") "," A("x") "]}", "u:q", {"u:q a:x", NULL}},
        {KTO,
         "{\"prompt\":[" U("q") "],\"completion\":[" A("x") "],\"label\":false}",
         "u:q",
         {"u:q a:x", NULL}},
        {KTO,
         "{\"prompt\":\"q\",\"completion\":[" A("x") "],\"label\":1}",
         "u:q",
         {"u:q a:x", NULL}},
        {KTO,
         "{\"completion\":[" U("q") "," A("x") "," U("r") "," A("y") "],\"label\":1}",
         "u:q a:x u:r",
         {"u:q a:x u:r a:y", NULL}},
        {KTO,
         "{\"chosen\":[" U("q") "," A("x") "],\"rejected\":[" U("q") "," A("y") "]}",
         "u:q",
         {"u:q a:x", "u:q a:y"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct list_case *c = &cases[i];
        struct data_record r;
        cJSON *row;
        if (!read_row(&r, &row, c->json, c->mode)) fail_msg("%s: %s", c->json, err_message());
        assert_true(r.messages);
        check_list(r.prompt_list, c->prompt);
        for (int k = 0; k < r.completions; k++)
            check_list(r.whole_list[k], c->whole[k]);
        data_record_finish(&r);
        cJSON_Delete(row);
    }
}

// ---- labels ----

static void test_labels(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        uint32_t value;
    } cases[] = {{"true", 1}, {"false", 0}, {"1", 1}, {"0", 0}, {"1.0", 1}, {"-0.0", 0}};
    struct data_record r;
    cJSON *row;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"prompt\":\"p\",\"completion\":\"c\",\"label\":%s}",
                 cases[i].label);
        if (!read_row(&r, &row, json, KTO)) fail_msg("%s: %s", json, err_message());
        assert_int_equal(r.label[0], cases[i].value);
        assert_int_equal(r.rows, 1);
        data_record_finish(&r);
        cJSON_Delete(row);
    }
    assert_true(read_row(&r, &row, "{\"chosen\":\"a b\",\"rejected\":\"a c\",\"label\":0}", KTO));
    assert_int_equal(r.rows, 2);
    assert_int_equal(r.label[0], 1);
    assert_int_equal(r.label[1], 0);
    data_record_finish(&r);
    cJSON_Delete(row);
}

// ---- failures ----

static void test_failures_name_the_field(void **state)
{
    (void)state;
    static const struct {
        enum mode mode;
        const char *json, *words[3];
    } cases[] = {
        {PAIRS, "{\"prompt\":\"p\",\"rejected\":\"r\"}", {"'chosen'", "prompt, rejected"}},
        {PAIRS, "{\"chosen\":\"p\",\"rejected\":null}", {"missing field 'rejected'", "(null)"}},
        {PAIRS, "{}", {"'chosen'", "found: none"}},
        {PAIRS, "{\"chosen\":3,\"rejected\":\"r\"}", {"'chosen'", "expected", "found a number"}},
        {PAIRS, "{\"chosen\":\"a\",\"rejected\":{}}", {"'rejected'", "found an object"}},
        {PAIRS, "{\"chosen\":\"a\",\"rejected\":[]}", {"'rejected'", "found a list"}},
        {PAIRS,
         "{\"prompt\":[],\"chosen\":\"a\",\"rejected\":\"b\"}",
         {"'chosen'", "list of messages", "found a string"}},
        {PAIRS,
         "{\"prompt\":true,\"chosen\":\"a\",\"rejected\":\"b\"}",
         {"'prompt'", "true or false"}},
        {PAIRS,
         "{\"chosen\":[\"x\"],\"rejected\":[]}",
         {"'chosen[0]'", "role and content", "found a string"}},
        {PAIRS,
         "{\"chosen\":[" U("q") ",{\"role\":\"assistant\"}],\"rejected\":[]}",
         {"'chosen[1].content'", "found nothing"}},
        {PAIRS,
         "{\"chosen\":[{\"role\":1,\"content\":\"\"}],\"rejected\":[]}",
         {"'chosen[0].role'", "found a number"}},
        {PAIRS, "[1]", {"expected an object", "found a list"}},
        {PAIRS, "\"text\"", {"expected an object", "found a string"}},
        {SFT, "{\"prompt\":\"p\"}", {"missing field 'completion'", "found: prompt"}},
        {SFT, "{\"completion\":\"p\"}", {"missing field 'prompt'"}},
        {SFT, "{\"text\":[]}", {"'text'", "found a list"}},
        {SFT, "{\"messages\":\"x\"}", {"'messages'", "found a string"}},
        {SFT, "{\"other\":1}", {"missing field 'text'", "found: other"}},
        {KTO, "{\"prompt\":\"p\",\"completion\":\"c\"}", {"missing field 'label'", "for KTO"}},
        {KTO, "{\"prompt\":\"p\",\"label\":true}", {"missing field 'completion'", "prompt, label"}},
        {KTO, "{\"completion\":\"c\",\"label\":true}", {"missing field 'prompt'"}},
        {KTO,
         "{\"prompt\":\"p\",\"completion\":\"c\",\"label\":\"true\"}",
         {"'label'", "true or false", "found a string"}},
        {KTO,
         "{\"prompt\":\"p\",\"completion\":\"c\",\"label\":null}",
         {"missing field 'label'", "label (null)"}},
        {KTO,
         "{\"prompt\":\"p\",\"completion\":\"c\",\"label\":2}",
         {"'label'", "found another number"}},
        {KTO,
         "{\"prompt\":\"p\",\"completion\":\"c\",\"label\":0.5}",
         {"'label'", "found another number"}},
        {KTO,
         "{\"prompt\":\"p\",\"completion\":3,\"label\":1}",
         {"'completion'", "found a number"}},
        {KTO, "{\"chosen\":\"c\",\"label\":true}", {"missing field 'rejected'"}},
        {KTO, "{\"rejected\":\"c\"}", {"missing field 'chosen'"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct data_record r;
        cJSON *row;
        err_clear();
        assert_false(read_row(&r, &row, cases[i].json, cases[i].mode));
        assert_int_equal(err_current(), ERR_USER);
        for (int w = 0; w < 3 && cases[i].words[w]; w++)
            if (!strstr(err_message(), cases[i].words[w]))
                fail_msg("'%s' is not in: %s", cases[i].words[w], err_message());
        cJSON_Delete(row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_failures_name_the_field),
    };
    return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
