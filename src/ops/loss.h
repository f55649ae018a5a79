// Training losses on per-token log-probs: one fused dispatch each.
//
// Letters: S scored positions, R sequences. A pair p is the sequences 2p (chosen) and 2p + 1
// (rejected); sequence r owns the scored positions [first[r], first[r + 1]).
#ifndef TRDPO_OPS_LOSS_H
#define TRDPO_OPS_LOSS_H

#include "../shaders/args.h"
#include "vk/sequence.h"

#include <stdbool.h>

// Whether a loss looks at the whole batch, so that op_pair_sums() must have seen every pack of it
// before op_pref_loss() sees the first: aot, aot_unpaired, kto_pair, and the next-token loss (sft
// and orpo) under WPO. pack_counts then say what the batch is.
bool pref_is_batch_wide(const struct pref_settings *settings);

// Whether it needs pack_counts.batch_rows and batch_tokens: sft and orpo, whose mean over tokens is
// that of the batch.
bool pref_needs_batch_tokens(const struct pref_settings *settings);

struct op_pref_loss {
    vk_addr logp, ref_logp;     // [S] policy and reference log-probs of the target tokens;
                                // ref_logp may be 0 if it counts as 0 (PREF_REFERENCE_FREE)
    vk_addr entropy, is_argmax; // [S] from the head
    vk_addr collision;          // [S] from the head, for PREF_WEIGHTED; else 0
    vk_addr sequence_first;     // uint32[R + 1]
    vk_addr dlogp;              // [S] d(loss of the step) / d logp; assigned
    vk_addr pairs_out; // struct pair_metrics[pairs_out_count] of the whole step; pair p of this
                       // pack is assigned at counts.first_row + p
    vk_addr counts;    // struct pack_counts
    vk_addr step;      // struct step_values: gradient scale 1 / (pairs of the step)
    vk_addr settings;  // struct pref_settings
    vk_addr batch;     // struct pair_sums[batch_count] of the whole step; 0 where no loss is
                       // batch-wide
    uint32_t max_pairs, scored; // capacities of a pack
    uint32_t pairs_out_count, batch_count;
};
// Every loss of pairs (settings), with u = sum (logp - ref_logp), D = u_w - u_l. That of sigmoid,
// with label smoothing E (conservative DPO), is -(1 - E) log sigmoid(beta D) - E log sigmoid(-beta
// D). The loss of a batch is the mean over its pairs.
void op_pref_loss(struct vk_seq *s, const struct op_pref_loss *p);

// Before batch-wide losses, for every pack of the step: out[counts.first_row + p] of pair p.
struct op_pair_sums {
    vk_addr out;                              // struct pair_sums[out_count] of the step
    vk_addr logp, ref_logp, collision;        // as of op_pref_loss
    vk_addr sequence_first, counts, settings; // as of op_pref_loss
    uint32_t max_pairs, scored;               // capacities of a pack
    uint32_t out_count;
};
void op_pair_sums(struct vk_seq *s, const struct op_pair_sums *p);

// Losses of unpaired completions, one sequence each. u = sum (logp - ref_logp); s = sigmoid.
// UNPAIRED_KTO: 1 - s(beta (u - KL)) where desirable, 1 - s(beta (KL - u)) where not, with
// KL = max(0, mean of kl_ratios over the batch). UNPAIRED_APO_ZERO: the same with KL = 0.
// Each times its class's weight; the loss of a batch is the mean over its rows.
struct op_unpaired_loss {
    vk_addr logp, ref_logp;     // [S]
    vk_addr entropy, is_argmax; // [S] from the head
    vk_addr sequence_first;     // uint32[R + 1]
    vk_addr labels;             // uint32[R] 1: desirable, 0: undesirable
    vk_addr dlogp;              // [S]; assigned
    vk_addr out;       // struct unpaired_metrics[out_count] of the whole step; sequence r of
                       // this pack is assigned at counts.first_row + r
    vk_addr kl_ratios; // [out_count] of the whole step, from op_ratio_sums() over the
                       // mismatched rows of every pack of it; 0 for UNPAIRED_APO_ZERO
    vk_addr counts, step;
    uint32_t max_sequences, scored; // capacities of a pack
    uint32_t out_count;
    uint32_t type; // UNPAIRED_KTO, UNPAIRED_APO_ZERO
    float beta, desirable_weight, undesirable_weight;
};
void op_unpaired_loss(struct vk_seq *s, const struct op_unpaired_loss *p);

// out[counts.first_row + r] = sum of logp - ref_logp over sequence r.
struct op_ratio_sums {
    vk_addr out;            // [out_count] of the whole step
    vk_addr logp, ref_logp; // [S]
    vk_addr sequence_first, counts;
    uint32_t max_sequences, scored; // capacities of a pack
    uint32_t out_count;
};
void op_ratio_sums(struct vk_seq *s, const struct op_ratio_sums *p);

// Next-token loss: loss = -sum logp * scale, dlogp = -scale, with scale = 1 / (scored tokens of the
// step) from step_values. Reports per sequence (struct sequence_metrics).
struct op_sft_loss {
    vk_addr logp, entropy, is_argmax, sequence_first, dlogp;
    vk_addr sequences_out; // struct sequence_metrics[sequences_out_count] of the whole step;
                           // sequence r of this pack is assigned at counts.first_row + r
    vk_addr counts, step;
    uint32_t max_sequences, scored; // capacities of a pack
    uint32_t sequences_out_count;
};
void op_sft_loss(struct vk_seq *s, const struct op_sft_loss *p);

// Sums of logp over each sequence: out[r] = sum of logp[first[r] .. first[r + 1]) in a fixed order,
// the same as the losses use.
void op_sequence_sums(struct vk_seq *s, vk_addr out, vk_addr logp, vk_addr sequence_first,
                      vk_addr counts, uint32_t max_sequences, uint32_t scored);

#endif
