// Chat templates: every case that tools/fixtures_chat.py wrote down from transformers, and what
// hostile or broken templates come to.
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "hf/chat_template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static const char *text(const cJSON *c, const char *key)
{
    const char *value = NULL;
    if (!json_get_string(c, key, &value)) fail_msg("%s", err_message());
    return value;
}

static bool render(const char *source, const cJSON *messages, const char *bos, const char *eos,
                   bool prompt, struct str *out)
{
    err_clear();
    struct hf_chat_template *t = hf_chat_template_parse(source);
    bool ok = t && hf_chat_template_render(t, messages, bos, eos, prompt, out);
    hf_chat_template_destroy(t);
    return ok;
}

// True if a case comes out as in transformers; says what differs if not.
static bool run_case(const cJSON *c, const cJSON *messages)
{
    struct str out = {0};
    bool prompt = false, fails = false;
    assert_true(json_get_bool(c, "add_generation_prompt", &prompt));
    assert_true(json_get_bool(c, "fails", &fails));
    const char *source = text(c, "template"), *name = text(c, "name");
    bool ok = render(source, messages, text(c, "bos_token"), text(c, "eos_token"), prompt, &out);
    bool right = fails ? !ok && err_current() == ERR_USER && strstr(err_message(), "line ")
                       : ok && strcmp(str_text(&out), text(c, "expected")) == 0;
    if (!right)
        printf("%s: %s\n  expected: %s\n  got: %s\n", name, source,
               fails ? "(failure)" : text(c, "expected"), ok ? str_text(&out) : err_message());
    if (!ok) assert_int_equal(out.len, 0); // nothing half-rendered
    str_finish(&out);
    return right;
}

static void test_cases_of_transformers(void **state)
{
    (void)state;
    struct file_lines lines;
    const char *line;
    size_t len, wrong = 0, count = 0;
    cJSON *first = NULL;
    assert_true(file_lines_open(&lines, TEST_SOURCE_DIR "/tests/hf/chat_templates.jsonl"));
    while (file_lines_next(&lines, &line, &len) && line) {
        cJSON *c = json_parse(line, len, "case");
        if (!c) fail_msg("%s", err_message());
        if (!first) {
            first = c;
            continue;
        }
        const cJSON *messages = json_get(c, "messages");
        wrong += !run_case(c, messages ? messages : json_get(first, "messages"));
        count++;
        cJSON_Delete(c);
    }
    file_lines_close(&lines);
    cJSON_Delete(first);
    assert_true(count > 500);
    assert_int_equal(wrong, 0);
}

// ---- failures say where and what ----

static void expect_failure(const char *source, const char *where, const char *what)
{
    struct str out = {0};
    cJSON *messages = cJSON_CreateArray();
    if (render(source, messages, NULL, NULL, false, &out)) fail_msg("rendered: %s", source);
    assert_int_equal(err_current(), ERR_USER);
    if (!strstr(err_message(), where) || !strstr(err_message(), what))
        fail_msg("%s: not '%s' and '%s' in: %s", source, where, what, err_message());
    str_finish(&out);
    cJSON_Delete(messages);
}

static void test_failures_name_the_line(void **state)
{
    (void)state;
    expect_failure("a\n\n{{ 1 + }}", "line 3", "expected an expression");
    expect_failure("a\n{% if x %}\nb\n", "line 3", "endif");
    expect_failure("{% for x in [] %}\n{% include 'x' %}", "line 2", "include");
    expect_failure("\n{{ 'x' | shout }}", "line 2", "no filter 'shout'");
    expect_failure("\n{{ shout('x') }}", "line 2", "'shout'");
    expect_failure("{{ 'x' is loud }}", "line 1", "no test 'loud'");
    expect_failure("{{ x.y }}", "line 1", "'x' is undefined");
    expect_failure("\n\n{{ raise_exception('turns must alternate') }}", "line 3",
                   "turns must alternate");
    expect_failure("{% break %}", "line 1", "'break' is in no loop");
    expect_failure("a\n{# b", "line 2", "comment");
    expect_failure("{{ 'a' }}\n{{ \"b }}", "line 2", "string has no end");
    expect_failure("{{ 'a' | replace('b') }}", "line 1", "'new'");
    expect_failure("\xFF", "byte 0", "UTF-8");
}

// ---- hostile templates end, with a message, in bounded time and memory ----

static char *repeated(const char *before, const char *part, size_t times, const char *after)
{
    struct str s = {0};
    str_append(&s, before);
    for (size_t i = 0; i < times; i++)
        str_append(&s, part);
    str_append(&s, after);
    return str_take(&s);
}

static void expect_repeated(const char *before, const char *part, size_t times, const char *after,
                            const char *what)
{
    char *source = repeated(before, part, times, after);
    expect_failure(source, "line ", what);
    mem_free(source);
}

static void test_hostile_templates(void **state)
{
    (void)state;
    const char *deep = "nested deeper";
    expect_repeated("{{ ", "(", 200000, "", "too deep");
    char *closing = repeated("1", "]", 250, " }}");
    expect_repeated("{{ ", "[", 250, closing, deep);
    mem_free(closing);
    expect_repeated("{{ ", "not ", 200000, "1 }}", deep);
    expect_repeated("{{ ", "-", 200000, "1 }}", deep);
    expect_repeated("{{ 1", "+1", 200000, " }}", deep);
    expect_repeated("{{ x", ".y", 200000, " }}", deep);
    expect_repeated("{{ x", "|trim", 200000, " }}", deep);
    expect_repeated("{{ 1", " if 1 else 1", 200000, " }}", deep);
    expect_repeated("", "{% if 1 %}", 200000, "", deep);
    expect_repeated("", "{% macro m() %}", 200000, "", deep);
    expect_failure(
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "line 1", "the template");
    expect_failure(
        "{% set s = 'x' * 5000000 %}{% for i in range(1000) %}{{ 'y' in s }}{% endfor %}", "line 1",
        "10 million steps");
    expect_failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "line 1", "too deep");
    expect_failure("{{ 'x' * 99999999999 }}", "line 1", "too long");
    expect_failure("{{ ('x' * 9000000) | replace('x', 'x' * 9000000) }}", "line 1", "256 MiB");
    expect_failure("{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}"
                   "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                   "line 1", "256 MiB");
    const char *tower = "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}"
                        "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}";
    char *equal = repeated(tower, "{{ ns.a == ns.b }}", 1, "");
    expect_failure(equal, "line 1", "10 million steps");
    mem_free(equal);
    char *shown = repeated(tower, "{{ ns.a }}", 1, "");
    expect_failure(shown, "line 1", "10 million steps");
    mem_free(shown);
    char *json = repeated(tower, "{{ ns.a | tojson }}", 1, "");
    expect_failure(json, "line 1", "10 million steps");
    mem_free(json);
    expect_failure("{% set ns = namespace(a=[1]) %}{% for i in range(5000) %}"
                   "{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}",
                   "line 1", "too deep");
}

// Any prefix of a template, and any with a byte changed, parses and renders or fails cleanly.
static void test_damaged_templates(void **state)
{
    (void)state;
    static const char source[] =
        "{%- set ns = namespace(a=[1, 2.5], b={'k': 'v\\x41'}) -%}\n{# c #}{% for m in ns.a if m "
        "is not none %}{{ m ~ loop.index | string }}{% else %}-{% endfor %}{% macro f(x, y=1) %}"
        "{{ x[::-1] }}{% endmacro %}{{ f('ab') if true else none }}{% raw %}{{{% endraw %}"
        "{{ ns.b | tojson(indent=2) }}{% call f(1) %}{% endcall %}{% filter upper %}a{% endfilter "
        "%}";
    cJSON *messages = cJSON_CreateArray();
    struct str out = {0};
    char copy[sizeof source];
    for (size_t n = 0; n < sizeof source; n++) {
        memcpy(copy, source, n);
        copy[n] = 0;
        if (!render(copy, messages, "<s>", NULL, true, &out))
            assert_int_equal(err_current(), ERR_USER);
        static const char bytes[] = "{}%#'\"()[]|-+.,:\n\\ x1\x80";
        for (size_t b = 0; b < sizeof bytes - 1 && n < sizeof source - 1; b++) {
            memcpy(copy, source, sizeof source);
            copy[n] = bytes[b];
            if (!render(copy, messages, "<s>", NULL, true, &out))
                assert_int_equal(err_current(), ERR_USER);
        }
        str_clear(&out);
    }
    str_finish(&out);
    cJSON_Delete(messages);
}

static void test_strftime_now(void **state)
{
    (void)state;
    struct str out = {0};
    cJSON *messages = cJSON_CreateArray();
    assert_true(render("{{ strftime_now('%Y-%m-%d') }}", messages, NULL, NULL, false, &out));
    int year, month, day;
    assert_int_equal(sscanf(str_text(&out), "%4d-%2d-%2d", &year, &month, &day), 3);
    assert_int_equal(out.len, 10);
    assert_true(year >= 2024 && month >= 1 && month <= 12 && day >= 1 && day <= 31);
    str_finish(&out);
    cJSON_Delete(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_of_transformers), cmocka_unit_test(test_failures_name_the_line),
        cmocka_unit_test(test_hostile_templates),     cmocka_unit_test(test_damaged_templates),
        cmocka_unit_test(test_strftime_now),
    };
    return cmocka_run_group_tests_name("chat_template", tests, NULL, NULL);
}
