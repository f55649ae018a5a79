// The double reference of the losses of pairs against PyTorch, finite differences, and the oracles
// of the method.
#include "gradient.h"
#include "ops/loss.h"
#include "ops/ref.h"
#include "pref_oracles.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    PAIRS = ORACLE_PAIRS,
    R = 2 * PAIRS,
    S = ORACLE_SCORED,
    BEFORE = 3,
    ROWS = BEFORE + PAIRS + 1
};
#define SCALE (1.0 / PAIRS)

// The pairs are a whole batch, rows BEFORE on of the step; the other rows of its table are NaN.
struct pref {
    const struct pref_settings *settings;
    double logp[S], ref_logp[S], collision[S], entropy[S], is_argmax[S], dlogp[S];
    // WPO's weights and KTO's divergences have no gradient: as logp moves, logp - collision and the
    // table stay if these say so.
    bool keep_weights, keep_table;
    double offset[S]; // logp - collision
    struct ref_pair_sums_f64 table[ROWS];
    struct ref_pair_f64 pairs[PAIRS];
};

static double objective_of(void *ctx)
{
    struct pref *p = ctx;
    for (size_t i = 0; p->keep_weights && i < S; i++)
        p->collision[i] = p->logp[i] - p->offset[i];
    struct ref_pref_loss_f64 ref = {.dlogp = p->dlogp,
                                    .pairs_out = p->pairs,
                                    .logp = p->logp,
                                    .ref_logp = p->ref_logp,
                                    .entropy = p->entropy,
                                    .is_argmax = p->is_argmax,
                                    .collision = p->collision,
                                    .sequence_first = oracle_first,
                                    .pairs = PAIRS,
                                    .loss_scale = SCALE,
                                    .settings = p->settings,
                                    .batch = p->table,
                                    .first_row = BEFORE,
                                    .batch_first = BEFORE,
                                    .batch_rows = PAIRS,
                                    .batch_tokens = 3 + 1 + 2 + 4};
    if (!p->keep_table) ref_pair_sums_f64(p->table + BEFORE, &ref);
    ref_pref_loss_f64(&ref);
    double loss = 0;
    for (size_t i = 0; i < PAIRS; i++)
        loss += p->pairs[i].loss * SCALE;
    return loss;
}

static void init_pref(struct pref *p, const struct pref_settings *settings)
{
    *p = (struct pref){.settings = settings};
    memcpy(p->logp, oracle_logp, sizeof p->logp);
    memcpy(p->ref_logp, oracle_ref, sizeof p->ref_logp);
    memcpy(p->collision, oracle_collision, sizeof p->collision);
    for (size_t i = 0; i < S; i++) {
        p->entropy[i] = (double)i;
        p->is_argmax[i] = i % 3 == 0;
        p->offset[i] = p->logp[i] - p->collision[i];
    }
    for (size_t i = 0; i < ROWS; i++)
        p->table[i] = (struct ref_pair_sums_f64){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
}

static void test_pytorch(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(oracles); i++) {
        const struct oracle *o = &oracles[i];
        struct pref p;
        init_pref(&p, &o->settings);
        check_near(o->name, objective_of(&p), o->loss, 1e-12);
        for (size_t r = 0; r < R; r++) {
            check_near(o->name, p.dlogp[oracle_first[r]], o->first[r], 1e-12);
            check_near(o->name, p.dlogp[oracle_first[r + 1] - 1], o->last[r], 1e-12);
        }
    }
}

static bool has_term(const struct pref_settings *s, uint32_t type)
{
    for (uint32_t i = 0; i < s->terms; i++)
        if (s->type[i] == type) return true;
    return false;
}

// Every token's derivative, at the oracles' point and at others. Log-probs stay below 0, and no
// hinge or sort lies within a step of its kink: that would show as a failure, and the seed is
// fixed.
static void test_gradients(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(oracles); i++)
        for (int round = 0; round < 4; round++) {
            const struct oracle *o = &oracles[i];
            struct pref p;
            double dlogp[S], noise[S];
            init_pref(&p, &o->settings);
            draw(noise, S, round ? 0.3 : 0);
            for (size_t j = 0; j < S; j++) {
                p.logp[j] = fmin(p.logp[j] + noise[j], -0.05);
                p.offset[j] = p.logp[j] - p.collision[j];
            }
            objective_of(&p);
            memcpy(dlogp, p.dlogp, sizeof dlogp);
            p.keep_weights = (o->settings.flags & PREF_WEIGHTED) != 0;
            p.keep_table = has_term(&o->settings, PREF_KTO_PAIR);
            check_gradient(o->name, p.logp, S, dlogp, objective_of, &p);
        }
}

// Policy = reference: D = 0 and rewards are 0, whatever else is chosen; loss and slopes by u_w and
// u_l, which means divide by the lengths.
static void test_equal(void **state)
{
    (void)state;
    const double ln2 = 0.69314718055994531, exo = -log(4 * (double)0.1f * (1 - (double)0.1f)) / 2;
    const double exo_slope = log((double)0.1f / (1 - (double)0.1f)) / 4;
    const struct {
        struct pref_settings settings;
        double loss, w, l; // slopes by beta u
        bool means;
    } cases[] = {
        {{ONE(PREF_SIGMOID), .beta = 0.25f}, ln2, -0.5, 0.5, false},
        {{ONE(PREF_SIGMOID), .beta = 0.25f, .label_smoothing = 0.25f}, ln2, -0.25, 0.25, false},
        {{ONE(PREF_SIGMOID_NORM), .beta = 0.25f}, ln2, -0.5, 0.5, true},
        {{ONE(PREF_ROBUST), .beta = 0.25f, .label_smoothing = 0.25f}, ln2, -1, 1, false},
        {{ONE(PREF_HINGE), .beta = 0.25f}, 1, -1, 1, false},
        {{ONE(PREF_IPO), .beta = 0.25f}, 4, -16, 16, true}, // 1 / (4 b^2) and -1 / b by u
        {{ONE(PREF_IPO_SUM), .beta = 0.25f}, 4, -16, 16, false},
        {{ONE(PREF_SPPO_HARD), .beta = 0.25f}, 8, -16, 16, false},
        {{ONE(PREF_EXO_PAIR), .beta = 0.25f, .label_smoothing = 0.1f},
         exo,
         exo_slope,
         -exo_slope,
         false},
        {{ONE(PREF_NCA_PAIR), .beta = 0.25f}, 2 * ln2, -0.25, 0.25, false},
        {{ONE(PREF_BCO_PAIR), .beta = 0.25f}, 2 * ln2, -0.5, 0.5, false},
        {{ONE(PREF_APO_ZERO), .beta = 0.25f}, 1, -0.25, 0.25, false},
        {{ONE(PREF_APO_DOWN), .beta = 0.25f}, 1, 0, 0.25, false},
        {{ONE(PREF_KTO_PAIR), .beta = 0.25f}, 1, -0.25, 0.25, false},
        {{ONE(PREF_AOT), .beta = 0.25f}, ln2, -0.5, 0.5, false},
        {{ONE(PREF_AOT_UNPAIRED), .beta = 0.25f, .label_smoothing = 0.25f},
         ln2,
         -0.25,
         0.25,
         false},
        // m = 1/2: -s(0)/2 + (ls(0) + 1) / (4 tau) - 1/2
        {{ONE(PREF_DISCOPOP), .beta = 0.25f, .discopop_tau = 0.5f},
         ln2 / 2 + 0.5,
         -0.25 + (1 - ln2) / 2 - 0.5,
         0.25 - (1 - ln2) / 2 + 0.5,
         false},
        {{ONE(PREF_SIGMOID), .beta = 0.25f, .divergence = DIVERGENCE_FORWARD_KL},
         ln2,
         -0.5,
         0.5,
         false},
        {{ONE(PREF_SIGMOID), .beta = 0.25f, .divergence = DIVERGENCE_JS}, ln2, -0.25, 0.25, false},
        {{ONE(PREF_SIGMOID), .beta = 0.25f, .divergence = DIVERGENCE_ALPHA,
          .divergence_coef = 0.5f},
         ln2,
         -0.5,
         0.5,
         false},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct pref p;
        init_pref(&p, &cases[i].settings);
        memcpy(p.ref_logp, p.logp, sizeof p.logp);
        check_near("mean loss", objective_of(&p), cases[i].loss, 1e-15);
        for (size_t r = 0; r < R; r++) {
            assert_true(p.pairs[r / 2].reward_chosen == 0 && p.pairs[r / 2].reward_rejected == 0);
            double slope = (r % 2 == 0 ? cases[i].w : cases[i].l) * 0.25 * SCALE;
            if (cases[i].means) slope /= oracle_first[r + 1] - oracle_first[r];
            for (size_t j = oracle_first[r]; j < oracle_first[r + 1]; j++)
                check_near("dlogp", p.dlogp[j], slope, 1e-14);
        }
    }
}

// Metrics by hand: the last pair, of 4 and 3 tokens.
static void test_metrics(void **state)
{
    (void)state;
    const struct pref_settings settings = {.terms = 2,
                                           .type = {PREF_SIGMOID, PREF_SFT},
                                           .weight = {1, 1},
                                           .beta = 0.5f,
                                           .ld_alpha = 0.5f};
    struct pref p;
    init_pref(&p, &settings);
    objective_of(&p);
    const struct ref_pair_f64 *m = &p.pairs[3];
    check_near("logp_chosen", m->logp_chosen, -0.47 - 2.64 - 0.14 - 2.95, 1e-15);
    check_near("ref_logp_rejected", m->ref_logp_rejected, -0.83 - 3.43 - 4.16, 1e-15);
    // The chosen's last token weighs half; rewards are made of those sums.
    check_near("reward_chosen", m->reward_chosen, 0.5 * (-0.45 - 0.50 + 0.31 + 0.5 * 1.39), 1e-15);
    check_near("reward_rejected", m->reward_rejected, 0.5 * (0.40 + 0.35 + 1.29), 1e-15);
    check_near("entropy", m->entropy, 14 + 15 + 16 + 17 + 18 + 19 + 20, 0);
    check_near("accurate", m->accurate, 1, 0); // of the chosen completion alone: token 15
    check_near("chosen_tokens", m->chosen_tokens, 4, 0);
    check_near("tokens", m->tokens, 7, 0);

    struct pref_settings means = settings;
    means.flags = PREF_REFERENCE_FREE | PREF_MEAN_REWARDS;
    means.ld_alpha = 1;
    p.settings = &means;
    objective_of(&p);
    check_near("reward_chosen", m->reward_chosen, 0.5 * (-0.47 - 2.64 - 0.14 - 2.95) / 4, 1e-15);
    check_near("ref_logp_chosen", m->ref_logp_chosen, 0, 0);
    means.alpha = 0.25f;
    objective_of(&p);
    check_near("reward_rejected", m->reward_rejected,
               0.5 * (1 - exp(0.25 * (0.43 + 3.08 + 2.87) / 3)) / 0.25, 1e-14);
}

// Far out, the loss is the straight line -z on one side and exp(-z) on the other.
static void test_far(void **state)
{
    (void)state;
    const struct pref_settings settings = {ONE(PREF_SIGMOID), .beta = 1};
    struct pref p;
    init_pref(&p, &settings);
    memcpy(p.ref_logp, p.logp, sizeof p.logp);
    p.logp[0] += 2000;
    p.logp[3] += 1250;
    objective_of(&p);
    assert_true(p.pairs[0].loss >= 0 && p.pairs[0].loss < 1e-300);
    p.logp[0] -= 1950;
    p.logp[3] -= 1250;
    objective_of(&p);
    if (!(fabs(p.pairs[0].loss / exp(-50) - 1) < 1e-12)) fail_msg("%g", p.pairs[0].loss);
    p.logp[3] += 1250;
    objective_of(&p);
    check_near("loss", p.pairs[0].loss, 1200, 1e-15);
    check_near("dlogp", p.dlogp[0], -SCALE, 0);
}

// alpha_divergence: beyond an exponent of 80 the score stands still, and has no gradient.
static void test_capped(void **state)
{
    (void)state;
    const struct pref_settings settings = {ONE(PREF_SIGMOID), .beta = 0.5f,
                                           .divergence = DIVERGENCE_ALPHA, .divergence_coef = 2};
    struct pref p;
    init_pref(&p, &settings);
    p.logp[0] = p.ref_logp[0] + 100;
    objective_of(&p);
    assert_true(p.dlogp[0] == 0 && p.pairs[0].loss == 0);
    p.logp[0] = p.ref_logp[0];
    p.logp[3] = p.ref_logp[3] + 100;
    objective_of(&p);
    assert_true(p.dlogp[3] == 0);
    check_near("loss", p.pairs[0].loss, 0.5 * exp(80), 1e-12);
}

// What the host asks of the settings.
static void test_batch_wide(void **state)
{
    (void)state;
    for (uint32_t type = PREF_SIGMOID; type <= PREF_ORPO; type++)
        for (int weighted = 0; weighted < 2; weighted++) {
            bool nll = type == PREF_SFT || type == PREF_ORPO;
            bool wide = type == PREF_AOT || type == PREF_AOT_UNPAIRED || type == PREF_KTO_PAIR ||
                        (weighted && nll);
            const struct pref_settings s = {.terms = 2,
                                            .type = {PREF_SIGMOID, type, PREF_AOT},
                                            .flags = weighted ? PREF_WEIGHTED : 0};
            assert_true(pref_is_batch_wide(&s) == wide);
            assert_true(pref_needs_batch_tokens(&s) == nll);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pytorch),    cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_equal),      cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_far),        cmocka_unit_test(test_capped),
        cmocka_unit_test(test_batch_wide),
    };
    return cmocka_run_group_tests_name("reference: losses of pairs", tests, NULL, NULL);
}
