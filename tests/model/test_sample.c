// Choosing tokens from logits: greedy, filters, and that what is drawn has the right frequencies.
#include "model/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define VOCAB 6
#define DRAWS 20000

// Probabilities 0.4, 0.25, 0.15, 0.1, 0.06, 0.04, not in this order.
static const double probability[VOCAB] = {0.06, 0.4, 0.1, 0.04, 0.25, 0.15};
static float logits[VOCAB];

static int fill(void **state)
{
    (void)state;
    for (int i = 0; i < VOCAB; i++)
        logits[i] = (float)(log(probability[i]) + 3); // any constant may be added
    return 0;
}

static void greedy_takes_the_first_largest(void **state)
{
    (void)state;
    const float tie[] = {1, 5, -2, 5, NAN, 4};
    const struct model_sampling greedy = {0};
    assert_int_equal(model_sample(logits, VOCAB, &greedy, 0, 0), 1);
    assert_int_equal(model_sample(tie, 6, &greedy, 3, 9), 1);
}

static void no_number_no_token(void **state)
{
    (void)state;
    const float bad[] = {NAN, -INFINITY, NAN};
    assert_int_equal(model_sample(bad, 3, &(struct model_sampling){0}, 0, 0), -1);
    assert_int_equal(model_sample(bad, 3, &(struct model_sampling){.temperature = 1}, 0, 0), -1);
}

// Draws with the settings; expects frequencies proportional to `want` within five standard errors,
// and nothing where that is 0.
static void expect_frequencies(const struct model_sampling *settings, const double want[VOCAB])
{
    int count[VOCAB] = {0};
    double total = 0;
    for (int i = 0; i < VOCAB; i++)
        total += want[i];
    for (uint64_t i = 0; i < DRAWS; i++) {
        int32_t id = model_sample(logits, VOCAB, settings, i % 7, i / 7);
        assert_in_range(id, 0, VOCAB - 1);
        count[id]++;
    }
    for (int i = 0; i < VOCAB; i++) {
        double p = want[i] / total, error = sqrt(p * (1 - p) / DRAWS);
        if (fabs((double)count[i] / DRAWS - p) > 5 * error)
            fail_msg("token %d: drawn %d times of %d, want a share of %.3f", i, count[i], DRAWS, p);
    }
}

static void temperature(void **state)
{
    (void)state;
    double sharp[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        sharp[i] = probability[i] * probability[i];
    expect_frequencies(&(struct model_sampling){.temperature = 1, .seed = 1}, probability);
    expect_frequencies(&(struct model_sampling){.temperature = 0.5f, .seed = 2}, sharp);
}

static void top_k(void **state)
{
    (void)state;
    const double want[VOCAB] = {0, 0.4, 0, 0, 0.25, 0.15};
    expect_frequencies(&(struct model_sampling){.temperature = 1, .top_k = 3, .seed = 3}, want);
    expect_frequencies(&(struct model_sampling){.temperature = 1, .top_k = 99, .seed = 4},
                       probability);
}

static void top_p(void **state)
{
    (void)state;
    const double want[VOCAB] = {0, 0.4, 0, 0, 0.25, 0.15};
    // 0.4 + 0.25 = 0.65 < 0.7: the third comes in; 0.4 alone reaches 0.3.
    expect_frequencies(&(struct model_sampling){.temperature = 1, .top_p = 0.7f, .seed = 5}, want);
    const double first[VOCAB] = {0, 1, 0, 0, 0, 0};
    expect_frequencies(&(struct model_sampling){.temperature = 1, .top_p = 0.3f, .seed = 6}, first);
    expect_frequencies(&(struct model_sampling){.temperature = 1, .top_p = 1, .seed = 7},
                       probability);
}

// As in transformers, top-p counts within what top-k left: 0.4, 0.25, 0.15 become 0.5, 0.31, 0.19.
static void top_k_then_top_p(void **state)
{
    (void)state;
    const double want[VOCAB] = {0, 0.4, 0, 0, 0.25, 0};
    expect_frequencies(
        &(struct model_sampling){.temperature = 1, .top_k = 3, .top_p = 0.8f, .seed = 8}, want);
}

static void a_draw_depends_on_its_place_alone(void **state)
{
    (void)state;
    const struct model_sampling settings = {.temperature = 1, .seed = 42};
    int32_t forward[200];
    int differ = 0, other = 0;
    for (int i = 0; i < 200; i++)
        forward[i] = model_sample(logits, VOCAB, &settings, 5, (uint64_t)i);
    for (int i = 199; i >= 0; i--) {
        assert_int_equal(model_sample(logits, VOCAB, &settings, 5, (uint64_t)i), forward[i]);
        differ += model_sample(logits, VOCAB, &settings, 6, (uint64_t)i) != forward[i];
        const struct model_sampling seed = {.temperature = 1, .seed = 43};
        other += model_sample(logits, VOCAB, &seed, 5, (uint64_t)i) != forward[i];
    }
    assert_true(differ > 50 && other > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_first_largest),
        cmocka_unit_test(no_number_no_token),
        cmocka_unit_test(temperature),
        cmocka_unit_test(top_k),
        cmocka_unit_test(top_p),
        cmocka_unit_test(top_k_then_top_p),
        cmocka_unit_test(a_draw_depends_on_its_place_alone),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
