// AdamW's mathematics, for kernels that keep the moments in different ways.
#ifndef TRDPO_ADAMW_GLSL
#define TRDPO_ADAMW_GLSL

struct adamw_rates {
    float clip, rate, shrink; // of the gradient; of the step; weight decay's of the weight
    float correction1, correction2;
    float beta1, beta2, beta1_rest, beta2_rest, epsilon;
};

// Of a kernel whose arguments have the names of struct adamw_args.
#define ADAMW_RATES                                                                                \
    adamw_rates(args.results.v[0].clip_factor, args.step.v[0].learning_rate,                       \
                args.step.v[0].learning_rate *args.weight_decay, args.step.v[0].correction1,       \
                args.step.v[0].correction2, args.beta1, args.beta2, args.one_minus_beta1,          \
                args.one_minus_beta2, args.epsilon)

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
