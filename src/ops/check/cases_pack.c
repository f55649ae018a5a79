#include "ops/check/cases_pack.h"

#include <math.h>
#include <string.h>

void check_near(struct check *c, const char *name, uint64_t at, float got, double want,
                double tolerance)
{
    if (!(fabs((double)got - want) <= tolerance * fabs(want) + 1e-30))
        check_fail(c, "%s[%llu] is %.9g, want %.9g", name, (unsigned long long)at, (double)got,
                   want);
}

static void cut_sequences(struct check *c, struct check_pack *k,
                          const struct check_pack_params *params)
{
    k->sequences = params->sequences;
    k->sequence_capacity = k->sequences + 2 * PACK_SPARE;
    k->first = check_words(c, "sequence_first", (uint64_t)k->sequence_capacity + 1);
    uint32_t chosen = 0;
    for (uint32_t r = 0; r < k->sequences; r++) {
        // Some have no scored position; most have any number.
        bool none = !params->all_scored && r % 5 == 4;
        uint32_t length = none ? 0 : 1 + (uint32_t)rng_below(&c->rng, params->longest);
        k->first->u32[r] = k->scored;
        k->scored += length;
        if (params->pairs && r % 2 == 0) chosen += length;
    }
    k->scored_capacity = k->scored + PACK_SPARE;
    for (uint32_t r = k->sequences; r <= k->sequence_capacity; r++)
        k->first->u32[r] = r == k->sequences ? k->scored : k->scored_capacity;
    k->count = (struct pack_counts){.scored = k->scored,
                                    .sequences = k->sequences,
                                    .first_row = params->first_row,
                                    .batch_first = params->batch_first,
                                    .batch_rows = params->batch_rows};
    if (params->pairs) k->count.batch_tokens = chosen + 7; // some are in other packs
}

void check_pack_make(struct check *c, struct check_pack *k, const struct check_pack_params *params,
                     double distance)
{
    const struct step_values step = {.loss_scale = PACK_LOSS_SCALE};
    *k = (struct check_pack){0};
    cut_sequences(c, k, params);
    k->counts = check_words(c, "counts", sizeof k->count / 4);
    memcpy(k->counts->u32, &k->count, sizeof k->count);
    k->step = check_words(c, "step", sizeof step / 4);
    memcpy(k->step->u32, &step, sizeof step);
    k->logp = check_normal(c, "logp", k->scored_capacity, 1);
    k->ref_logp = check_normal(c, "ref_logp", k->scored_capacity, distance);
    for (uint64_t i = 0; i < k->scored_capacity; i++) {
        k->logp->f32[i] = fminf(k->logp->f32[i] - 3, -0.01f);
        k->logp->f64[i] = (double)k->logp->f32[i];
        k->ref_logp->f32[i] += k->logp->f32[i];
        k->ref_logp->f64[i] = (double)k->ref_logp->f32[i];
    }
    k->entropy = check_uniform(c, "entropy", k->scored_capacity, 0, 10);
    k->is_argmax = check_floats(c, "is_argmax", k->scored_capacity);
    for (uint64_t i = 0; i < k->scored; i++)
        k->is_argmax->f64[i] = k->is_argmax->f32[i] = (float)rng_below(&c->rng, 2);
    k->dlogp = check_output(c, "dlogp", k->scored_capacity);
}
