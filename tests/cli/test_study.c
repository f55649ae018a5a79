// The study through the program, in its quick form: its files are whole, its table says what its
// runs were, and it is the same every time.
#include "process.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SETTINGS 6
#define SEEDS 2
#define RUNS (SETTINGS * SEEDS)

struct run {
    char method[32];
    double beta, alpha, tau, seed, reward, kl, accuracy, length, whole;
};

static double number(const cJSON *line, const char *name)
{
    double value = NAN;
    assert_non_null(json_get(line, name));
    assert_true(json_get_double(line, name, &value));
    return value;
}

static size_t read_runs(const char *path, struct run runs[RUNS])
{
    struct file_lines f;
    const char *line, *method = NULL;
    size_t len, count = 0;
    assert_true(file_lines_open(&f, path));
    while (file_lines_next(&f, &line, &len) && line) {
        assert_true(count < RUNS);
        cJSON *tree = json_parse(line, len, "results.jsonl");
        assert_non_null(tree);
        struct run *r = &runs[count++];
        assert_true(json_get_string(tree, "method", &method));
        snprintf(r->method, sizeof r->method, "%s", method);
        double *const values[] = {&r->beta, &r->alpha,    &r->tau,    &r->seed, &r->reward,
                                  &r->kl,   &r->accuracy, &r->length, &r->whole};
        static const char *const names[] = {"beta", "alpha",    "tau",    "seed", "reward",
                                            "kl",   "accuracy", "length", "whole"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            *values[i] = number(tree, names[i]);
        cJSON_Delete(tree);
    }
    file_lines_close(&f);
    return count;
}

static void check_runs(const struct run *runs)
{
    static const char *const methods[] = {"dpo", "tr-dpo-soft", "tr-dpo-hard"};
    for (int i = 0; i < RUNS; i++) {
        const struct run *r = &runs[i];
        assert_string_equal(r->method, methods[i % SETTINGS / 2]);
        assert_true(r->seed == 1 + i / SETTINGS);
        assert_true(r->beta > 0 && r->kl > 0);
        assert_true((r->alpha > 0) == (r->tau > 0) && (r->tau > 0) == (r->method[0] == 't'));
        assert_true(r->reward < 1 && r->reward > -4);
        assert_true(r->accuracy >= 0 && r->accuracy <= 1 && r->whole >= 0 && r->whole <= 1);
        assert_true(r->length > 0 && r->length < 16);
    }
}

// The cells of a line of a table, of which "a +- b" is one.
static size_t split(const char *line, char cells[][48], size_t most)
{
    size_t count = 0;
    while (count < most) {
        line += strspn(line, " ");
        if (!*line || *line == '\n') break;
        size_t len = 0;
        while (line[len] && line[len] != '\n' && strncmp(line + len, "  ", 2) != 0)
            len++;
        snprintf(cells[count++], 48, "%.*s", (int)len, line);
        line += len;
    }
    return count;
}

static void check_spread(const char *cell, double a, double b, double digit)
{
    char *end;
    double mean = strtod(cell, &end);
    assert_memory_equal(end, " +- ", 4);
    double deviation = strtod(end + 4, &end);
    assert_true(*end == 0);
    assert_true(fabs(mean - (a + b) / 2) <= 0.51 * digit);
    assert_true(fabs(deviation - fabs(a - b) / sqrt(2)) <= 0.51 * digit);
}

// The first table against the runs' own figures.
static void check_table(const char *out, const struct run *runs)
{
    const char *line = strstr(out, "  method");
    char cells[16][48];
    assert_non_null(line);
    assert_int_equal(split(line, cells, 16), 8);
    line = strchr(line, '\n') + 1;
    assert_int_equal(split(line, cells, 16), 8);
    assert_string_equal(cells[0], "start (SFT)");
    for (int i = 0; i < SETTINGS; i++) {
        const struct run *a = &runs[i], *b = &runs[i + SETTINGS];
        line = strchr(line, '\n') + 1;
        assert_int_equal(split(line, cells, 16), 8);
        assert_string_equal(cells[0], a->method);
        assert_true(a->tau == 0 ? cells[2][0] == '-' : strtod(cells[2], NULL) == a->tau);
        assert_true(a->alpha == 0 ? cells[1][0] == '-' : strtod(cells[1], NULL) == a->alpha);
        assert_true(strtod(cells[3], NULL) == a->beta && a->beta == b->beta);
        check_spread(cells[4], a->reward, b->reward, 1e-3);
        check_spread(cells[5], a->kl, b->kl, 1e-2);
        check_spread(cells[6], a->accuracy, b->accuracy, 1e-3);
        check_spread(cells[7], a->length, b->length, 1e-2);
    }
}

// ---- the picture ----

// Well-formed as far as our pictures go: elements that nest and end, attributes in double quotes,
// no stray "<", ">" or "&" anywhere. The number of elements called `name`.
static int count_elements(const char *xml, const char *name)
{
    char open[16][32];
    int depth = 0, found = 0, roots = 0;
    while (*xml) {
        if (*xml != '<') {
            assert_true(*xml != '>' && *xml != '&');
            assert_true(depth > 0 || isspace((unsigned char)*xml));
            xml++;
            continue;
        }
        bool closing = *++xml == '/';
        xml += closing;
        size_t len = strspn(xml, "abcdefghijklmnopqrstuvwxyz");
        assert_true(len > 0 && len < sizeof open[0] && depth < 15);
        char element[32];
        snprintf(element, sizeof element, "%.*s", (int)len, xml);
        xml += len;
        while (*xml == ' ') {
            xml += 1 + strspn(xml + 1, " ");
            size_t letters =
                strspn(xml, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789");
            if (!letters) break;
            xml += letters;
            assert_true(xml[0] == '=' && xml[1] == '"');
            xml += 2;
            xml += strcspn(xml, "\"<&");
            assert_true(*xml++ == '"');
        }
        bool empty = *xml == '/';
        xml += empty;
        assert_true(*xml++ == '>' && !(empty && closing));
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], element);
            continue;
        }
        found += strcmp(element, name) == 0;
        roots += depth == 0;
        if (!empty) memcpy(open[depth++], element, sizeof element);
    }
    assert_int_equal(depth, 0);
    assert_int_equal(roots, 1);
    return found;
}

static void check_picture(const char *path)
{
    size_t len;
    char *svg = file_read(path, 0, &len);
    assert_non_null(svg);
    assert_true(strlen(svg) == len && strncmp(svg, "<svg ", 5) == 0);
    assert_int_equal(count_elements(svg, "title"), SETTINGS);
    assert_int_equal(count_elements(svg, "polyline"), 3);
    assert_int_equal(count_elements(svg, "path"), SETTINGS + 3); // and the legend's
    assert_null(strstr(svg, "nan"));
    mem_free(svg);
}

static void quick_study(void **state)
{
    (void)state;
    struct process p = {0};
    struct run runs[RUNS];
    size_t len;
    RUN(&p, "study", "--quick", "--seeds", "2", "--output", work("one"));
    expect_code(&p, 0);
    assert_int_equal(read_runs(work("one/results.jsonl"), runs), RUNS);
    check_runs(runs);
    check_table(p.out, runs);
    check_picture(work("one/study.svg"));
    assert_true(file_exists(work("one/runs/dpo-b1-seed2/model.safetensors")));
    char *first = file_read(work("one/results.jsonl"), 0, &len);
    assert_non_null(first);
    // Again into the same folder, with one seed: the same bits, and nothing left of what was there.
    RUN(&p, "study", "--quick", "--seeds", "1", "--output", work("one"));
    expect_code(&p, 0);
    char *again = file_read(work("one/results.jsonl"), 0, &len);
    assert_non_null(again);
    assert_true(len > 0 && strncmp(first, again, len) == 0);
    assert_non_null(strstr(first, "\"seed\": 2"));
    assert_null(strstr(again, "\"seed\": 2"));
    assert_false(file_exists(work("one/runs/dpo-b1-seed2")));
    mem_free(first);
    mem_free(again);
    process_finish(&p);
}

static void stopped_study(void **state)
{
    (void)state;
    struct process p = {0};
    struct run runs[RUNS];
    run_program_until(&p, work("two/results.jsonl"), SIGINT, "study", "--quick", "--seeds", "2",
                      "--output", work("two"), (char *)0);
    expect_error(&p, 1);
    expect_err(&p, "stopped by a signal");
    size_t count = read_runs(work("two/results.jsonl"), runs);
    assert_true(count > 0 && count < RUNS);
    assert_false(file_exists(work("two/study.svg")));
    process_finish(&p);
}

static void wrong_arguments(void **state)
{
    (void)state;
    struct process p = {0};
    RUN(&p, "study", "--seeds", "0", "--output", work("none"));
    expect_error(&p, 2);
    expect_err(&p, "seeds");
    RUN(&p, "study", "--seeds", "101", "--output", work("none"));
    expect_error(&p, 2);
    RUN(&p, "study", "--seeds", "three", "--output", work("none"));
    expect_error(&p, 2);
    RUN(&p, "study", "--quik", "--output", work("none"));
    expect_error(&p, 2);
    expect_err(&p, "quick");
    RUN(&p, "study", "more", "--output", work("none"));
    expect_error(&p, 2);
    RUN(&p, "study", "--output", work_write("file", "text"));
    expect_error(&p, 2);
    expect_err(&p, "is a file");
    assert_false(file_exists(work("none")));
    process_finish(&p);
}

static void folder_of_others_is_left_alone(void **state)
{
    (void)state;
    struct process p = {0};
    assert_true(file_make_dirs(work("other")));
    work_write("other/results.jsonl", "years of work");
    RUN(&p, "study", "--quick", "--output", work("other"));
    expect_error(&p, 2);
    expect_err(&p, "choose another folder");
    assert_true(file_size(work("other/results.jsonl")) == 13);
    process_finish(&p);
}

static int set_up(void **state)
{
    (void)state;
    work_init("test-study");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    work_finish();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(folder_of_others_is_left_alone),
        cmocka_unit_test(quick_study),
        cmocka_unit_test(stopped_study),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
