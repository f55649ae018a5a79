// Loss of sequence r, an unpaired completion with a label. With u = sum (logp - ref_logp), s = sigmoid,
// KL = max(0, mean of kl_ratios over the batch), or 0 where those are not given:
// loss = weight (1 - s(beta (u - KL))) where desirable, weight (1 - s(beta (KL - u))) where not;
// no gradient through KL. Assigns. Grid: groups(sequences), a workgroup each.
#version 460
#include "common.glsl"
#include "logistic.glsl"
#include "sequences.glsl"

ARGS(unpaired_loss_args);

float batch_divergence()
{
    f32 ratios = args.kl_ratios;
    if (args.type != UNPAIRED_KTO)
        return 0.0;
    uint begin = args.counts.v[0].batch_first;
    uint end = min(begin + args.counts.v[0].batch_rows, args.out_count);
    float sum = 0.0;
    for (uint i = begin + local_index; i < end; i += local_size)
        sum += ratios.v[i];
    float mean = workgroup_sum(sum) / float(end - begin);
    return is_nonfinite(mean) || mean > 0.0 ? mean : 0.0;
}

void main()
{
    uint r = group_index();
    if (r >= min(args.counts.v[0].sequences, args.max_sequences))
        return;
    f32 logp = args.logp, ref_logp = args.ref_logp;
    scored_range range = sequence_range(args.sequence_first, r, args.scored);
    float u = sequence_sum_difference(logp, ref_logp, range), beta = args.beta;
    bool desirable = args.labels.v[r] != 0u;
    float weight = desirable ? args.desirable_weight : args.undesirable_weight;

    unpaired_metrics m;
    m.kl = batch_divergence();
    logistic s = logistic_of(desirable ? beta * (u - m.kl) : beta * (m.kl - u));
    m.loss = weight * s.no;
    m.reward = beta * u;
    m.logp = sequence_sum(logp, range);
    m.ref_logp = sequence_sum(ref_logp, range);
    m.entropy = sequence_sum(args.entropy, range);
    m.tokens = float(range.end - range.begin);
    m.accurate = sequence_sum(args.is_argmax, range);
    m.label = desirable ? 1.0 : 0.0;

    f32 dlogp = args.dlogp;
    float slope = args.step.v[0].loss_scale * weight * beta * s.yes * s.no * (desirable ? -1.0 : 1.0);
    for (uint i = range.begin + local_index; i < range.end; i += local_size)
        dlogp.v[i] = slope;
    uint place = args.counts.v[0].first_row + r;
    if (local_index == 0u && place < args.out_count)
        args.out_rows.v[place] = m;
}
