// The double reference of loss.h and update.h against closed forms, finite differences, and the
// oracles of the method.
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

struct pref {
    double logp[S], ref_logp[S], entropy[S], is_argmax[S], dlogp[S];
    struct ref_pair_f64 pairs[PAIRS];
    double beta, smoothing, scale;
};

static double pref_objective(void *ctx)
{
    struct pref *p = ctx;
    ref_pref_loss_f64(&(struct ref_pref_loss_f64){.dlogp = p->dlogp,
                                                  .pairs_out = p->pairs,
                                                  .logp = p->logp,
                                                  .ref_logp = p->ref_logp,
                                                  .entropy = p->entropy,
                                                  .is_argmax = p->is_argmax,
                                                  .sequence_first = first,
                                                  .pairs = PAIRS,
                                                  .beta = p->beta,
                                                  .label_smoothing = p->smoothing,
                                                  .loss_scale = p->scale});
    double loss = 0;
    for (size_t i = 0; i < PAIRS; i++)
        loss += p->pairs[i].loss * p->scale;
    return loss;
}

static void init_pref(struct pref *p, double beta, double smoothing, double scale)
{
    *p = (struct pref){.beta = beta, .smoothing = smoothing, .scale = scale};
    draw(p->logp, S, 2);
    draw(p->ref_logp, S, 2);
    draw(p->entropy, S, 1);
    for (size_t i = 0; i < S; i++)
        p->is_argmax[i] = draw_below(2);
}

static void test_pref_gradient(void **state)
{
    const double smoothing[] = {0, 0.1, 0.5, 1};
    (void)state;
    for (size_t i = 0; i < LENGTH(smoothing); i++) {
        struct pref p;
        double dlogp[S];
        init_pref(&p, 0.3, smoothing[i], 0.25);
        pref_objective(&p);
        memcpy(dlogp, p.dlogp, sizeof dlogp);
        check_gradient("dlogp", p.logp, S, dlogp, pref_objective, &p);
    }
}

// Policy = reference: rewards 0, loss ln 2, gradient -beta/2 (grad logp_w - grad logp_l).
static void test_pref_oracle(void **state)
{
    (void)state;
    struct pref p;
    init_pref(&p, 0.05, 0, 1.0 / PAIRS);
    memcpy(p.ref_logp, p.logp, sizeof p.logp);
    check_near("mean loss", pref_objective(&p), log(2), 1e-15);
    for (size_t i = 0; i < PAIRS; i++) {
        assert_true(p.pairs[i].reward_chosen == 0 && p.pairs[i].reward_rejected == 0);
        for (size_t j = first[2 * i]; j < first[2 * i + 2]; j++)
            check_near("dlogp", p.dlogp[j], (j < first[2 * i + 1] ? -1 : 1) * 0.05 / 2 / PAIRS,
                       1e-16);
    }
    p.smoothing = 0.2; // which is no matter at D = 0
    check_near("mean loss", pref_objective(&p), log(2), 1e-15);
}

// One pair by hand: u_w = 1.5, u_l = -0.5, beta 0.5, so z = 1.
static void test_pref_by_hand(void **state)
{
    (void)state;
    struct pref p = {.logp = {-1, -2, 0.5, -1, -1.5}, .beta = 0.5, .smoothing = 0.1, .scale = 2};
    p.ref_logp[0] = -3.5;
    p.ref_logp[1] = -1;
    p.ref_logp[2] = 0.5;
    p.ref_logp[3] = -1.25;
    p.ref_logp[4] = -0.75;
    p.entropy[0] = 1;
    p.entropy[4] = 2;
    p.is_argmax[1] = p.is_argmax[3] = 1;
    pref_objective(&p);
    const struct ref_pair_f64 *m = &p.pairs[0];
    const double minus = 0.31326168751822283, plus = 1.3132616875182228; // -log s(1), -log s(-1)
    check_near("loss", m->loss, 0.9 * minus + 0.1 * plus, 1e-15);
    check_near("reward_chosen", m->reward_chosen, 0.75, 1e-15);
    check_near("reward_rejected", m->reward_rejected, -0.25, 1e-15);
    check_near("logp_chosen", m->logp_chosen, -2.5, 1e-15);
    check_near("ref_logp_rejected", m->ref_logp_rejected, -2, 1e-15);
    check_near("entropy", m->entropy, 3, 1e-15);
    check_near("accurate", m->accurate, 1, 1e-15); // of the chosen completion alone
    check_near("chosen_tokens", m->chosen_tokens, 3, 0);
    check_near("tokens", m->tokens, 5, 0);
    // d(-ls(b D)) / d logp_w = -b s(-b D); with smoothing also + E b s(b D).
    const double s = 0.7310585786300049;
    check_near("dlogp", p.dlogp[0], 2 * 0.5 * (-0.9 * (1 - s) + 0.1 * s), 1e-15);
    check_near("dlogp", p.dlogp[4], -p.dlogp[0], 0);
}

// Far out, the loss is the straight line -z on one side and exp(-z) on the other.
static void test_pref_far(void **state)
{
    (void)state;
    struct pref p = {.beta = 1, .scale = 1};
    p.logp[0] = 2000;
    p.logp[3] = 1250;
    pref_objective(&p);
    assert_true(p.pairs[0].loss >= 0 && p.pairs[0].loss < 1e-300);
    p.logp[0] = 50;
    p.logp[3] = 0;
    pref_objective(&p);
    if (!(fabs(p.pairs[0].loss / exp(-50) - 1) < 1e-14)) fail_msg("%g", p.pairs[0].loss);
    p.logp[3] = 1250;
    pref_objective(&p);
    check_near("loss", p.pairs[0].loss, 1200, 0);
    check_near("dlogp", p.dlogp[0], -1, 0);
}

static void test_sft(void **state)
{
    (void)state;
    struct pref p;
    struct ref_sequence_f64 out[R];
    double sums[R], dlogp[S];
    init_pref(&p, 1, 0, 1);
    ref_sft_loss_f64(&(struct ref_sft_loss_f64){.dlogp = dlogp,
                                                .sequences_out = out,
                                                .logp = p.logp,
                                                .entropy = p.entropy,
                                                .is_argmax = p.is_argmax,
                                                .sequence_first = first,
                                                .sequences = R,
                                                .loss_scale = 0.125});
    ref_sequence_sums_f64(sums, p.logp, first, R);
    double all = 0, tokens = 0;
    for (size_t r = 0; r < R; r++) {
        assert_true(out[r].logp == sums[r]);
        all += sums[r];
        tokens += out[r].tokens;
    }
    double every = 0;
    for (size_t j = 0; j < S; j++) {
        every += p.logp[j];
        assert_true(dlogp[j] == -0.125); // the loss is linear in each log-prob
    }
    check_near("sum", all, every, 1e-14);
    check_near("tokens", tokens, S, 0);
    assert_true(sums[4] == 0);
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
        cmocka_unit_test(test_pref_gradient),
        cmocka_unit_test(test_pref_oracle),
        cmocka_unit_test(test_pref_by_hand),
        cmocka_unit_test(test_pref_far),
        cmocka_unit_test(test_sft),
        cmocka_unit_test(test_grad_norm),
        cmocka_unit_test(test_adamw_constant),
        cmocka_unit_test(test_adamw_nonfinite),
        cmocka_unit_test(test_ref_update),
    };
    return cmocka_run_group_tests_name("reference: losses and updates", tests, NULL, NULL);
}
