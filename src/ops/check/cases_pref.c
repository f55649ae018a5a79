// The losses of pairs, each with the options that it has.
#include "base/mem.h"
#include "ops/check/cases_pack.h"
#include "ops/loss.h"
#include "ops/ref.h"

#include <math.h>
#include <string.h>

#define PAIR_FLOATS (sizeof(struct pair_metrics) / 4)
#define SUM_FLOATS (sizeof(struct pair_sums) / 4)

// A loss under test. `cancel`: size of what cancels in z or in the slope by it, beside sums.
// Log-probs by the hundred, or exponentials of log ratios, carry the rounding of sums farther than
// the harness's limit for all that is alike: `nmse` is theirs, and judge_pairs() knows each
// element's own.
struct setup {
    struct pref_settings settings;
    double cancel;
    bool of_logp; // made of log-probs, not of their differences alone
    double nmse;
};
#define ONE(loss) .terms = 1, .type = {loss}, .weight = {1}, .ld_alpha = 1
#define FREE PREF_REFERENCE_FREE
#define MEANS (PREF_REFERENCE_FREE | PREF_MEAN_REWARDS)

// clang-format off
enum {
    SIGMOID, CDPO, ROBUST, HINGE, IPO, IPO_SUM, SIGMOID_NORM, EXO_PAIR, NCA_PAIR, BCO_PAIR,
    SPPO_HARD, APO_ZERO, APO_DOWN, AOT, AOT_UNPAIRED, DISCOPOP, SFT, KTO_PAIR, SIMPO, ORPO,
    FORWARD_KL, JS, JS_IPO, ALPHA, ALPHA_ABOVE, LD, LD_ZERO, WPO, WPO_LIST, LIST, CPO, ALPHAPO,
    ALPHAPO_IPO, SETUPS
};
static const struct setup setups[SETUPS] = {
    [SIGMOID] = {.settings = {ONE(PREF_SIGMOID), .beta = 0.1f}},
    [CDPO] = {.settings = {ONE(PREF_SIGMOID), .beta = 0.1f, .label_smoothing = 0.2f}, .cancel = 1},
    [ROBUST] = {.settings = {ONE(PREF_ROBUST), .beta = 0.1f, .label_smoothing = 0.1f}, .cancel = 1},
    [HINGE] = {.settings = {ONE(PREF_HINGE), .beta = 0.1f}, .cancel = 1},
    [IPO] = {.settings = {ONE(PREF_IPO), .beta = 0.1f}, .cancel = 50},
    [IPO_SUM] = {.settings = {ONE(PREF_IPO_SUM), .beta = 0.1f}, .cancel = 50},
    [SIGMOID_NORM] = {.settings = {ONE(PREF_SIGMOID_NORM), .beta = 2, .label_smoothing = 0.3f}},
    [EXO_PAIR] = {.settings = {ONE(PREF_EXO_PAIR), .beta = 0.1f, .label_smoothing = 1e-3f}, .cancel = 7},
    [NCA_PAIR] = {.settings = {ONE(PREF_NCA_PAIR), .beta = 0.1f}, .cancel = 1},
    [BCO_PAIR] = {.settings = {ONE(PREF_BCO_PAIR), .beta = 0.1f}},
    [SPPO_HARD] = {.settings = {ONE(PREF_SPPO_HARD), .beta = 0.1f}, .cancel = 50},
    [APO_ZERO] = {.settings = {ONE(PREF_APO_ZERO), .beta = 0.1f}},
    [APO_DOWN] = {.settings = {ONE(PREF_APO_DOWN), .beta = 0.1f}, .cancel = 1},
    [AOT] = {.settings = {ONE(PREF_AOT), .beta = 0.1f, .label_smoothing = 0.1f},
             .cancel = 1, .of_logp = true, .nmse = 1e-10},
    [AOT_UNPAIRED] = {.settings = {ONE(PREF_AOT_UNPAIRED), .beta = 0.1f},
                      .cancel = 1, .of_logp = true, .nmse = 1e-10},
    [DISCOPOP] = {.settings = {ONE(PREF_DISCOPOP), .beta = 0.1f, .discopop_tau = 0.05f}, .cancel = 20},
    [SFT] = {.settings = {ONE(PREF_SFT), .beta = 0.1f, .flags = FREE}, .of_logp = true},
    [KTO_PAIR] = {.settings = {ONE(PREF_KTO_PAIR), .beta = 0.1f}, .cancel = 1, .of_logp = true},
    [SIMPO] = {.settings = {ONE(PREF_SIMPO), .beta = 2, .simpo_gamma = 0.5f, .flags = MEANS},
               .cancel = 1, .of_logp = true},
    [ORPO] = {.settings = {ONE(PREF_ORPO), .beta = 0.1f, .flags = MEANS}, .cancel = 1, .of_logp = true},

    [FORWARD_KL] = {.settings = {ONE(PREF_SIGMOID), .beta = 0.1f, .divergence = DIVERGENCE_FORWARD_KL},
                    .cancel = 1, .nmse = 1e-10},
    [JS] = {.settings = {ONE(PREF_HINGE), .beta = 0.5f, .divergence = DIVERGENCE_JS}, .cancel = 1},
    [JS_IPO] = {.settings = {ONE(PREF_IPO), .beta = 0.2f, .divergence = DIVERGENCE_JS}, .cancel = 15},
    [ALPHA] = {.settings = {ONE(PREF_ROBUST), .beta = 0.1f, .label_smoothing = 0.1f,
                            .divergence = DIVERGENCE_ALPHA, .divergence_coef = 0.5f},
               .cancel = 1, .nmse = 1e-10},
    [ALPHA_ABOVE] = {.settings = {ONE(PREF_DISCOPOP), .beta = 0.1f, .discopop_tau = 0.5f,
                                  .divergence = DIVERGENCE_ALPHA, .divergence_coef = 1.25f},
                     .cancel = 10, .nmse = 1e-10},
    [LD] = {.settings = {.terms = 3, .type = {PREF_SIGMOID, PREF_AOT, PREF_SIMPO},
                         .weight = {1, 0.5f, 0.25f}, .ld_alpha = 0.25f, .beta = 0.1f},
            .cancel = 1, .of_logp = true, .nmse = 1e-10},
    [LD_ZERO] = {.settings = {.terms = 2, .type = {PREF_IPO, PREF_SFT}, .weight = {0.01f, 1}, .beta = 0.1f},
                 .cancel = 1, .of_logp = true},
    [WPO] = {.settings = {ONE(PREF_SIGMOID), .beta = 0.1f, .flags = PREF_WEIGHTED}, .of_logp = true},
    [WPO_LIST] = {.settings = {.terms = 4, .type = {PREF_SFT, PREF_AOT_UNPAIRED, PREF_KTO_PAIR, PREF_ORPO},
                               .weight = {0.5f, 1, 0.7f, 0.3f}, .ld_alpha = 1, .beta = 0.1f,
                               .flags = PREF_WEIGHTED},
                  .cancel = 1, .of_logp = true, .nmse = 1e-10},
    [LIST] = {.settings = {.terms = 8, .type = {PREF_SIGMOID, PREF_HINGE, PREF_BCO_PAIR, PREF_AOT, PREF_SFT,
                                                PREF_ORPO, PREF_APO_DOWN, PREF_EXO_PAIR},
                           .weight = {1, 0.5f, 0.2f, 0.3f, 1, 0.1f, 2, 0.25f}, .ld_alpha = 0.5f,
                           .beta = 0.1f, .label_smoothing = 0.05f},
              .cancel = 5, .of_logp = true, .nmse = 1e-10},
    [CPO] = {.settings = {.terms = 2, .type = {PREF_SIGMOID, PREF_SFT}, .weight = {1, 0.7f}, .ld_alpha = 1,
                          .beta = 0.1f, .label_smoothing = 0.1f, .flags = FREE},
             .cancel = 1, .of_logp = true, .nmse = 1e-10},
    [ALPHAPO] = {.settings = {ONE(PREF_SIMPO), .beta = 2.5f, .simpo_gamma = 0.1f, .alpha = 0.25f, .flags = MEANS},
                 .cancel = 1, .of_logp = true, .nmse = 1e-10},
    [ALPHAPO_IPO] = {.settings = {ONE(PREF_IPO), .beta = 0.5f, .alpha = -0.1f, .flags = MEANS},
                     .cancel = 5, .of_logp = true},
};
// clang-format on
// Sizes: index of the setup, pairs, longest completion, rows of the step before the pack, distance
// of policy and reference in hundredths of a nat a token, and `how`: TIES, all log-probs are one of
// a few; for NaN rows where it stands.
enum { SETUP, PAIRS, LONGEST, BEFORE, DISTANCE, HOW };
#define PREF "setup pairs longest before distance% how"
enum { TIES = 1 };

struct pref {
    const struct setup *setup;
    struct check_pack pack;
    struct check_array *pairs_out, *sums, *settings, *collision, *table;
    uint32_t rows; // of the step
    struct op_pref_loss op;
    struct op_pair_sums pair_sums;
};

static bool uses(const struct pref_settings *s, uint32_t type)
{
    for (uint32_t i = 0; i < s->terms; i++)
        if (s->type[i] == type) return true;
    return false;
}

static bool free_of_reference(const struct pref *p)
{
    return (p->setup->settings.flags & PREF_REFERENCE_FREE) != 0;
}

// Sums by the operation of that name ride along, since they must have the losses' bits.
static void record_pref_loss(struct vk_seq *s, void *ctx)
{
    const struct pref *p = ctx;
    if (p->table) op_pair_sums(s, &p->pair_sums);
    op_pref_loss(s, &p->op);
    op_sequence_sums(s, p->sums->addr, p->op.logp, p->op.sequence_first, p->op.counts,
                     p->pack.sequence_capacity, p->op.scored);
}

// Log-probs of a few values: many sums are equal.
static void make_ties(struct check_pack *k, bool equal)
{
    for (uint32_t i = 0; i < k->scored_capacity; i++) {
        k->logp->f64[i] = k->logp->f32[i] = i % 3 == 0 ? -1.5f : -1.25f;
        k->ref_logp->f64[i] = k->ref_logp->f32[i] = equal        ? k->logp->f32[i]
                                                    : i % 5 == 0 ? -1.75f
                                                                 : -1.25f;
    }
}

// The batch's table. Pairs of other packs of the batch have any values, those of other batches NaN.
static void make_table(struct check *c, struct pref *p, double distance)
{
    p->table = check_updated(c, "batch", p->rows * SUM_FLOATS, distance);
    uint32_t begin = p->pack.count.batch_first, end = begin + p->pack.count.batch_rows;
    for (uint32_t i = 0; i < p->rows; i++) {
        float *at = p->table->f32 + i * SUM_FLOATS;
        float ref_w = -20 - 30 * (float)rng_uniform(&c->rng),
              ref_l = -20 - 30 * (float)rng_uniform(&c->rng);
        float weight = p->collision ? 0.5f + (float)rng_uniform(&c->rng) : 1;
        struct pair_sums s = {ref_w + at[4], ref_l + at[5], ref_w, ref_l, at[4], at[5], weight};
        if (free_of_reference(p)) {
            s.ref_logp_chosen = s.ref_logp_rejected = 0;
            s.ratio_chosen = s.logp_chosen;
            s.ratio_rejected = s.logp_rejected;
        }
        memcpy(at, &s, sizeof s);
        for (size_t j = 0; j < SUM_FLOATS; j++) {
            if (i < begin || i >= end) at[j] = NAN;
            p->table->f64[i * SUM_FLOATS + j] = (double)at[j];
        }
    }
}

static void make_pref(struct check *c, const uint32_t *n, struct pref *p)
{
    const struct setup *setup = &setups[n[SETUP]];
    uint32_t before = n[BEFORE];
    *p = (struct pref){.setup = setup, .rows = before + n[PAIRS] + 4};
    struct check_pack *k = &p->pack;
    check_pack_make(c, k,
                    &(struct check_pack_params){
                        .sequences = 2 * n[PAIRS],
                        .longest = n[LONGEST],
                        .first_row = before,
                        .batch_first = before / 2,
                        .batch_rows = before - before / 2 + n[PAIRS] + 1,
                        .pairs = true,
                        .all_scored = uses(&setup->settings, PREF_ORPO)}, // odds need a token
                    n[DISTANCE] / 100.0);
    if (n[HOW] == TIES) make_ties(k, n[DISTANCE] == 0);
    p->pairs_out = check_output(c, "pairs_out", p->rows * PAIR_FLOATS);
    p->sums = check_output(c, "sums", k->sequence_capacity);
    p->settings = check_words(c, "settings", sizeof setup->settings / 4);
    memcpy(p->settings->u32, &setup->settings, sizeof setup->settings);
    if (setup->settings.flags & PREF_WEIGHTED)
        p->collision = check_uniform(c, "collision", k->scored_capacity, -3, 0);
    if (pref_is_batch_wide(&setup->settings)) make_table(c, p, n[DISTANCE] / 20.0);
    vk_addr ref_logp = free_of_reference(p) ? 0 : k->ref_logp->addr;
    vk_addr collision = p->collision ? p->collision->addr : 0;
    p->op = (struct op_pref_loss){.logp = k->logp->addr,
                                  .ref_logp = ref_logp,
                                  .entropy = k->entropy->addr,
                                  .is_argmax = k->is_argmax->addr,
                                  .collision = collision,
                                  .sequence_first = k->first->addr,
                                  .dlogp = k->dlogp->addr,
                                  .pairs_out = p->pairs_out->addr,
                                  .counts = k->counts->addr,
                                  .step = k->step->addr,
                                  .settings = p->settings->addr,
                                  .batch = p->table ? p->table->addr : 0,
                                  .max_pairs = k->sequence_capacity / 2,
                                  .scored = k->scored_capacity,
                                  .pairs_out_count = p->rows,
                                  .batch_count = p->rows};
    p->pair_sums = (struct op_pair_sums){.out = p->op.batch,
                                         .logp = k->logp->addr,
                                         .ref_logp = ref_logp,
                                         .collision = collision,
                                         .sequence_first = k->first->addr,
                                         .counts = k->counts->addr,
                                         .settings = p->settings->addr,
                                         .max_pairs = k->sequence_capacity / 2,
                                         .scored = k->scored_capacity,
                                         .out_count = p->rows};
    check_cost(c, 6.0 * k->scored, 20.0 * k->scored);
}

// The reference for log-probs that may differ from the pack's; writes the table's own rows first.
static void reference(const struct pref *p, const double *logp, const double *ref_logp,
                      double *table, double *pairs_out, double *dlogp)
{
    const struct pack_counts *k = &p->pack.count;
    _Static_assert(sizeof(struct ref_pair_f64) == PAIR_FLOATS * sizeof(double), "one layout");
    _Static_assert(sizeof(struct ref_pair_sums_f64) == SUM_FLOATS * sizeof(double), "one layout");
    struct ref_pref_loss_f64 ref = {.dlogp = dlogp,
                                    .pairs_out = (struct ref_pair_f64 *)pairs_out,
                                    .logp = logp,
                                    .ref_logp = ref_logp,
                                    .entropy = p->pack.entropy->f64,
                                    .is_argmax = p->pack.is_argmax->f64,
                                    .collision = p->collision ? p->collision->f64 : NULL,
                                    .sequence_first = p->pack.first->u32,
                                    .pairs = p->pack.sequences / 2,
                                    .loss_scale = (double)PACK_LOSS_SCALE,
                                    .settings = &p->setup->settings,
                                    .batch = (struct ref_pair_sums_f64 *)table,
                                    .first_row = k->first_row,
                                    .batch_first = k->batch_first,
                                    .batch_rows = k->batch_rows,
                                    .batch_tokens = k->batch_tokens};
    if (table) ref_pair_sums_f64((struct ref_pair_sums_f64 *)table + k->first_row, &ref);
    ref_pref_loss_f64(&ref);
}

static void wanted(struct pref *p)
{
    double *table = p->table ? p->table->f64 : NULL;
    double *pairs = p->pairs_out->f64 + p->pack.count.first_row * PAIR_FLOATS;
    reference(p, p->pack.logp->f64, p->pack.ref_logp->f64, table, pairs, p->pack.dlogp->f64);
    ref_sequence_sums_f64(p->sums->f64, p->pack.logp->f64, p->pack.first->u32, p->pack.sequences);
}

static struct pair_metrics pair_got(const struct pref *p, uint32_t i)
{
    struct pair_metrics m;
    memcpy(&m, p->pairs_out->got + (p->pack.count.first_row + i) * sizeof m, sizeof m);
    return m;
}

static float dlogp_got(const struct pref *p, uint32_t at)
{
    float dlogp;
    memcpy(&dlogp, p->pack.dlogp->got + 4 * (uint64_t)at, 4);
    return dlogp;
}

// What the wanted values become where all that is summed is off by 5e-7 of its size, to the
// chosen's good: how far sums in float may carry them.
struct moved {
    double *logp, *ref_logp, *table, *pairs, *dlogp;
};

static void make_moved(struct moved *m, const struct pref *p)
{
    const struct check_pack *k = &p->pack;
    const double part = 5e-7;
    m->logp = MEM_ARRAY(double, k->scored_capacity);
    m->ref_logp = MEM_ARRAY(double, k->scored_capacity);
    m->dlogp = MEM_ARRAY(double, k->scored_capacity);
    m->pairs = MEM_ARRAY(double, p->pack.sequences / 2 * PAIR_FLOATS);
    m->table = p->table ? MEM_ARRAY(double, p->table->count) : NULL;
    if (p->table) memcpy(m->table, p->table->f64, p->table->count * sizeof(double));
    memcpy(m->ref_logp, k->ref_logp->f64, k->scored_capacity * sizeof(double));
    for (uint32_t r = 0; r < k->sequences; r++)
        for (uint32_t i = k->first->u32[r]; i < k->first->u32[r + 1]; i++) {
            double x = k->logp->f64[i];
            double size = fabs(p->setup->of_logp ? x : x - k->ref_logp->f64[i]);
            m->logp[i] = x + (r % 2 == 0 ? part : -part) * size;
        }
    reference(p, m->logp, m->ref_logp, m->table, m->pairs, m->dlogp);
}

static void free_moved(struct moved *m)
{
    mem_free(m->logp);
    mem_free(m->ref_logp);
    mem_free(m->table);
    mem_free(m->pairs);
    mem_free(m->dlogp);
}

static void judge_one(struct check *c, const char *what, uint32_t at, double got, double want,
                      double moved, double cancel)
{
    double tolerance = 1e-6 * (fabs(want) + cancel) + fabs(moved - want) + 1e-30;
    if (!(fabs(got - want) <= tolerance))
        check_fail(c, "%s[%u] is %.9g, want %.9g, tolerance %.1e", what, at, got, want, tolerance);
}

// The harness judges an array as a whole, in which log-probs are large; each loss and gradient is
// judged by itself here.
static void judge_pairs(struct check *c, const struct pref *p)
{
    const uint32_t *first = p->pack.first->u32;
    double cancel = p->setup->cancel;
    double of_slope = cancel * (double)(PACK_LOSS_SCALE * p->setup->settings.beta);
    struct moved m;
    make_moved(&m, p);
    for (uint32_t i = 0; i < p->pack.sequences / 2; i++) {
        struct pair_metrics got = pair_got(p, i);
        const double *want = p->pairs_out->f64 + (p->pack.count.first_row + i) * PAIR_FLOATS;
        float sums[2];
        judge_one(c, "loss", i, (double)got.loss, want[0], m.pairs[i * PAIR_FLOATS], cancel);
        judge_one(c, "reward_chosen", i, (double)got.reward_chosen, want[1],
                  m.pairs[i * PAIR_FLOATS + 1], 0);
        judge_one(c, "reward_rejected", i, (double)got.reward_rejected, want[2],
                  m.pairs[i * PAIR_FLOATS + 2], 0);
        memcpy(sums, p->sums->got + 8 * i, sizeof sums);
        if (memcmp(&sums[0], &got.logp_chosen, 4) != 0 ||
            memcmp(&sums[1], &got.logp_rejected, 4) != 0)
            check_fail(c, "sums of pair %u differ between the loss and op_sequence_sums", i);
        for (uint32_t j = first[2 * i]; j < first[2 * i + 2]; j++)
            judge_one(c, "dlogp", j, (double)dlogp_got(p, j), p->pack.dlogp->f64[j], m.dlogp[j],
                      of_slope);
    }
    free_moved(&m);
}

static void pref_loss(struct check *c, const uint32_t *n)
{
    struct pref p;
    make_pref(c, n, &p);
    if (c->judged) wanted(&p);
    if (p.setup->nmse > 0) {
        c->tolerance_nmse = p.setup->nmse;
        c->tolerance_worst = 2e-4;
    }
    check_run(c, record_pref_loss, &p);
    if (c->judged && !c->device_failed) judge_pairs(c, &p);
}

// Policy and reference with equal bits: rewards are exactly 0, and losses those of D = 0.
static void pref_loss_equal(struct check *c, const uint32_t *n)
{
    struct pref p;
    make_pref(c, n, &p);
    wanted(&p);
    check_run(c, record_pref_loss, &p);
    if (c->device_failed) return;
    for (uint32_t i = 0; i < n[PAIRS]; i++) {
        struct pair_metrics got = pair_got(&p, i);
        if (got.reward_chosen != 0 || got.reward_rejected != 0)
            check_fail(c, "rewards of pair %u are %g and %g, want 0", i, (double)got.reward_chosen,
                       (double)got.reward_rejected);
        if (memcmp(&got.logp_chosen, &got.ref_logp_chosen, 4) != 0 ||
            memcmp(&got.logp_rejected, &got.ref_logp_rejected, 4) != 0)
            check_fail(c, "pair %u: equal log-probs have different sums", i);
        check_near(c, "loss", i, got.loss, p.pairs_out->f64[(n[BEFORE] + i) * PAIR_FLOATS], 2e-7);
    }
}

// A NaN among what a pair is made of is not hidden: its loss and its gradients are NaN. Those of
// other pairs are as ever, unless the loss looks at the whole batch.
static void pref_loss_nan(struct check *c, const uint32_t *n)
{
    enum { CHOSEN, REJECTED, REFERENCE };
    struct pref p;
    make_pref(c, n, &p);
    const uint32_t bad = 1, *first = p.pack.first->u32, at = first[2 * bad];
    wanted(&p);
    p.pack.dlogp->role = p.pairs_out->role = p.sums->role = CHECK_SCRATCH;
    if (p.table) p.table->role = CHECK_SCRATCH;
    if (n[HOW] == CHOSEN) p.pack.logp->f32[at] = NAN;
    if (n[HOW] == REJECTED) p.pack.logp->f32[first[2 * bad + 1]] = NAN;
    if (n[HOW] == REFERENCE) p.pack.ref_logp->f32[at] = NAN;
    check_run(c, record_pref_loss, &p);
    if (c->device_failed) return;
    for (uint32_t i = 0; i < n[PAIRS]; i++) {
        float loss = pair_got(&p, i).loss;
        double want = p.pairs_out->f64[(n[BEFORE] + i) * PAIR_FLOATS];
        if (i != bad && !p.table)
            judge_one(c, "loss", i, (double)loss, want, want * (1 + 1e-5), p.setup->cancel);
        if (i != bad) continue;
        if (!isnan(loss)) check_fail(c, "the loss hides a NaN: %g", (double)loss);
        for (uint32_t j = at; j < first[2 * bad + 2]; j++)
            if (!isnan(dlogp_got(&p, j)))
                check_fail(c, "dlogp hides a NaN: %g", (double)dlogp_got(&p, j));
    }
}

// ---- the table ----

#define ROW(name, setup, ...) CHECK_CASE("pref_loss_" name, pref_loss, PREF, setup, __VA_ARGS__)
// Of every loss: sizes, a batch spread over packs, small and large distances, ties.
#define LOSS(name, setup)                                                                          \
    ROW(name, setup, 1, 1, 0, 10, 0), ROW(name, setup, 31, 33, 0, 10, 0),                          \
        ROW(name, setup, 33, 257, 5, 3, 0), ROW(name, setup, 16, 100, 48, 100, 0),                 \
        ROW(name, setup, 64, 3, 9, 30, TIES)
// A NaN in the chosen, the rejected and the reference.
#define NANS(setup)                                                                                \
    CHECK_CASE("pref_loss_nan", pref_loss_nan, PREF, setup, 31, 33, 2, 10, 0),                     \
        CHECK_CASE("pref_loss_nan", pref_loss_nan, PREF, setup, 31, 33, 2, 10, 1)
#define NANS_REF(setup)                                                                            \
    NANS(setup), CHECK_CASE("pref_loss_nan", pref_loss_nan, PREF, setup, 31, 33, 2, 10, 2)
#define EQUAL(...) CHECK_CASE("pref_loss_equal", pref_loss_equal, PREF, __VA_ARGS__)

// clang-format off
static const struct check_case cases[] = {
    CHECK_CASE("pref_loss", pref_loss, PREF, SIGMOID, 257, 31, 0, 1, 0),
    CHECK_CASE("pref_loss", pref_loss, PREF, SIGMOID, 16, 700, 48, 50, 0),
    CHECK_CASE("pref_loss", pref_loss, PREF, SIGMOID, 64, 100, 0, 3000, 0),
    CHECK_CASE("pref_loss", pref_loss, PREF, CDPO, 257, 31, 0, 1, 0),
    CHECK_CASE("pref_loss", pref_loss, PREF, CDPO, 64, 100, 0, 3000, 0),
    CHECK_CASE("pref_loss", pref_loss, PREF, HINGE, 64, 100, 0, 3000, 0),
    CHECK_CASE("pref_loss", pref_loss, PREF, BCO_PAIR, 64, 100, 0, 3000, 0),
    CHECK_CASE("pref_loss", pref_loss, PREF, AOT, 257, 31, 100, 50, 0),
    CHECK_CASE("pref_loss", pref_loss, PREF, AOT_UNPAIRED, 257, 31, 100, 50, 0),
    CHECK_CASE("pref_loss", pref_loss, PREF, AOT_UNPAIRED, 257, 2, 300, 50, TIES),
    CHECK_TIMED("pref_loss", pref_loss, PREF, SIGMOID, 512, 512, 0, 50, 0),
    CHECK_TIMED("pref_loss", pref_loss, PREF, AOT, 64, 512, 0, 50, 0),
    CHECK_TIMED("pref_loss", pref_loss, PREF, AOT, 1024, 128, 0, 50, 0),
    LOSS("sigmoid", SIGMOID), LOSS("cdpo", CDPO), LOSS("robust", ROBUST), LOSS("hinge", HINGE),
    LOSS("ipo", IPO), LOSS("ipo_sum", IPO_SUM), LOSS("sigmoid_norm", SIGMOID_NORM),
    LOSS("exo_pair", EXO_PAIR), LOSS("nca_pair", NCA_PAIR), LOSS("bco_pair", BCO_PAIR),
    LOSS("sppo_hard", SPPO_HARD), LOSS("apo_zero", APO_ZERO), LOSS("apo_down", APO_DOWN),
    LOSS("aot", AOT), LOSS("aot_unpaired", AOT_UNPAIRED), LOSS("discopop", DISCOPOP),
    LOSS("sft", SFT), LOSS("kto_pair", KTO_PAIR), LOSS("simpo", SIMPO), LOSS("orpo", ORPO),
    LOSS("forward_kl", FORWARD_KL), LOSS("js", JS), LOSS("alpha", ALPHA),
    LOSS("alpha_above", ALPHA_ABOVE), LOSS("js_ipo", JS_IPO), LOSS("ld", LD),
    LOSS("ld_zero", LD_ZERO), LOSS("wpo", WPO), LOSS("wpo_list", WPO_LIST), LOSS("list", LIST),
    LOSS("cpo", CPO), LOSS("alphapo", ALPHAPO), LOSS("alphapo_ipo", ALPHAPO_IPO),
    EQUAL(SIGMOID, 1, 1, 0, 0, 0), EQUAL(SIGMOID, 33, 257, 3, 0, 0), EQUAL(CDPO, 257, 31, 0, 0, 0),
    EQUAL(ROBUST, 33, 31, 0, 0, 0), EQUAL(HINGE, 33, 31, 0, 0, 0), EQUAL(IPO, 33, 31, 0, 0, 0),
    EQUAL(SIGMOID_NORM, 33, 31, 0, 0, 0), EQUAL(EXO_PAIR, 33, 31, 0, 0, 0),
    EQUAL(NCA_PAIR, 33, 31, 0, 0, 0), EQUAL(SPPO_HARD, 33, 31, 0, 0, 0),
    EQUAL(APO_DOWN, 33, 31, 0, 0, 0), EQUAL(AOT, 33, 257, 11, 0, 0), EQUAL(AOT, 33, 2, 11, 0, TIES),
    EQUAL(AOT_UNPAIRED, 33, 31, 11, 0, 0), EQUAL(DISCOPOP, 33, 31, 0, 0, 0),
    EQUAL(KTO_PAIR, 33, 31, 11, 0, 0), EQUAL(FORWARD_KL, 33, 31, 0, 0, 0),
    EQUAL(JS, 33, 31, 0, 0, 0), EQUAL(ALPHA, 33, 31, 0, 0, 0),
    NANS_REF(SIGMOID), NANS_REF(CDPO), NANS_REF(ROBUST), NANS_REF(HINGE), NANS_REF(IPO),
    NANS_REF(IPO_SUM), NANS_REF(SIGMOID_NORM), NANS_REF(EXO_PAIR), NANS_REF(NCA_PAIR),
    NANS_REF(BCO_PAIR), NANS_REF(SPPO_HARD), NANS_REF(APO_ZERO), NANS_REF(APO_DOWN), NANS_REF(AOT),
    NANS_REF(AOT_UNPAIRED), NANS_REF(DISCOPOP), NANS(SFT), NANS_REF(KTO_PAIR), NANS(SIMPO),
    NANS(ORPO), NANS_REF(FORWARD_KL), NANS_REF(JS), NANS_REF(ALPHA), NANS_REF(WPO_LIST),
    NANS_REF(LIST), NANS(ALPHAPO),
};
// clang-format on
const struct check_table check_pref = {cases, sizeof cases / sizeof *cases};
