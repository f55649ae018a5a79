// A pack as losses see it: what the cases of losses share.
#ifndef TRDPO_OPS_CHECK_CASES_PACK_H
#define TRDPO_OPS_CHECK_CASES_PACK_H

#include "../shaders/args.h"
#include "ops/check/harness.h"

#define PACK_SPARE 3u // sequences, pairs and scored positions of room beyond those in use
#define PACK_LOSS_SCALE 0.037f

struct check_pack_params {
    uint32_t sequences, longest;                 // scored positions of a sequence, at most
    uint32_t first_row, batch_first, batch_rows; // of pack_counts
    bool pairs;                                  // batch_tokens are those of chosen completions
    bool all_scored;                             // no sequence without a scored position
};

// A pack of `sequences` with up to `longest` scored positions each, and what a head would give.
struct check_pack {
    uint32_t sequences, scored; // in use
    uint32_t sequence_capacity, scored_capacity;
    struct pack_counts count;
    struct check_array *first, *counts, *step;
    struct check_array *logp, *ref_logp, *entropy, *is_argmax, *dlogp;
};

// `distance`: standard deviation of log-probs of the reference from the policy's, for each token.
void check_pack_make(struct check *c, struct check_pack *k, const struct check_pack_params *params,
                     double distance);

// Fails the case unless got is want to `tolerance`, a part of it.
void check_near(struct check *c, const char *name, uint64_t at, float got, double want,
                double tolerance);

#endif
