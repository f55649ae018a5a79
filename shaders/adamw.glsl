// AdamW's mathematics, for kernels that keep the moments in different ways.
#ifndef TRDPO_ADAMW_GLSL
#define TRDPO_ADAMW_GLSL

struct adamw_rates {
    float clip, rate, shrink; // of the gradient; of the step; weight decay's of the weight
    float correction1, correction2;
    float beta1, beta2, beta1_rest, beta2_rest, epsilon;
};

// Skipped steps that the host did not know of when it made the step's values.
uint adamw_unknown_skips(step_values_ref step, step_results_ref results)
{
    return min(results.v[0].skipped - step.v[0].skipped, STEP_UNKNOWN_SKIPS - 1u);
}

// Of a kernel whose arguments have the names of struct adamw_args.
#define ADAMW_RATES                                                                                \
    adamw_rates(args.results.v[0].clip_factor, args.step.v[0].learning_rate,                       \
                args.step.v[0].learning_rate * args.weight_decay,                                  \
                args.step.v[0].correction1[adamw_unknown_skips(args.step, args.results)],          \
                args.step.v[0].correction2[adamw_unknown_skips(args.step, args.results)],          \
                args.beta1, args.beta2, args.one_minus_beta1, args.one_minus_beta2, args.epsilon)

// What is done instead of a step whose gradient is not finite: nothing; but with a loss scale, under
// which the run goes on, the gradient is cleared for the next step.
#define ADAMW_SKIP                                                                                 \
    {                                                                                              \
        if (args.results.v[0].grad_scale > 0.0)                                                    \
            clear_grads(args.grad, args.blocks, args.span_shift, args.tiles);                      \
        return;                                                                                    \
    }

// The moments after a clipped gradient g.
#define adamw_first(r, m, g) ((r).beta1 * (m) + (r).beta1_rest * (g))
#define adamw_second(r, v, g) ((r).beta2 * (v) + (r).beta2_rest * ((g) * (g)))

// The weight after a step with the new moments; `decays`: bit 0 says whether it decays.
#define adamw_weight(r, w, m, v, decays)                                                           \
    ((w) - (((decays)&1u) != 0u ? (r).shrink : 0.0) * (w) -                                        \
     (r).rate * ((m) / (r).correction1) / (sqrt((v) / (r).correction2) + (r).epsilon))

// Bits of the four blocks of tile `t`, which stand in one word.
uint adamw_decays(u32 decay, uint t)
{
    return given(decay) ? decay.v[t / 8u] >> (t % 8u * 4u) : 15u;
}

#endif
