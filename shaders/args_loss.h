// Arguments of the log-prob head and of the preference loss. Included by args.h.
#ifndef TRDPO_ARGS_LOSS_H
#define TRDPO_ARGS_LOSS_H

// The log-prob head, on a chunk of rows: pointers are to the chunk's first row, which is row
// live_from of those that `live` counts.
struct head_fwd_args {
    ADDRESS(f32) logits; // [rows, vocab]
    ADDRESS(u32) targets;
    ADDRESS(f32) logp;
    ADDRESS(f32) lse;
    ADDRESS(f32) entropy;
    ADDRESS(f32) is_argmax;
    ADDRESS(f32) collision;
    ADDRESS(u32) live;
    uint rows, vocab;
    uint live_from;
};

struct head_bwd_args {
    ADDRESS(f32) logits; // becomes the gradient
    ADDRESS(u32) targets;
    ADDRESS(f32) dlogp; // or none
    ADDRESS(f32) lse;
    ADDRESS(u32) live;
    uint rows, vocab;
    uint live_from;
};

// Slopes are kept this many times as large, so that a product in fp16 sees small probabilities. A
// power of two: nothing is rounded by it.
#define HEAD_SLOPE_SCALE 16384.0

struct head_scale_args {
    ADDRESS(f32) dx;     // [rows, cols]
    ADDRESS(f32) slopes; // [rows, cols]
    ADDRESS(f32) dlogp;
    ADDRESS(u32) live;
    uint rows, cols;
};

struct pref_loss_args {
    ADDRESS(f32) logp, ref_logp, entropy, is_argmax, collision, dlogp;
    ADDRESS(u32) sequence_first;
    ADDRESS(pair_metrics_ref) pairs_out;
    ADDRESS(pack_counts_ref) counts;
    ADDRESS(step_values_ref) step;
    ADDRESS(pref_settings_ref) settings;
    ADDRESS(pair_sums_ref) batch; // of the step
    uint max_pairs, scored, pairs_out_count, batch_count;
};

struct pair_sums_args {
    ADDRESS(pair_sums_ref) out_sums; // of the step
    ADDRESS(f32) logp, ref_logp, collision;
    ADDRESS(u32) sequence_first;
    ADDRESS(pack_counts_ref) counts;
    ADDRESS(pref_settings_ref) settings;
    uint max_pairs, scored, out_count;
};

struct unpaired_loss_args {
    ADDRESS(f32) logp, ref_logp, entropy, is_argmax, dlogp;
    ADDRESS(u32) sequence_first;
    ADDRESS(u32) labels;
    ADDRESS(unpaired_metrics_ref) out_rows; // of the step
    ADDRESS(f32) kl_ratios;                 // of the step
    ADDRESS(pack_counts_ref) counts;
    ADDRESS(step_values_ref) step;
    uint max_sequences, scored, out_count, type;
    float beta, desirable_weight, undesirable_weight;
};

struct ratio_sums_args {
    ADDRESS(f32) out_sums, logp, ref_logp; // out_sums: of the step
    ADDRESS(u32) sequence_first;
    ADDRESS(pack_counts_ref) counts;
    uint max_sequences, scored, out_count;
};

struct sft_loss_args {
    ADDRESS(f32) logp, entropy, is_argmax, dlogp;
    ADDRESS(u32) sequence_first;
    ADDRESS(sequence_metrics_ref) sequences_out;
    ADDRESS(pack_counts_ref) counts;
    ADDRESS(step_values_ref) step;
    uint max_sequences, scored, sequences_out_count;
};

struct sequence_sums_args {
    ADDRESS(f32) out_sums, logp;
    ADDRESS(u32) sequence_first;
    ADDRESS(pack_counts_ref) counts;
    uint max_sequences, scored;
};

#endif
