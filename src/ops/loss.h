// Training losses on per-token log-probs: one fused dispatch each.
//
// Letters: S scored positions, R sequences. A pair p is the sequences 2p (chosen) and 2p + 1
// (rejected); sequence r owns the scored positions [first[r], first[r + 1]).
#ifndef TRDPO_OPS_LOSS_H
#define TRDPO_OPS_LOSS_H

#include "vk/sequence.h"

struct op_pref_loss {
    vk_addr logp, ref_logp;     // [S] policy and reference log-probs of the target tokens
    vk_addr entropy, is_argmax; // [S] from the head
    vk_addr sequence_first;     // uint32[R + 1]
    vk_addr dlogp;              // [S] d(loss of the step) / d logp; assigned
    vk_addr pairs_out; // struct pair_metrics[pairs_out_count] of the whole step; pair p of this
                       // pack is assigned at counts.first_row + p
    vk_addr counts;    // struct pack_counts
    vk_addr step;      // struct step_values: gradient scale 1 / (pairs of the step)
    uint32_t max_pairs, scored; // capacities of a pack
    uint32_t pairs_out_count;
    float beta, label_smoothing;
};
// DPO (Rafailov et al. 2023), sigmoid form with label smoothing (conservative DPO):
// D = (sum logp_w - sum ref_w) - (sum logp_l - sum ref_l),
// loss = -(1 - E) log sigmoid(beta D) - E log sigmoid(-beta D).
void op_pref_loss(struct vk_seq *s, const struct op_pref_loss *p);

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
