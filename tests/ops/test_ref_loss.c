// The double reference of loss.h and update.h against closed forms, finite differences, and the
// oracles of the method. Losses of pairs are test_ref_pref.c's.
#include "gradient.h"
#include "ops/ref.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

// ---- losses ----

enum { PAIRS = 3, R = 2 * PAIRS, S = 14 };

static const uint32_t first[R + 1] = {0, 3, 5, 6, 10, 10, 14}; // the third chosen has no token

static void test_sft(void **state)
{
    (void)state;
    double logp[S], entropy[S], is_argmax[S];
    struct ref_sequence_f64 out[R];
    double sums[R], dlogp[S];
    draw(logp, S, 2);
    draw(entropy, S, 1);
    for (size_t i = 0; i < S; i++)
        is_argmax[i] = draw_below(2);
    ref_sft_loss_f64(&(struct ref_sft_loss_f64){.dlogp = dlogp,
                                                .sequences_out = out,
                                                .logp = logp,
                                                .entropy = entropy,
                                                .is_argmax = is_argmax,
                                                .sequence_first = first,
                                                .sequences = R,
                                                .loss_scale = 0.125});
    ref_sequence_sums_f64(sums, logp, first, R);
    double all = 0, tokens = 0;
    for (size_t r = 0; r < R; r++) {
        assert_true(out[r].logp == sums[r]);
        all += sums[r];
        tokens += out[r].tokens;
    }
    double every = 0;
    for (size_t j = 0; j < S; j++) {
        every += logp[j];
        assert_true(dlogp[j] == -0.125); // the loss is linear in each log-prob
    }
    check_near("sum", all, every, 1e-14);
    check_near("tokens", tokens, S, 0);
    assert_true(sums[4] == 0);
}

// ---- unpaired completions ----

struct unpaired {
    double logp[S], ref_logp[S], entropy[S], is_argmax[S], dlogp[S], kl_ratios[R + 4];
    struct ref_unpaired_f64 out[R];
    bool kto;
};
static const uint32_t labels[R] = {1, 0, 0, 1, 1, 0};

// The batch is rows 2 to 8 of the step; the others' ratios are NaN.
static double unpaired_objective(void *ctx)
{
    struct unpaired *u = ctx;
    ref_unpaired_loss_f64(&(struct ref_unpaired_loss_f64){.dlogp = u->dlogp,
                                                          .out = u->out,
                                                          .logp = u->logp,
                                                          .ref_logp = u->ref_logp,
                                                          .entropy = u->entropy,
                                                          .is_argmax = u->is_argmax,
                                                          .kl_ratios = u->kto ? u->kl_ratios : NULL,
                                                          .sequence_first = first,
                                                          .labels = labels,
                                                          .sequences = R,
                                                          .batch_first = 2,
                                                          .batch_rows = R,
                                                          .beta = 0.3,
                                                          .desirable_weight = 1.5,
                                                          .undesirable_weight = 0.5,
                                                          .loss_scale = 0.25});
    double loss = 0;
    for (size_t r = 0; r < R; r++)
        loss += u->out[r].loss * 0.25;
    return loss;
}

static void init_unpaired(struct unpaired *u, bool kto, double ratio)
{
    *u = (struct unpaired){.kto = kto};
    draw(u->logp, S, 1);
    draw(u->ref_logp, S, 1);
    draw(u->entropy, S, 1);
    for (size_t i = 0; i < R + 4; i++)
        u->kl_ratios[i] = i < 2 || i >= 2 + R ? NAN : ratio + 0.1 * (double)i;
}

static void test_unpaired_gradient(void **state)
{
    (void)state;
    for (int kto = 0; kto < 2; kto++) {
        struct unpaired u;
        double dlogp[S];
        init_unpaired(&u, kto, 0.2);
        unpaired_objective(&u);
        memcpy(dlogp, u.dlogp, sizeof dlogp);
        check_gradient("dlogp", u.logp, S, dlogp, unpaired_objective, &u);
    }
}

// KTO's value is the sigmoid of the reward against KL, which is the batch's mean and at least 0.
static void test_unpaired_by_hand(void **state)
{
    (void)state;
    struct unpaired u;
    init_unpaired(&u, true, 0.2);
    unpaired_objective(&u);
    check_near("KL", u.out[0].kl, 0.2 + 0.1 * 4.5, 1e-15);
    for (size_t r = 0; r < R; r++) {
        double z = 0.3 * (u.out[r].logp - u.out[r].ref_logp - u.out[r].kl);
        double want = labels[r] ? 1.5 / (1 + exp(z)) : 0.5 / (1 + exp(-z));
        check_near("loss", u.out[r].loss, want, 1e-14);
        check_near("label", u.out[r].label, labels[r], 0);
    }
    init_unpaired(&u, true, -3);
    memcpy(u.ref_logp, u.logp, sizeof u.logp);
    unpaired_objective(&u);
    for (size_t r = 0; r < R; r++) {
        double weight = labels[r] ? 1.5 : 0.5;
        assert_true(u.out[r].kl == 0 && u.out[r].reward == 0 && u.out[r].loss == weight / 2);
        for (size_t j = first[r]; j < first[r + 1]; j++)
            check_near("dlogp", u.dlogp[j], (labels[r] ? -1 : 1) * 0.25 * weight * 0.3 / 4, 1e-15);
    }
    double sums[R];
    init_unpaired(&u, false, 0);
    unpaired_objective(&u);
    ref_ratio_sums_f64(sums, u.logp, u.ref_logp, first, R);
    for (size_t r = 0; r < R; r++) {
        assert_true(u.out[r].kl == 0);
        check_near("ratio", sums[r] * 0.3, u.out[r].reward, 1e-15);
        double p = 1 / (1 + exp(-u.out[r].reward)); // APO-zero: 1 - s(b u) or s(b u)
        check_near("loss", u.out[r].loss, labels[r] ? 1.5 * (1 - p) : 0.5 * p, 1e-14);
    }
}

// ---- gradient norm ----

static void test_grad_norm(void **state)
{
    (void)state;
    const double grad[] = {3, 0, -4, 12};
    struct ref_grad_norm_f64 p = {.grad = grad, .count = 4};
    ref_grad_norm_f64(&p);
    check_near("norm", p.norm, 13, 1e-15);
    check_near("factor without a limit", p.clip_factor, 1, 0);
    p.max_norm = 13.5;
    ref_grad_norm_f64(&p);
    check_near("factor below the limit", p.clip_factor, 1, 0);
    p.max_norm = 6.5;
    ref_grad_norm_f64(&p);
    check_near("factor", p.clip_factor, 6.5 / 13.000001, 1e-15);
    const double bad[] = {1, NAN, INFINITY, -INFINITY, 2};
    struct ref_grad_norm_f64 q = {.grad = bad, .count = 5, .max_norm = 1};
    ref_grad_norm_f64(&q);
    assert_int_equal(q.nonfinite, 3);
}

// ---- AdamW ----

// With one gradient for ever, m / c1 = g and v / c2 = g^2 in every step, so that each step is
// lr g / (|g| + eps) after the decay.
static void test_adamw_constant(void **state)
{
    (void)state;
    enum { N = 512 };
    static double w[N], g[N], m[N], v[N], want[N], gradient[N];
    const uint32_t decay = 2; // the second block of 256 only
    const double lr = 0.01, wd = 0.1, eps = 1e-3, clip = 0.5;
    draw(w, N, 1);
    draw(gradient, N, 1);
    memcpy(want, w, sizeof w);
    for (int t = 1; t <= 5; t++) {
        memcpy(g, gradient, sizeof g);
        ref_adamw_f64(&(struct ref_adamw_f64){.weight = w,
                                              .grad = g,
                                              .m = m,
                                              .v = v,
                                              .count = N,
                                              .decay = &decay,
                                              .clip_factor = clip,
                                              .learning_rate = lr,
                                              .correction1 = 1 - pow(0.9, t),
                                              .correction2 = 1 - pow(0.99, t),
                                              .beta1 = 0.9,
                                              .beta2 = 0.99,
                                              .epsilon = eps,
                                              .weight_decay = wd});
        for (size_t i = 0; i < N; i++) {
            double step = clip * gradient[i];
            want[i] = want[i] * (i >= 256 ? 1 - lr * wd : 1) - lr * step / (fabs(step) + eps);
            check_near("weight", w[i], want[i], 1e-12);
            assert_true(g[i] == 0);
        }
    }
}

static void test_adamw_nonfinite(void **state)
{
    (void)state;
    double w = 1, g = NAN, m = 2, v = 3;
    ref_adamw_f64(&(struct ref_adamw_f64){
        .weight = &w, .grad = &g, .m = &m, .v = &v, .count = 1, .nonfinite = 1});
    assert_true(w == 1 && isnan(g) && m == 2 && v == 3);
}

// ---- reference update ----

// Soft updates: phi_t = (1 - a)^t phi_0 + sum_k a (1 - a)^k theta_{t - k}.
static void test_ref_update(void **state)
{
    (void)state;
    enum { N = 6, STEPS = 7 };
    double theta[STEPS + 1][N], phi[N], start[N];
    const double a = 0.3;
    draw(start, N, 1);
    memcpy(phi, start, sizeof phi);
    for (int t = 1; t <= STEPS; t++) {
        draw(theta[t], N, 1);
        ref_ref_update_f64(phi, theta[t], N, a);
    }
    for (size_t i = 0; i < N; i++) {
        double want = pow(1 - a, STEPS) * start[i];
        for (int k = 0; k < STEPS; k++)
            want += a * pow(1 - a, k) * theta[STEPS - k][i];
        check_near("reference", phi[i], want, 1e-14);
    }
    ref_ref_update_f64(phi, theta[1], N, 1);
    assert_memory_equal(phi, theta[1], sizeof phi);
    ref_ref_update_f64(phi, theta[2], N, 0);
    assert_memory_equal(phi, theta[1], sizeof phi);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sft),
        cmocka_unit_test(test_unpaired_gradient),
        cmocka_unit_test(test_unpaired_by_hand),
        cmocka_unit_test(test_grad_norm),
        cmocka_unit_test(test_adamw_constant),
        cmocka_unit_test(test_adamw_nonfinite),
        cmocka_unit_test(test_ref_update),
    };
    return cmocka_run_group_tests_name("reference: losses and updates", tests, NULL, NULL);
}
