#include "ops/check/cases_pack.h"
#include "ops/loss.h"
#include "ops/ref.h"

#include <math.h>
#include <string.h>

// ---- next-token loss and sums ----

CHECK_RECORD(op_sft_loss, op_sft_loss)
// Sizes: sequences, longest, rows before.
static void sft_loss(struct check *c, const uint32_t *n)
{
    struct check_pack k;
    const size_t floats = sizeof(struct sequence_metrics) / 4;
    check_pack_make(c, &k, &(struct check_pack_params){n[0], n[1], n[2], 0, 0, false, false}, 1);
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
                                                    .loss_scale = (double)PACK_LOSS_SCALE});
    check_cost(c, 3.0 * k.scored, 16.0 * k.scored);
    check_run(c, record_op_sft_loss, &op);
}

struct sums {
    struct check_pack pack;
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
    check_pack_make(c, &m.pack, &(struct check_pack_params){.sequences = n[0], .longest = n[1]}, 1);
    struct check_array *out = check_output(c, "sums", m.pack.sequence_capacity);
    m.out = out->addr;
    if (c->judged) ref_sequence_sums_f64(out->f64, m.pack.logp->f64, m.pack.first->u32, n[0]);
    check_cost(c, m.pack.scored, 4.0 * m.pack.scored);
    check_run(c, record_sums, &m);
}

// ---- unpaired completions ----

#define UNPAIRED_FLOATS (sizeof(struct unpaired_metrics) / 4)

struct unpaired {
    struct check_pack pack;
    struct check_array *labels, *out, *kl_ratios;
    struct op_unpaired_loss op;
};

static void record_unpaired(struct vk_seq *s, void *ctx)
{
    const struct unpaired *u = ctx;
    op_unpaired_loss(s, &u->op);
}

// The batch begins some rows before the pack and ends some after it. What kl_ratios hold outside is
// NaN. Their mean over the batch is `kl`; 0: below 0.
static void make_ratios(struct check *c, struct unpaired *u, uint32_t count, double kl)
{
    uint32_t begin = u->pack.count.batch_first, rows = u->pack.count.batch_rows;
    u->kl_ratios = check_normal(c, "kl_ratios", count, 0.5);
    for (uint32_t i = 0; i < count; i++) {
        if (i < begin || i >= begin + rows)
            u->kl_ratios->f32[i] = NAN;
        else
            u->kl_ratios->f32[i] += kl > 0 ? (float)kl : -2;
        u->kl_ratios->f64[i] = (double)u->kl_ratios->f32[i];
    }
}

enum { ROWS, LONGEST, BEFORE, TYPE, KL, DISTANCE };
#define UNPAIRED "R longest before type KL% distance%"

static void make_unpaired(struct check *c, const uint32_t *n, struct unpaired *u)
{
    uint32_t before = n[BEFORE], room = before + n[ROWS] + 4;
    check_pack_make(c, &u->pack,
                    &(struct check_pack_params){.sequences = n[ROWS],
                                                .longest = n[LONGEST],
                                                .first_row = before,
                                                .batch_first = before / 2,
                                                .batch_rows = before - before / 2 + n[ROWS] + 1},
                    n[DISTANCE] / 100.0);
    u->labels = check_indices(c, "labels", u->pack.sequence_capacity, 2);
    u->out = check_output(c, "out", room * UNPAIRED_FLOATS);
    if (n[TYPE] == UNPAIRED_KTO) make_ratios(c, u, room, n[KL] / 100.0);
    u->op = (struct op_unpaired_loss){.logp = u->pack.logp->addr,
                                      .ref_logp = u->pack.ref_logp->addr,
                                      .entropy = u->pack.entropy->addr,
                                      .is_argmax = u->pack.is_argmax->addr,
                                      .sequence_first = u->pack.first->addr,
                                      .labels = u->labels->addr,
                                      .dlogp = u->pack.dlogp->addr,
                                      .out = u->out->addr,
                                      .kl_ratios = u->kl_ratios ? u->kl_ratios->addr : 0,
                                      .counts = u->pack.counts->addr,
                                      .step = u->pack.step->addr,
                                      .max_sequences = u->pack.sequence_capacity,
                                      .scored = u->pack.scored_capacity,
                                      .out_count = room,
                                      .type = n[TYPE],
                                      .beta = 0.1f,
                                      .desirable_weight = 1.25f,
                                      .undesirable_weight = 0.75f};
    check_cost(c, 5.0 * u->pack.scored, 20.0 * u->pack.scored);
}

static void unpaired_reference(struct unpaired *u)
{
    double *out = u->out->f64 + u->pack.count.first_row * UNPAIRED_FLOATS;
    _Static_assert(sizeof(struct ref_unpaired_f64) == UNPAIRED_FLOATS * sizeof(double),
                   "one layout");
    ref_unpaired_loss_f64(
        &(struct ref_unpaired_loss_f64){.dlogp = u->pack.dlogp->f64,
                                        .out = (struct ref_unpaired_f64 *)out,
                                        .logp = u->pack.logp->f64,
                                        .ref_logp = u->pack.ref_logp->f64,
                                        .entropy = u->pack.entropy->f64,
                                        .is_argmax = u->pack.is_argmax->f64,
                                        .kl_ratios = u->kl_ratios ? u->kl_ratios->f64 : NULL,
                                        .sequence_first = u->pack.first->u32,
                                        .labels = u->labels->u32,
                                        .sequences = u->pack.sequences,
                                        .batch_first = u->pack.count.batch_first,
                                        .batch_rows = u->pack.count.batch_rows,
                                        .beta = (double)u->op.beta,
                                        .desirable_weight = (double)u->op.desirable_weight,
                                        .undesirable_weight = (double)u->op.undesirable_weight,
                                        .loss_scale = (double)PACK_LOSS_SCALE});
}

static struct unpaired_metrics unpaired_got(const struct unpaired *u, uint32_t r)
{
    struct unpaired_metrics m;
    memcpy(&m, u->out->got + (u->pack.count.first_row + r) * sizeof m, sizeof m);
    return m;
}

// Each loss and gradient by itself: the harness judges arrays as a whole.
static void judge_unpaired(struct check *c, const struct unpaired *u)
{
    const uint32_t *first = u->pack.first->u32;
    for (uint32_t r = 0; r < u->pack.sequences; r++) {
        struct unpaired_metrics got = unpaired_got(u, r);
        const double *want = u->out->f64 + (u->pack.count.first_row + r) * UNPAIRED_FLOATS;
        double z = fabs(want[1]) + fabs(want[8]); // whose rounding a small loss magnifies
        check_near(c, "loss", r, got.loss, want[0], 1e-6 * (4 + z));
        if (first[r] == first[r + 1]) continue;
        float dlogp;
        memcpy(&dlogp, u->pack.dlogp->got + 4 * first[r], 4);
        check_near(c, "dlogp", r, dlogp, u->pack.dlogp->f64[first[r]], 1e-6 * (4 + z));
    }
}

static void unpaired_loss(struct check *c, const uint32_t *n)
{
    struct unpaired u = {0};
    make_unpaired(c, n, &u);
    if (c->judged) unpaired_reference(&u);
    check_run(c, record_unpaired, &u);
    if (c->judged && !c->device_failed) judge_unpaired(c, &u);
}

// Policy = reference and KL = 0: loss is half the weight, reward exactly 0.
static void unpaired_loss_equal(struct check *c, const uint32_t *n)
{
    struct unpaired u = {0};
    make_unpaired(c, n, &u);
    unpaired_reference(&u);
    check_run(c, record_unpaired, &u);
    if (c->device_failed) return;
    for (uint32_t r = 0; r < n[ROWS]; r++) {
        struct unpaired_metrics got = unpaired_got(&u, r);
        float weight = u.labels->u32[r] ? u.op.desirable_weight : u.op.undesirable_weight;
        if (got.reward != 0 || got.kl != 0 || got.loss != weight / 2)
            check_fail(c, "reward %g, KL %g and loss %g of sequence %u, want 0, 0 and %g",
                       (double)got.reward, (double)got.kl, (double)got.loss, r,
                       (double)(weight / 2));
    }
}

// A NaN among a row's log-probs is its own; one among the batch's ratios is everybody's.
static void unpaired_loss_nan(struct check *c, const uint32_t *n)
{
    struct unpaired u = {0};
    make_unpaired(c, n, &u);
    const uint32_t bad = 1, *first = u.pack.first->u32;
    u.pack.dlogp->role = u.out->role = CHECK_SCRATCH;
    unpaired_reference(&u);
    if (u.kl_ratios)
        u.kl_ratios->f32[n[BEFORE]] = NAN;
    else
        u.pack.ref_logp->f32[first[bad]] = NAN;
    check_run(c, record_unpaired, &u);
    if (c->device_failed) return;
    for (uint32_t r = 0; r < n[ROWS]; r++) {
        struct unpaired_metrics got = unpaired_got(&u, r);
        float dlogp = NAN;
        if (first[r] < first[r + 1]) memcpy(&dlogp, u.pack.dlogp->got + 4 * first[r], 4);
        if (!u.kl_ratios && r != bad)
            check_near(c, "loss", r, got.loss, u.out->f64[(n[BEFORE] + r) * UNPAIRED_FLOATS], 2e-6);
        else if (!isnan(got.loss) || !isnan(dlogp))
            check_fail(c, "sequence %u hides a NaN: loss %g, dlogp %g", r, (double)got.loss,
                       (double)dlogp);
    }
}

static void record_ratio_sums(struct vk_seq *s, void *ctx)
{
    op_ratio_sums(s, ctx);
}

static void ratio_sums(struct check *c, const uint32_t *n)
{
    struct check_pack k;
    check_pack_make(
        c, &k, &(struct check_pack_params){.sequences = n[0], .longest = n[1], .first_row = n[2]},
        n[3] / 100.0);
    struct check_array *out = check_output(c, "ratios", n[2] + n[0] + 2);
    struct op_ratio_sums op = {.out = out->addr,
                               .logp = k.logp->addr,
                               .ref_logp = k.ref_logp->addr,
                               .sequence_first = k.first->addr,
                               .counts = k.counts->addr,
                               .max_sequences = k.sequence_capacity,
                               .scored = k.scored_capacity,
                               .out_count = n[2] + n[0] + 2};
    if (c->judged)
        ref_ratio_sums_f64(out->f64 + n[2], k.logp->f64, k.ref_logp->f64, k.first->u32, n[0]);
    check_cost(c, 2.0 * k.scored, 8.0 * k.scored);
    check_run(c, record_ratio_sums, &op);
}

// ---- the table ----

static const struct check_case cases[] = {
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
    CHECK_CASE("unpaired_loss", unpaired_loss, UNPAIRED, 1, 1, 0, UNPAIRED_KTO, 30, 10),
    CHECK_CASE("unpaired_loss", unpaired_loss, UNPAIRED, 31, 33, 7, UNPAIRED_KTO, 200, 10),
    CHECK_CASE("unpaired_loss", unpaired_loss, UNPAIRED, 33, 257, 5, UNPAIRED_KTO, 0, 100),
    CHECK_CASE("unpaired_loss", unpaired_loss, UNPAIRED, 257, 31, 40, UNPAIRED_KTO, 50, 100),
    CHECK_CASE("unpaired_loss", unpaired_loss, UNPAIRED, 64, 100, 3, UNPAIRED_KTO, 50, 1000),
    CHECK_CASE("unpaired_loss", unpaired_loss, UNPAIRED, 31, 33, 7, UNPAIRED_APO_ZERO, 0, 10),
    CHECK_CASE("unpaired_loss", unpaired_loss, UNPAIRED, 64, 100, 0, UNPAIRED_APO_ZERO, 0, 300),
    CHECK_TIMED("unpaired_loss", unpaired_loss, UNPAIRED, 1024, 512, 0, UNPAIRED_KTO, 50, 50),
    CHECK_CASE("unpaired_loss_equal", unpaired_loss_equal, UNPAIRED, 33, 31, 4, UNPAIRED_KTO, 0, 0),
    CHECK_CASE("unpaired_loss_equal", unpaired_loss_equal, UNPAIRED, 9, 257, 0, UNPAIRED_APO_ZERO,
               0, 0),
    CHECK_CASE("unpaired_loss_nan", unpaired_loss_nan, UNPAIRED, 4, 33, 3, UNPAIRED_KTO, 30, 10),
    CHECK_CASE("unpaired_loss_nan", unpaired_loss_nan, UNPAIRED, 31, 33, 3, UNPAIRED_APO_ZERO, 0,
               10),
    CHECK_CASE("ratio_sums", ratio_sums, "R longest before distance%", 1, 1, 0, 10),
    CHECK_CASE("ratio_sums", ratio_sums, "R longest before distance%", 33, 257, 6, 10),
    CHECK_CASE("ratio_sums", ratio_sums, "R longest before distance%", 257, 31, 0, 100),
    CHECK_TIMED("ratio_sums", ratio_sums, "R longest before distance%", 1024, 512, 0, 50),
};
const struct check_table check_loss = {cases, sizeof cases / sizeof *cases};
