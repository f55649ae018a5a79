// What the study reckons with: its task's judge, its statistics, its picture.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/study/study.h"
#include "cli/study/world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Prompt 0 is hungry (bread, pears, cheese, nuts), prompt 12 is cold.
static int points(uint32_t prompt, const char *text)
{
    return study_judge(prompt, text, strlen(text), true).points;
}

static void judge_counts_points(void **state)
{
    (void)state;
    assert_int_equal(points(0, "Take fresh bread."), 3);
    assert_int_equal(points(11, "Take fresh bread."), 3); // still hungry
    assert_int_equal(points(12, "Take fresh bread."), 1); // cold: no need of it
    assert_int_equal(points(12, "Take good scarves."), 3);
    assert_int_equal(points(0, "Take damp bread."), -1);
    assert_int_equal(points(0, "Take fresh bread, new bread."), 3 - 1);
    assert_int_equal(points(0, "Take damp bread, new bread."), -1 - 1);
    const char best[] = "Take fresh bread, new pears, fine cheese, good nuts.";
    assert_int_equal(points(0, best), 12);
    struct study_score s = study_judge(0, best, strlen(best), true);
    assert_true(s.whole && s.things == 4 && study_reward(&s) == 1.0);
    // A fifth thing costs, however good or bad it is.
    assert_int_equal(points(0, "Take fresh bread, new pears, fine cheese, good nuts, clean coats."),
                     12 - 3);
    assert_int_equal(
        points(0, "Take fresh bread, new pears, fine cheese, good nuts, damp coats, new coats."),
        12 - 6);
}

static void judge_knows_what_is_no_list(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int points;
    } cases[] = {
        {"", -3},
        {"Take", -3},
        {"Take.", -3},
        {"take fresh bread.", -3},
        {"Takes fresh bread.", -3},
        {"Take fresh.", -3},
        {"Take bread.", -3},
        {"Take fresh fresh bread.", -3},
        {"Take fresh breads.", -3},
        {"Take  fresh bread.", -3},
        {"Take fresh bread", -3},           // no end to the thing
        {"Take fresh bread,", 3 - 3},       // a thing, then nothing
        {"Take fresh bread. ", 3 - 3},      // something behind the end
        {"Take fresh bread. Take", 3 - 3},  //
        {"Take fresh bread, pears.", 3 - 3} //
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct study_score s = study_judge(0, cases[i].text, strlen(cases[i].text), true);
        assert_int_equal(s.points, cases[i].points);
        assert_false(s.whole);
    }
    // The same text, cut off there by its length, or with a NUL inside.
    struct study_score s = study_judge(0, "Take fresh bread.", 17, false);
    assert_true(s.points == 0 && !s.whole);
    s = study_judge(0, "Take fresh bread.\0.", 19, true);
    assert_true(s.points == 0 && !s.whole);
}

static void answers_are_lists(void **state)
{
    (void)state;
    struct rng rng = rng_begin(7, RNG_TEST);
    double reward = 0;
    uint32_t lengths[8] = {0};
    for (int i = 0; i < 2000; i++) {
        struct str answer = {0};
        uint32_t prompt = (uint32_t)rng_below(&rng, STUDY_PROMPTS);
        study_answer(&answer, &rng);
        struct study_score s = study_judge(prompt, answer.data, answer.len, true);
        assert_true(s.whole && s.things >= 1 && s.things <= 6);
        lengths[s.things]++;
        reward += study_reward(&s) / 2000;
        str_finish(&answer);
    }
    for (int i = 1; i <= 6; i++)
        assert_true(lengths[i] > 50);
    assert_true(lengths[5] + lengths[6] < 400); // few are longer than is good
    assert_true(reward > 0 && reward < 0.2);    // and much is left to learn
    uint32_t held_out = 0;
    for (uint32_t p = 0; p < STUDY_PROMPTS; p++)
        held_out += study_is_held_out(p);
    assert_int_equal(held_out, STUDY_PROMPTS / 4);
}

// ---- statistics ----

static void add_run(struct study_results *r, size_t setting, uint64_t seed, double reward,
                    double kl)
{
    struct study_run run = {.setting = setting, .seed = seed, .m = {.reward = reward, .kl = kl}};
    ARRAY_PUSH(&r->runs, run);
}

// Two betas of DPO, one of TR-DPO; two seeds.
static struct study_results make_results(void)
{
    struct study_results r = {.seeds = 2, .start = {.reward = 0.1}};
    ARRAY_PUSH(&r.settings, (struct study_setting){STUDY_DPO, 1, 0, 0});
    ARRAY_PUSH(&r.settings, (struct study_setting){STUDY_DPO, 0.1, 0, 0});
    ARRAY_PUSH(&r.settings, (struct study_setting){STUDY_HARD, 1, 1, 8});
    add_run(&r, 0, 1, 0.3, 1);
    add_run(&r, 1, 1, 0.2, 5);
    add_run(&r, 2, 1, 0.45, 2);
    add_run(&r, 0, 2, 0.5, 1);
    add_run(&r, 1, 2, 0.0, 3);
    add_run(&r, 2, 2, 0.55, 4);
    study_summarise(&r);
    return r;
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-12;
}

static void spreads_are_right(void **state)
{
    (void)state;
    const double values[] = {1, 2, 4, 5}, one[] = {3};
    struct study_spread s = study_spread_of(values, 4);
    assert_true(near(s.mean, 3) && near(s.deviation, sqrt(10.0 / 3)));
    s = study_spread_of(one, 1);
    assert_true(s.mean == 3 && s.deviation == 0);
    struct study_results r = make_results();
    assert_true(near(r.points[0].reward.mean, 0.4));
    assert_true(near(r.points[0].reward.deviation, sqrt(0.02)));
    assert_true(near(r.points[1].kl.mean, 4) && near(r.points[1].kl.deviation, sqrt(2)));
    // 0.45 - 0.3 and 0.55 - 0.5
    s = study_difference(&r, 2, 0);
    assert_true(near(s.mean, 0.1) && near(s.deviation, sqrt(0.005)));
    study_results_finish(&r);
}

static void best_within_a_kl(void **state)
{
    (void)state;
    struct study_results r = make_results();
    assert_int_equal(study_best(&r, STUDY_DPO, 0.9), -1);
    assert_int_equal(study_best(&r, STUDY_DPO, 1), 0);
    assert_int_equal(study_best(&r, STUDY_DPO, 100), 0); // the other is further away, and worse
    assert_int_equal(study_best(&r, STUDY_HARD, 2.9), -1);
    assert_int_equal(study_best(&r, STUDY_HARD, 3), 2);
    assert_int_equal(study_best(&r, STUDY_SOFT, 100), -1);
    study_results_finish(&r);
}

static void reward_between_settings(void **state)
{
    (void)state;
    struct study_results r = make_results();
    struct study_spread s;
    assert_int_equal(study_curve_end(&r, 0), 2);
    assert_int_equal(study_curve_end(&r, 2), 3);
    // From the start: halfway to 0.3 and to 0.5.
    assert_true(study_reward_at(&r, 0, 0.5, &s));
    assert_true(near(s.mean, (0.2 + 0.3) / 2) && near(s.deviation, 0.1 / sqrt(2)));
    // Between the two: a quarter of the way from 0.3 to 0.2, half of it from 0.5 to 0.
    assert_true(study_reward_at(&r, 0, 2, &s));
    assert_true(near(s.mean, (0.275 + 0.25) / 2));
    assert_true(study_reward_at(&r, 0, 3, &s));
    assert_false(study_reward_at(&r, 0, 3.1, &s)); // one seed does not come so far
    study_results_finish(&r);
}

static void methods_have_as_many_settings(void **state)
{
    (void)state;
    for (int quick = 0; quick < 2; quick++) {
        struct study_results r = {0};
        study_make_settings(&r, quick);
        uint32_t counts[STUDY_METHODS] = {0};
        for (size_t i = 0; i < r.settings.count; i++)
            counts[r.settings.items[i].method]++;
        assert_true(counts[STUDY_DPO] > 1);
        for (int m = 0; m < STUDY_METHODS; m++)
            assert_int_equal(counts[m], counts[STUDY_DPO]);
        for (size_t first = 0; first < r.settings.count; first = study_curve_end(&r, first))
            for (size_t i = first + 1; i < study_curve_end(&r, first); i++)
                assert_true(r.settings.items[i].beta < r.settings.items[i - 1].beta);
        study_results_finish(&r);
    }
}

// ---- picture ----

static double attribute(const char *from, const char *name)
{
    const char *at = strstr(from, name);
    assert_non_null(at);
    return strtod(at + strlen(name), NULL);
}

// Where the marks stand: a larger reward higher, a larger KL further right, each factor of KL the
// same way.
static void picture_places_marks(void **state)
{
    (void)state;
    struct study_results r = make_results();
    struct str svg = {0};
    study_plot(&r, &svg);
    const char *at = svg.data;
    double x[3], y[3];
    for (int i = 0; i < 3; i++) {
        at = strstr(at, "</title>");
        assert_non_null(at);
        const char *path = strstr(at, "d=\"M");
        assert_non_null(path);
        char *end;
        x[i] = strtod(path + 4, &end);
        y[i] = strtod(end, NULL);
        at = path;
    }
    // KL 1, 4, 3; rewards 0.4, 0.1, 0.5.
    assert_true(x[0] < x[2] && x[2] < x[1]);
    assert_true(fabs((x[2] - x[0]) / (x[1] - x[0]) - log(3) / log(4)) < 0.002);
    assert_true(y[2] < y[0] && y[0] < y[1]);
    assert_true(fabs((y[1] - y[0]) / (y[1] - y[2]) - 0.75) < 0.002);
    double width = attribute(svg.data, "width=\""), height = attribute(svg.data, "height=\"");
    for (int i = 0; i < 3; i++)
        assert_true(x[i] > 0 && x[i] < width && y[i] > 0 && y[i] < height);
    str_finish(&svg);
    study_results_finish(&r);
}

// Measures at the edges still make a picture without NaN: one seed, all the same, a KL below 0.
static void picture_of_odd_results(void **state)
{
    (void)state;
    struct study_results r = {.seeds = 1};
    struct str svg = {0};
    ARRAY_PUSH(&r.settings, (struct study_setting){STUDY_DPO, 1, 0, 0});
    add_run(&r, 0, 1, 0, -0.01);
    study_summarise(&r);
    study_plot(&r, &svg);
    assert_null(strstr(svg.data, "nan"));
    assert_null(strstr(svg.data, "inf"));
    assert_non_null(strstr(svg.data, "1 seed;"));
    str_finish(&svg);
    study_results_finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judge_counts_points),
        cmocka_unit_test(judge_knows_what_is_no_list),
        cmocka_unit_test(answers_are_lists),
        cmocka_unit_test(spreads_are_right),
        cmocka_unit_test(best_within_a_kl),
        cmocka_unit_test(reward_between_settings),
        cmocka_unit_test(methods_have_as_many_settings),
        cmocka_unit_test(picture_places_marks),
        cmocka_unit_test(picture_of_odd_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
