// Values of a step shared by host and kernels through memory; included by args.h.
#ifndef TRDPO_ARGS_STEP_H
#define TRDPO_ARGS_STEP_H

#define STEP_UNKNOWN_SKIPS 3 // steps in flight, and none

// Written by the host before each optimiser step.
struct step_values {
    float loss_scale; // pairs: 1 / pairs of the step; SFT: 1 / scored tokens of the step
    float learning_rate;
    // 1 - beta1^t and 1 - beta2^t, with t the number of this step less those that have been
    // skipped: as many as the host knew of, one more, two more.
    float correction1[STEP_UNKNOWN_SKIPS];
    float correction2[STEP_UNKNOWN_SKIPS];
    uint skipped; // that the host knew of
};

// Written by the device, read by the host one step late.
struct step_results {
    float grad_norm;
    float clip_factor;
    uint nonfinite;   // gradients that are NaN or infinite
    uint ref_updates; // since the device was set up
    // Dynamic loss scaling, as PyTorch's GradScaler does it: gradients are computed that many times
    // as large, so that fp16 holds small ones. A step that overflows is skipped and halves the
    // scale; LOSS_SCALE_GROWTH steps in a row that do not double it.
    float grad_scale; // a power of two; 0: gradients are as they are, and none is skipped
    uint steady;      // steps since the scale changed
    uint skipped;     // steps, since the run began
};
#define LOSS_SCALE_START 65536.0f
#define LOSS_SCALE_MOST 16777216.0f
#define LOSS_SCALE_GROWTH 2000u

// Losses of pairs, in the order of the choices of the key loss_type; method.md's names in capitals.
#define PREF_SIGMOID 0
#define PREF_ROBUST 1
#define PREF_HINGE 2
#define PREF_IPO 3
#define PREF_IPO_SUM 4
#define PREF_SIGMOID_NORM 5
#define PREF_EXO_PAIR 6
#define PREF_NCA_PAIR 7
#define PREF_BCO_PAIR 8
#define PREF_SPPO_HARD 9
#define PREF_APO_ZERO 10
#define PREF_APO_DOWN 11
#define PREF_AOT 12
#define PREF_AOT_UNPAIRED 13
#define PREF_DISCOPOP 14
#define PREF_SFT 15
#define PREF_KTO_PAIR 16
#define PREF_SIMPO 17
#define PREF_ORPO 18
// Losses of unpaired completions.
#define UNPAIRED_KTO 19
#define UNPAIRED_APO_ZERO 20

#define DIVERGENCE_REVERSE_KL 0
#define DIVERGENCE_FORWARD_KL 1
#define DIVERGENCE_JS 2
#define DIVERGENCE_ALPHA 3

#define PREF_REFERENCE_FREE 1u // the reference's log-probs count as 0
#define PREF_WEIGHTED 2u       // WPO: each pair's loss times w_w w_l
#define PREF_MEAN_REWARDS 4u   // rewards are of the mean log-prob of a token, not of the sum

#define PREF_MAX_TERMS 8

// What the loss of a run is made of. Constant over the run; in device memory, since it is more than
// arguments may hold.
struct pref_settings {
    uint terms;                   // their losses, times their weights, are summed
    uint type[PREF_MAX_TERMS];    // PREF_SIGMOID ...
    float weight[PREF_MAX_TERMS]; // of the terms
    float beta, label_smoothing;
    float ld_alpha; // weight of tokens beyond the shorter completion's length; 1: as the others
    float divergence_coef; // of DIVERGENCE_ALPHA
    float discopop_tau, simpo_gamma;
    float alpha; // AlphaPO: logp becomes (1 - exp(-alpha logp)) / alpha; 0: it stays
    uint divergence, flags;
};

// Sums over one pair that losses of the whole batch look at. Tokens beyond the shorter completion
// weigh ld_alpha.
struct pair_sums {
    float logp_chosen, logp_rejected;
    float ref_logp_chosen, ref_logp_rejected;
    float ratio_chosen, ratio_rejected; // of logp - ref_logp
    float weight;                       // WPO's w_w w_l, else 1
};

// Of one pair, from the preference loss.
struct pair_metrics {
    float loss;
    float reward_chosen, reward_rejected; // beta * (logp - ref_logp), ld_alpha and means included
    float logp_chosen, logp_rejected;     // sums over the completion
    float ref_logp_chosen, ref_logp_rejected;
    float entropy;       // sum over the scored tokens of both completions
    float tokens;        // scored tokens of both completions
    float accurate;      // scored tokens of the chosen completion whose target is the argmax
    float chosen_tokens; // scored tokens of the chosen completion
};

// Of one unpaired completion.
struct unpaired_metrics {
    float loss;           // times its class's weight
    float reward;         // beta * (logp - ref_logp)
    float logp, ref_logp; // sums over the completion
    float entropy;        // sum over its scored tokens
    float tokens;         // scored
    float accurate;       // scored tokens whose target is the argmax
    float label;          // 1: desirable, 0: undesirable
    float kl; // the batch's estimate of the divergence, in nats; 0 where the loss has none
};

// Of one sequence, from the next-token loss.
struct sequence_metrics {
    float logp, entropy, accurate, tokens; // sums over the sequence's scored tokens
};

#endif
