// AdamW with moments in 8 bits against AdamW with exact ones, both by the double reference: what
// the rounding of the moments costs.
#include "gradient.h"
#include "ops/ref.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 256 * 8, STEPS = 200 };
#define BETA1 0.9
#define BETA2 0.999

struct pair_of_runs {
    double exact_w[N], exact_m[N], exact_v[N];
    double coded_w[N], scales[N / 256 * 2];
    uint8_t m[N], v[N];
};

// One step of both from gradients of their own, which are used up.
static void step(struct pair_of_runs *p, double *exact_grad, double *coded_grad, int t, double lr)
{
    const double c1 = 1 - pow(BETA1, t), c2 = 1 - pow(BETA2, t);
    ref_adamw_f64(&(struct ref_adamw_f64){.weight = p->exact_w,
                                          .grad = exact_grad,
                                          .m = p->exact_m,
                                          .v = p->exact_v,
                                          .count = N,
                                          .clip_factor = 1,
                                          .learning_rate = lr,
                                          .correction1 = c1,
                                          .correction2 = c2,
                                          .beta1 = BETA1,
                                          .beta2 = BETA2,
                                          .epsilon = 1e-8});
    ref_adamw_8bit_f64(&(struct ref_adamw_8bit_f64){.weight = p->coded_w,
                                                    .grad = coded_grad,
                                                    .m = p->m,
                                                    .v = p->v,
                                                    .scales = p->scales,
                                                    .count = N,
                                                    .clip_factor = 1,
                                                    .learning_rate = lr,
                                                    .correction1 = c1,
                                                    .correction2 = c2,
                                                    .beta1 = BETA1,
                                                    .beta2 = BETA2,
                                                    .epsilon = 1e-8});
}

// Each code stands for a value that has this code again, each value has the code whose fourth root
// is nearest, or below 4 one of the two beside it, and larger values never have lower codes.
static void test_codes(void **state)
{
    (void)state;
    for (int k = 0; k < 256; k++) {
        double root = ref_8bit_root_f64((uint8_t)k, 3), m = ref_8bit_first_f64((uint8_t)k, 3);
        assert_true(ref_8bit_root_code_f64(root / 3) == k);
        assert_true(ref_8bit_root_code_f32(ref_8bit_root_f32((uint8_t)k, 1)) == k);
        if (k == 128) continue; // is no code of m
        assert_true(ref_8bit_first_code_f64(fabs(m) / 3) == (k < 128 ? k : 256 - k));
        assert_true(m == 0 ? k == 0 : (m < 0) == (k > 128));
    }
    assert_true(ref_8bit_root_f64(255, 3) == 3 && ref_8bit_first_f64(127, 3) == 3);
    assert_true(ref_8bit_first_f64(129, 3) == -3);
    assert_true(ref_8bit_first_code_f64(1e-15) == 0 && ref_8bit_root_code_f64(1e-30) == 1);
    int last_first = 0, last_root = 0;
    for (int i = 0; i < 100000; i++) {
        double fourth = i / 1e5, share = pow(fourth, 4);
        int first = ref_8bit_first_code_f64(share), root = ref_8bit_root_code_f64(share);
        assert_true(fabs(fourth * 127 - first) <= (first < 4 ? 1 : 0.5 + 1e-9));
        assert_true(fabs(fourth * 255 - root) <= (root < 5 ? 1 : 0.5 + 1e-9));
        assert_true(first < 4 ? first <= fourth * 127 + 0.5 : true);
        assert_true(root < 4 ? root >= fourth * 255 - 0.5 : true);
        assert_true(first >= last_first && root >= last_root);
        last_first = first, last_root = root;
    }
}

// Sum over i of h (w - target)^2 / 2, with h over `decades` powers of ten in each block.
struct quadratic {
    double h[N], target[N];
};

static double loss_of(const struct quadratic *q, const double *w)
{
    double loss = 0;
    for (size_t i = 0; i < N; i++)
        loss += q->h[i] * (w[i] - q->target[i]) * (w[i] - q->target[i]) / 2;
    return loss / N;
}

static void descend(double decades, double noise, double tolerance)
{
    static struct pair_of_runs p;
    static struct quadratic q;
    static double exact[N], coded[N], noises[N];
    memset(&p, 0, sizeof p);
    draw(q.target, N, 1);
    for (size_t i = 0; i < N; i++)
        q.h[i] = pow(10, -decades * draw_below(1000) / 1000.0);
    double start = loss_of(&q, p.exact_w);
    for (int t = 1; t <= STEPS; t++) {
        draw(noises, N, noise);
        for (size_t i = 0; i < N; i++) {
            exact[i] = q.h[i] * (p.exact_w[i] - q.target[i] + noises[i]);
            coded[i] = q.h[i] * (p.coded_w[i] - q.target[i] + noises[i]);
        }
        step(&p, exact, coded, t, 0.02 * (1 - (t - 1) / (double)STEPS));
    }
    double fell = start - loss_of(&q, p.exact_w),
           off = loss_of(&q, p.coded_w) - loss_of(&q, p.exact_w);
    double change = 0, apart = 0;
    for (size_t i = 0; i < N; i++) {
        change += p.exact_w[i] * p.exact_w[i];
        apart += (p.coded_w[i] - p.exact_w[i]) * (p.coded_w[i] - p.exact_w[i]);
    }
    printf("%g decades, noise %g: loss %.6f -> %.6f, coded %+.2e of the fall; weights %.2e off\n",
           decades, noise, start, start - fell, off / fell, sqrt(apart / change));
    assert_true(fell > 0.5 * start);
    assert_true(fabs(off) <= tolerance * fell);
}

// Rounding the moments changes how far the loss falls in 200 steps by less than 1/500 of the fall.
static void test_quadratic(void **state)
{
    (void)state;
    descend(0, 0, 2e-3);
    descend(2, 0, 2e-3);
    descend(2, 1, 2e-3);
    descend(6, 1, 2e-3);
}

// Gradients that come rarely and of very different sizes, whose moments stand at the low end of the
// codes: steps stay of the size that exact moments give them (1.8 times the largest, where codes of
// the nearest alone make it 26 times, and a v rounded to 0 thousands).
static void test_rare_gradients(void **state)
{
    (void)state;
    static struct pair_of_runs p;
    static double exact[N], coded[N], size[N], before[N];
    memset(&p, 0, sizeof p);
    draw(size, N, 3);
    double largest = 0, exact_largest = 0;
    static double exact_before[N];
    for (int t = 1; t <= STEPS; t++) {
        draw(exact, N, 1);
        for (size_t i = 0; i < N; i++)
            exact[i] *= draw_below(20) ? 0 : pow(10, size[i]);
        memcpy(coded, exact, sizeof coded);
        memcpy(before, p.coded_w, sizeof before);
        memcpy(exact_before, p.exact_w, sizeof exact_before);
        step(&p, exact, coded, t, 1);
        for (size_t i = 0; i < N; i++)
            largest = fmax(largest, fabs(p.coded_w[i] - before[i])),
            exact_largest = fmax(exact_largest, fabs(p.exact_w[i] - exact_before[i]));
    }
    printf("largest step: %.2f times the learning rate, %.2f with exact moments\n", largest,
           exact_largest);
    assert_true(largest < 3 * exact_largest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_quadratic),
        cmocka_unit_test(test_rare_gradients),
    };
    return cmocka_run_group_tests_name("reference: AdamW in 8 bits", tests, NULL, NULL);
}
