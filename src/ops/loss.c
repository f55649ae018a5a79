#include "ops/loss.h"

#include "ops/extent.h"
#include "ops/kernels.h"

// What the losses read and write beside their own.
static void check_pack(struct vk_seq *s, vk_addr sequence_first, uint32_t sequences, vk_addr counts)
{
    CHECK(sequences > 0);
    CHECK_WORDS(s, sequence_first, (uint64_t)sequences + 1);
    CHECK_WORDS(s, counts, sizeof(struct pack_counts) / 4);
}

bool pref_is_batch_wide(const struct pref_settings *settings)
{
    bool weighted = (settings->flags & PREF_WEIGHTED) != 0;
    for (uint32_t i = 0; i < settings->terms; i++) {
        uint32_t type = settings->type[i];
        if (type == PREF_AOT || type == PREF_AOT_UNPAIRED || type == PREF_KTO_PAIR) return true;
        if (weighted && (type == PREF_SFT || type == PREF_ORPO)) return true;
    }
    return false;
}

bool pref_needs_batch_tokens(const struct pref_settings *settings)
{
    for (uint32_t i = 0; i < settings->terms; i++)
        if (settings->type[i] == PREF_SFT || settings->type[i] == PREF_ORPO) return true;
    return false;
}

void op_pref_loss(struct vk_seq *s, const struct op_pref_loss *p)
{
    double scored = p->scored;
    CHECK(p->max_pairs > 0 && p->max_pairs <= UINT32_MAX / 2);
    check_pack(s, p->sequence_first, 2 * p->max_pairs, p->counts);
    CHECK_WORDS(s, p->logp, p->scored);
    CHECK_OPTIONAL_WORDS(s, p->ref_logp, p->scored);
    CHECK_WORDS(s, p->entropy, p->scored);
    CHECK_WORDS(s, p->is_argmax, p->scored);
    CHECK_OPTIONAL_WORDS(s, p->collision, p->scored);
    CHECK_WORDS(s, p->dlogp, p->scored);
    CHECK_WORDS(s, p->settings, sizeof(struct pref_settings) / 4);
    CHECK_OPTIONAL_WORDS(s, p->batch, (uint64_t)p->batch_count * (sizeof(struct pair_sums) / 4));
    CHECK_WORDS(s, p->pairs_out, (uint64_t)p->pairs_out_count * (sizeof(struct pair_metrics) / 4));
    CHECK_WORDS(s, p->step, sizeof(struct step_values) / 4);
    vk_cost(s, 6.0 * scored, 20.0 * scored);
    struct vk_launch launch = groups(p->max_pairs);
    launch.spec_count = 1;
    launch.spec[0] = p->batch != 0;
    DISPATCH(s, pref_loss, launch, .logp = p->logp, .ref_logp = p->ref_logp, .entropy = p->entropy,
             .is_argmax = p->is_argmax, .collision = p->collision, .dlogp = p->dlogp,
             .sequence_first = p->sequence_first, .pairs_out = p->pairs_out, .counts = p->counts,
             .step = p->step, .settings = p->settings, .batch = p->batch, .max_pairs = p->max_pairs,
             .scored = p->scored, .pairs_out_count = p->pairs_out_count,
             .batch_count = p->batch_count);
}

void op_pair_sums(struct vk_seq *s, const struct op_pair_sums *p)
{
    CHECK(p->max_pairs > 0 && p->max_pairs <= UINT32_MAX / 2);
    check_pack(s, p->sequence_first, 2 * p->max_pairs, p->counts);
    CHECK_WORDS(s, p->logp, p->scored);
    CHECK_OPTIONAL_WORDS(s, p->ref_logp, p->scored);
    CHECK_OPTIONAL_WORDS(s, p->collision, p->scored);
    CHECK_WORDS(s, p->settings, sizeof(struct pref_settings) / 4);
    CHECK_WORDS(s, p->out, (uint64_t)p->out_count * (sizeof(struct pair_sums) / 4));
    vk_cost(s, 6.0 * p->scored, 12.0 * p->scored);
    DISPATCH(s, pair_sums, groups(p->max_pairs), .out_sums = p->out, .logp = p->logp,
             .ref_logp = p->ref_logp, .collision = p->collision,
             .sequence_first = p->sequence_first, .counts = p->counts, .settings = p->settings,
             .max_pairs = p->max_pairs, .scored = p->scored, .out_count = p->out_count);
}

void op_unpaired_loss(struct vk_seq *s, const struct op_unpaired_loss *p)
{
    double scored = p->scored;
    CHECK(p->type == UNPAIRED_KTO || p->type == UNPAIRED_APO_ZERO);
    CHECK((p->type == UNPAIRED_KTO) == (p->kl_ratios != 0));
    check_pack(s, p->sequence_first, p->max_sequences, p->counts);
    CHECK_WORDS(s, p->logp, p->scored);
    CHECK_WORDS(s, p->ref_logp, p->scored);
    CHECK_WORDS(s, p->entropy, p->scored);
    CHECK_WORDS(s, p->is_argmax, p->scored);
    CHECK_WORDS(s, p->dlogp, p->scored);
    CHECK_WORDS(s, p->labels, p->max_sequences);
    CHECK_WORDS(s, p->out, (uint64_t)p->out_count * (sizeof(struct unpaired_metrics) / 4));
    CHECK_OPTIONAL_WORDS(s, p->kl_ratios, p->out_count);
    CHECK_WORDS(s, p->step, sizeof(struct step_values) / 4);
    vk_cost(s, 5.0 * scored, 20.0 * scored);
    DISPATCH(s, unpaired_loss, groups(p->max_sequences), .logp = p->logp, .ref_logp = p->ref_logp,
             .entropy = p->entropy, .is_argmax = p->is_argmax, .dlogp = p->dlogp,
             .sequence_first = p->sequence_first, .labels = p->labels, .out_rows = p->out,
             .kl_ratios = p->kl_ratios, .counts = p->counts, .step = p->step,
             .max_sequences = p->max_sequences, .scored = p->scored, .out_count = p->out_count,
             .type = p->type, .beta = p->beta, .desirable_weight = p->desirable_weight,
             .undesirable_weight = p->undesirable_weight);
}

void op_ratio_sums(struct vk_seq *s, const struct op_ratio_sums *p)
{
    check_pack(s, p->sequence_first, p->max_sequences, p->counts);
    CHECK_WORDS(s, p->logp, p->scored);
    CHECK_WORDS(s, p->ref_logp, p->scored);
    CHECK_WORDS(s, p->out, p->out_count);
    vk_cost(s, 2.0 * p->scored, 8.0 * p->scored);
    DISPATCH(s, ratio_sums, groups(p->max_sequences), .out_sums = p->out, .logp = p->logp,
             .ref_logp = p->ref_logp, .sequence_first = p->sequence_first, .counts = p->counts,
             .max_sequences = p->max_sequences, .scored = p->scored, .out_count = p->out_count);
}

void op_sft_loss(struct vk_seq *s, const struct op_sft_loss *p)
{
    double scored = p->scored;
    check_pack(s, p->sequence_first, p->max_sequences, p->counts);
    CHECK_WORDS(s, p->logp, p->scored);
    CHECK_WORDS(s, p->entropy, p->scored);
    CHECK_WORDS(s, p->is_argmax, p->scored);
    CHECK_WORDS(s, p->dlogp, p->scored);
    CHECK_WORDS(s, p->sequences_out,
                (uint64_t)p->sequences_out_count * (sizeof(struct sequence_metrics) / 4));
    CHECK_WORDS(s, p->step, sizeof(struct step_values) / 4);
    vk_cost(s, 3.0 * scored, 16.0 * scored);
    DISPATCH(s, sft_loss, groups(p->max_sequences), .logp = p->logp, .entropy = p->entropy,
             .is_argmax = p->is_argmax, .dlogp = p->dlogp, .sequence_first = p->sequence_first,
             .sequences_out = p->sequences_out, .counts = p->counts, .step = p->step,
             .max_sequences = p->max_sequences, .scored = p->scored,
             .sequences_out_count = p->sequences_out_count);
}

void op_sequence_sums(struct vk_seq *s, vk_addr out, vk_addr logp, vk_addr sequence_first,
                      vk_addr counts, uint32_t max_sequences, uint32_t scored)
{
    check_pack(s, sequence_first, max_sequences, counts);
    CHECK_WORDS(s, out, max_sequences);
    CHECK_WORDS(s, logp, scored);
    vk_cost(s, scored, 4.0 * scored);
    DISPATCH(s, sequence_sums, groups(max_sequences), .out_sums = out, .logp = logp,
             .sequence_first = sequence_first, .counts = counts, .max_sequences = max_sequences,
             .scored = scored);
}
