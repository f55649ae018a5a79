// Pair p is the sequences w = 2p and l = 2p + 1. With u = sum (logp - ref_logp), z = beta (u_w - u_l),
// E = label_smoothing, s = sigmoid, ls = log s:
// loss = -(1 - E) ls(z) - E ls(-z); dz = -(1 - E) s(-z) + E s(z);
// dlogp = loss_scale beta dz for w, its negative for l; rewards beta u; sums for the metrics.
// Assigns. Grid: groups(pairs), one workgroup a pair.
#version 460
#include "common.glsl"
#include "sequences.glsl"
#include "logistic.glsl"

ARGS(pref_loss_args);

// Loss and its derivative by z. From e = exp(-|z|): ls(|z|) = -log(1 + e), ls(-|z|) = -|z| -
// log(1 + e), s(|z|) = 1 / (1 + e), s(-|z|) = e / (1 + e).
vec2 loss_and_slope(float z, float smoothing)
{
    if (is_nonfinite(z)) // said aloud: min() and max() may drop a NaN
        return vec2(uintBitsToFloat(0x7fc00000u));
    float magnitude = abs(z), e = exp_neg(magnitude), large = 1.0 / (1.0 + e), small = e / (1.0 + e);
    bool positive = z >= 0.0;
    float wrong = positive ? smoothing : 1.0 - smoothing; // weight of the term that grows with |z|
    float loss = log_one_plus(e) + wrong * magnitude;
    float slope = (positive ? large : small) * smoothing - (positive ? small : large) * (1.0 - smoothing);
    return vec2(loss, slope);
}

void main()
{
    uint p = group_index(), scored = args.scored;
    if (p >= min(args.counts.v[0].sequences / 2u, args.max_pairs))
        return;
    f32 logp = args.logp, ref_logp = args.ref_logp, dlogp = args.dlogp;
    scored_range w = sequence_range(args.sequence_first, 2u * p, scored);
    scored_range l = sequence_range(args.sequence_first, 2u * p + 1u, scored);

    float u_w = sequence_sum_difference(logp, ref_logp, w);
    float u_l = sequence_sum_difference(logp, ref_logp, l);
    float beta = args.settings.v[0].beta;
    vec2 result = loss_and_slope(beta * (u_w - u_l), args.settings.v[0].label_smoothing);
    pair_metrics m;
    m.loss = result.x;
    m.reward_chosen = beta * u_w;
    m.reward_rejected = beta * u_l;
    m.logp_chosen = sequence_sum(logp, w);
    m.logp_rejected = sequence_sum(logp, l);
    m.ref_logp_chosen = sequence_sum(ref_logp, w);
    m.ref_logp_rejected = sequence_sum(ref_logp, l);
    m.entropy = sequence_sum(args.entropy, w) + sequence_sum(args.entropy, l);
    m.tokens = float(w.end - w.begin + (l.end - l.begin));
    m.accurate = sequence_sum(args.is_argmax, w); // of chosen alone, as TRL counts it
    m.chosen_tokens = float(w.end - w.begin);

    float slope = args.step.v[0].loss_scale * beta * result.y;
    for (uint i = w.begin + local_index; i < w.end; i += local_size)
        dlogp.v[i] = slope;
    for (uint i = l.begin + local_index; i < l.end; i += local_size)
        dlogp.v[i] = -slope;
    uint place = args.counts.v[0].first_row + p;
    if (local_index == 0u && place < args.pairs_out_count)
        args.pairs_out.v[place] = m;
}
