// Values of a step shared by host and kernels through memory; included by args.h.
#ifndef TRDPO_ARGS_STEP_H
#define TRDPO_ARGS_STEP_H

// Written by the host before each optimiser step.
struct step_values {
    float loss_scale; // pairs: 1 / pairs of the step; SFT: 1 / scored tokens of the step
    float learning_rate;
    float correction1; // 1 - beta1^t
    float correction2; // 1 - beta2^t
};

// Written by the device, read by the host one step late.
struct step_results {
    float grad_norm;
    float clip_factor;
    uint nonfinite;   // gradients that are NaN or infinite
    uint ref_updates; // since the device was set up
};

// Of one pair, from the preference loss.
struct pair_metrics {
    float loss;
    float reward_chosen, reward_rejected; // beta * (logp - ref_logp)
    float logp_chosen, logp_rejected;     // sums over the completion
    float ref_logp_chosen, ref_logp_rejected;
    float entropy;       // sum over the scored tokens of both completions
    float tokens;        // scored tokens of both completions
    float accurate;      // scored tokens of the chosen completion whose target is the argmax
    float chosen_tokens; // scored tokens of the chosen completion
};

// Of one sequence, from the next-token loss.
struct sequence_metrics {
    float logp, entropy, accurate, tokens; // sums over the sequence's scored tokens
};

#endif
