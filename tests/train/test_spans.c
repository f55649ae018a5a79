// A model whose arenas are cut into several spans does the same steps, bit for bit.
#include "trial.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// cmocka wants the headers above first.
#include <cmocka.h>

// The smallest limit that leaves the largest matrix its span.
static uint64_t smallest_span(const struct model_config *c)
{
    struct model_layout layout;
    uint64_t limit = (uint64_t)1 << 24;
    while (model_layout_init(&layout, c, limit / 2)) {
        model_layout_finish(&layout);
        limit /= 2;
    }
    model_layout_finish(&layout);
    err_clear();
    return limit;
}

static void compare(const char *name, const char *max_grad_norm)
{
    struct trial one, many;
    struct trial_params params = {
        .name = name, .ref = "-ref", .alpha = "0.6", .every = "2", .max_grad_norm = max_grad_norm};
    trial_open(&one, device, &params);
    params.max_span_bytes = smallest_span(&one.f.layout.config);
    trial_open(&many, device, &params);
    assert_int_equal(one.policy.arena.span_count, 1);
    assert_true(many.policy.arena.span_count >= 2);
    assert_true(trial_same_bits(&one.policy, &many.policy));
    for (int step = 1; step <= 3; step++) {
        trial_step(&one, step);
        trial_step(&many, step);
        // The norm is summed in another grouping: the same up to rounding.
        double a = (double)one.results.grad_norm, b = (double)many.results.grad_norm;
        assert_true(a > 0 && fabs(a - b) < 1e-6 * a);
        assert_memory_equal(one.rows, many.rows, sizeof one.rows);
    }
    assert_int_equal(many.results.ref_updates, 1);
    assert_true(trial_same_bits(&one.policy, &many.policy));
    assert_true(trial_same_bits(&one.ref, &many.ref));
    assert_true(trial_same_bits(&one.m, &many.m));
    assert_true(trial_same_bits(&one.v, &many.v));
    assert_false(trial_same_bits(&one.policy, &one.ref));
    trial_close(&one);
    trial_close(&many);
}

// Without clipping, so that the rounding of the norm cannot reach the weights.
static void spans_do_not_show(void **state)
{
    (void)state;
    compare("tiny-gqa", "0");
    compare("tiny-llama3", "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_do_not_show),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
