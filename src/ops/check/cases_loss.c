#include "ops/check/harness.h"
#include "ops/loss.h"
#include "ops/ref.h"

#include <math.h>
#include <string.h>

#define SPARE 3u // sequences, pairs and scored positions of room beyond those in use
#define BETA 0.1f
#define SCALE 0.037f

// A pack of `sequences` with up to `longest` scored positions each, and what a head would give.
struct pack {
    uint32_t sequences, scored, first_row; // in use; rows of the step before this pack
    uint32_t sequence_capacity, scored_capacity;
    struct check_array *first, *counts, *step;
    struct check_array *logp, *entropy, *is_argmax, *dlogp;
};

static void near(struct check *c, const char *name, uint64_t at, float got, double want)
{
    double tolerance = 2e-6 * fabs(want) + 1e-30;
    if (!(fabs((double)got - want) <= tolerance))
        check_fail(c, "%s[%llu] is %.9g, want %.9g", name, (unsigned long long)at, (double)got,
                   want);
}

static void make_pack(struct check *c, struct pack *k, uint32_t sequences, uint32_t longest,
                      uint32_t first_row)
{
    const struct step_values step = {.loss_scale = SCALE};
    *k = (struct pack){.sequences = sequences, .first_row = first_row};
    k->sequence_capacity = sequences + 2 * SPARE;
    k->first = check_words(c, "sequence_first", (uint64_t)k->sequence_capacity + 1);
    for (uint32_t r = 0; r < sequences; r++) {
        k->first->u32[r] = k->scored;
        // Some have no scored position; most have any number.
        k->scored += r % 5 == 4 ? 0 : 1 + (uint32_t)rng_below(&c->rng, longest);
    }
    k->scored_capacity = k->scored + SPARE;
    for (uint32_t r = sequences; r <= k->sequence_capacity; r++)
        k->first->u32[r] = r == sequences ? k->scored : k->scored_capacity;
    k->counts = check_words(c, "counts", sizeof(struct pack_counts) / 4);
    struct pack_counts counts = {
        .scored = k->scored, .sequences = sequences, .first_row = first_row};
    memcpy(k->counts->u32, &counts, sizeof counts);
    k->step = check_words(c, "step", sizeof step / 4);
    memcpy(k->step->u32, &step, sizeof step);
    k->logp = check_normal(c, "logp", k->scored_capacity, 1);
    for (uint64_t i = 0; i < k->logp->count; i++) {
        k->logp->f32[i] -= 3;
        k->logp->f64[i] = (double)k->logp->f32[i];
    }
    k->entropy = check_uniform(c, "entropy", k->scored_capacity, 0, 10);
    k->is_argmax = check_floats(c, "is_argmax", k->scored_capacity);
    for (uint64_t i = 0; i < k->scored; i++)
        k->is_argmax->f64[i] = k->is_argmax->f32[i] = (float)rng_below(&c->rng, 2);
    k->dlogp = check_output(c, "dlogp", k->scored_capacity);
}

// ---- preference loss ----

struct pref {
    struct pack pack;
    struct check_array *ref_logp, *pairs_out, *sums, *settings;
    struct pref_settings choice;
    struct op_pref_loss op;
};

#define PAIR_FLOATS (sizeof(struct pair_metrics) / 4)

// Sums by the operation of that name ride along, since they must have the losses' bits.
static void record_pref_loss(struct vk_seq *s, void *ctx)
{
    const struct pref *p = ctx;
    op_pref_loss(s, &p->op);
    op_sequence_sums(s, p->sums->addr, p->op.logp, p->op.sequence_first, p->op.counts,
                     p->pack.sequence_capacity, p->op.scored);
}

// Sizes: pairs, longest completion, rows before, label smoothing in hundredths; then the distance
// of policy and reference in hundredths of a nat a token.
static void make_pref(struct check *c, const uint32_t *n, struct pref *p)
{
    make_pack(c, &p->pack, 2 * n[0], n[1], n[2]);
    p->ref_logp = check_normal(c, "ref_logp", p->pack.scored_capacity, (double)n[4] / 100);
    for (uint64_t i = 0; i < p->ref_logp->count; i++) {
        p->ref_logp->f32[i] += p->pack.logp->f32[i];
        p->ref_logp->f64[i] = (double)p->ref_logp->f32[i];
    }
    uint32_t room = n[2] + n[0] + 1;
    p->pairs_out = check_output(c, "pairs_out", room * PAIR_FLOATS);
    p->sums = check_output(c, "sums", p->pack.sequence_capacity);
    p->choice = (struct pref_settings){.terms = 1,
                                       .type = {PREF_SIGMOID},
                                       .weight = {1},
                                       .beta = BETA,
                                       .label_smoothing = (float)n[3] / 100,
                                       .ld_alpha = 1};
    p->settings = check_words(c, "settings", sizeof p->choice / 4);
    memcpy(p->settings->u32, &p->choice, sizeof p->choice);
    p->op = (struct op_pref_loss){.logp = p->pack.logp->addr,
                                  .ref_logp = p->ref_logp->addr,
                                  .entropy = p->pack.entropy->addr,
                                  .is_argmax = p->pack.is_argmax->addr,
                                  .sequence_first = p->pack.first->addr,
                                  .dlogp = p->pack.dlogp->addr,
                                  .pairs_out = p->pairs_out->addr,
                                  .counts = p->pack.counts->addr,
                                  .step = p->pack.step->addr,
                                  .max_pairs = p->pack.sequence_capacity / 2,
                                  .scored = p->pack.scored_capacity,
                                  .settings = p->settings->addr,
                                  .pairs_out_count = room};
    check_cost(c, 6.0 * p->pack.scored, 20.0 * p->pack.scored);
}

static void reference(struct pref *p)
{
    double *pairs = p->pairs_out->f64 + p->pack.first_row * PAIR_FLOATS;
    _Static_assert(sizeof(struct ref_pair_f64) == PAIR_FLOATS * sizeof(double), "one layout");
    ref_pref_loss_f64(
        &(struct ref_pref_loss_f64){.dlogp = p->pack.dlogp->f64,
                                    .pairs_out = (struct ref_pair_f64 *)pairs,
                                    .logp = p->pack.logp->f64,
                                    .ref_logp = p->ref_logp->f64,
                                    .entropy = p->pack.entropy->f64,
                                    .is_argmax = p->pack.is_argmax->f64,
                                    .sequence_first = p->pack.first->u32,
                                    .pairs = p->pack.sequences / 2,
                                    .beta = (double)BETA,
                                    .label_smoothing = (double)p->choice.label_smoothing,
                                    .loss_scale = (double)SCALE});
    ref_sequence_sums_f64(p->sums->f64, p->pack.logp->f64, p->pack.first->u32, p->pack.sequences);
}

static struct pair_metrics pair_got(const struct pref *p, uint32_t i)
{
    struct pair_metrics m;
    memcpy(&m, p->pairs_out->got + (p->pack.first_row + i) * sizeof m, sizeof m);
    return m;
}

// The harness judges an array as a whole, in which log-probs are large; each loss and gradient is
// judged by itself here.
static void judge_pairs(struct check *c, const struct pref *p)
{
    const uint32_t *first = p->pack.first->u32;
    for (uint32_t i = 0; i < p->pack.sequences / 2; i++) {
        struct pair_metrics got = pair_got(p, i);
        const double *want = p->pairs_out->f64 + (p->pack.first_row + i) * PAIR_FLOATS;
        float sums[2], dlogp;
        // z carries the rounding of rewards, which a small loss magnifies by |z|.
        double z = fabs(want[1] - want[2]);
        if (!(fabs((double)got.loss - want[0]) <= want[0] * 1e-6 * (4 + z) + 1e-30))
            check_fail(c, "loss[%u] is %.9g, want %.9g", i, (double)got.loss, want[0]);
        memcpy(sums, p->sums->got + 8 * i, sizeof sums);
        if (memcmp(&sums[0], &got.logp_chosen, 4) != 0 ||
            memcmp(&sums[1], &got.logp_rejected, 4) != 0)
            check_fail(c, "sums of pair %u differ between the loss and op_sequence_sums", i);
        if (first[2 * i + 2] == first[2 * i]) continue;
        memcpy(&dlogp, p->pack.dlogp->got + 4 * first[2 * i], 4);
        double d = p->pack.dlogp->f64[first[2 * i]];
        double terms =
            fabs(d) + (double)(p->choice.label_smoothing * SCALE * BETA); // before they cancel
        if (!(fabs((double)dlogp - d) <= terms * 1e-6 * (4 + z) + 1e-30))
            check_fail(c, "dlogp of pair %u is %.9g, want %.9g", i, (double)dlogp, d);
    }
}

static void pref_loss(struct check *c, const uint32_t *n)
{
    struct pref p;
    make_pref(c, n, &p);
    if (c->judged) reference(&p);
    check_run(c, record_pref_loss, &p);
    if (c->judged && !c->device_failed) judge_pairs(c, &p);
}

// Policy and reference with equal bits: rewards are exactly 0 and every loss is the same ln 2.
static void pref_loss_equal(struct check *c, const uint32_t *n)
{
    struct pref p;
    make_pref(c, n, &p);
    reference(&p);
    check_run(c, record_pref_loss, &p);
    if (c->device_failed) return;
    for (uint32_t i = 0; i < n[0]; i++) {
        struct pair_metrics got = pair_got(&p, i);
        if (got.reward_chosen != 0 || got.reward_rejected != 0)
            check_fail(c, "rewards of pair %u are %g and %g, want 0", i, (double)got.reward_chosen,
                       (double)got.reward_rejected);
        if (memcmp(&got.logp_chosen, &got.ref_logp_chosen, 4) != 0 ||
            memcmp(&got.logp_rejected, &got.ref_logp_rejected, 4) != 0)
            check_fail(c, "pair %u: equal log-probs have different sums", i);
        if (fabs((double)got.loss - 0.69314718055994531) > 6e-8)
            check_fail(c, "loss of pair %u is %.9g, want ln 2", i, (double)got.loss);
    }
}

// A NaN among the log-probs of a pair is not hidden: its loss and its gradients are NaN, those of
// the other pairs are as ever.
static void pref_loss_nan(struct check *c, const uint32_t *n)
{
    struct pref p;
    make_pref(c, n, &p);
    const uint32_t bad = 1, *first = p.pack.first->u32;
    p.pack.dlogp->role = p.pairs_out->role = p.sums->role = CHECK_SCRATCH;
    reference(&p);
    p.pack.logp->f32[first[2 * bad]] = NAN;
    check_run(c, record_pref_loss, &p);
    if (c->device_failed) return;
    for (uint32_t i = 0; i < n[0]; i++) {
        struct pair_metrics got = pair_got(&p, i);
        float dlogp;
        memcpy(&dlogp, p.pack.dlogp->got + 4 * first[2 * i], 4);
        if (i == bad) {
            if (!isnan(got.loss)) check_fail(c, "the loss hides a NaN: %g", (double)got.loss);
            if (!isnan(dlogp)) check_fail(c, "dlogp hides a NaN: %g", (double)dlogp);
        } else {
            near(c, "loss", i, got.loss, p.pairs_out->f64[(n[2] + i) * PAIR_FLOATS]);
        }
    }
}

// ---- next-token loss and sums ----

CHECK_RECORD(op_sft_loss, op_sft_loss)
// Sizes: sequences, longest, rows before.
static void sft_loss(struct check *c, const uint32_t *n)
{
    struct pack k;
    const size_t floats = sizeof(struct sequence_metrics) / 4;
    make_pack(c, &k, n[0], n[1], n[2]);
    uint32_t room = n[2] + n[0] + 1;
    struct check_array *out = check_output(c, "sequences_out", room * floats);
    struct op_sft_loss op = {.logp = k.logp->addr,
                             .entropy = k.entropy->addr,
                             .is_argmax = k.is_argmax->addr,
                             .sequence_first = k.first->addr,
                             .dlogp = k.dlogp->addr,
                             .sequences_out = out->addr,
                             .counts = k.counts->addr,
                             .step = k.step->addr,
                             .max_sequences = k.sequence_capacity,
                             .scored = k.scored_capacity,
                             .sequences_out_count = room};
    struct ref_sequence_f64 *want = (struct ref_sequence_f64 *)(out->f64 + n[2] * floats);
    if (c->judged)
        ref_sft_loss_f64(&(struct ref_sft_loss_f64){.dlogp = k.dlogp->f64,
                                                    .sequences_out = want,
                                                    .logp = k.logp->f64,
                                                    .entropy = k.entropy->f64,
                                                    .is_argmax = k.is_argmax->f64,
                                                    .sequence_first = k.first->u32,
                                                    .sequences = n[0],
                                                    .loss_scale = (double)SCALE});
    check_cost(c, 3.0 * k.scored, 16.0 * k.scored);
    check_run(c, record_op_sft_loss, &op);
}

struct sums {
    struct pack pack;
    vk_addr out;
};

static void record_sums(struct vk_seq *s, void *ctx)
{
    const struct sums *m = ctx;
    op_sequence_sums(s, m->out, m->pack.logp->addr, m->pack.first->addr, m->pack.counts->addr,
                     m->pack.sequence_capacity, m->pack.scored_capacity);
}

static void sequence_sums(struct check *c, const uint32_t *n)
{
    struct sums m;
    make_pack(c, &m.pack, n[0], n[1], 0);
    struct check_array *out = check_output(c, "sums", m.pack.sequence_capacity);
    m.out = out->addr;
    if (c->judged) ref_sequence_sums_f64(out->f64, m.pack.logp->f64, m.pack.first->u32, n[0]);
    check_cost(c, m.pack.scored, 4.0 * m.pack.scored);
    check_run(c, record_sums, &m);
}

// ---- the table ----

#define PREF "pairs longest before E% distance%"

static const struct check_case cases[] = {
    CHECK_CASE("pref_loss", pref_loss, PREF, 1, 1, 0, 0, 10),
    CHECK_CASE("pref_loss", pref_loss, PREF, 31, 33, 0, 0, 10),
    CHECK_CASE("pref_loss", pref_loss, PREF, 33, 257, 5, 10, 100),
    CHECK_CASE("pref_loss", pref_loss, PREF, 257, 31, 0, 45, 1),
    CHECK_CASE("pref_loss", pref_loss, PREF, 16, 700, 48, 0, 50),
    CHECK_CASE("pref_loss", pref_loss, PREF, 64, 100, 0, 0, 3000),
    CHECK_CASE("pref_loss", pref_loss, PREF, 64, 100, 0, 20, 3000),
    CHECK_TIMED("pref_loss", pref_loss, PREF, 512, 512, 0, 0, 50),
    CHECK_CASE("pref_loss_equal", pref_loss_equal, PREF, 1, 1, 0, 0, 0),
    CHECK_CASE("pref_loss_equal", pref_loss_equal, PREF, 33, 257, 3, 0, 0),
    CHECK_CASE("pref_loss_equal", pref_loss_equal, PREF, 257, 31, 0, 10, 0),
    CHECK_CASE("pref_loss_nan", pref_loss_nan, PREF, 31, 33, 2, 0, 10),
    CHECK_CASE("sft_loss", sft_loss, "R longest before", 1, 1, 0),
    CHECK_CASE("sft_loss", sft_loss, "R longest before", 31, 33, 4),
    CHECK_CASE("sft_loss", sft_loss, "R longest before", 33, 257, 0),
    CHECK_CASE("sft_loss", sft_loss, "R longest before", 257, 31, 2),
    CHECK_TIMED("sft_loss", sft_loss, "R longest before", 1024, 512, 0),
    CHECK_CASE("sequence_sums", sequence_sums, "R longest", 1, 1),
    CHECK_CASE("sequence_sums", sequence_sums, "R longest", 31, 33),
    CHECK_CASE("sequence_sums", sequence_sums, "R longest", 33, 257),
    CHECK_CASE("sequence_sums", sequence_sums, "R longest", 257, 31),
    CHECK_TIMED("sequence_sums", sequence_sums, "R longest", 1024, 512),
};
const struct check_table check_loss = {cases, sizeof cases / sizeof *cases};
