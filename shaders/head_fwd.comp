// Of each row z of logits: lse = log sum exp z, logp = z[target] - lse, entropy = -sum p log p,
// is_argmax = whether the target is the first largest, collision = log sum p^2. Assigns.
// Grid: groups(rows), a workgroup each.
#version 460
#include "common.glsl"
#include "accurate.glsl"

ARGS(head_fwd_args);

void main()
{
    f32 z = args.logits;
    uint vocab = args.vocab, row = group_index();
    if (row >= live_rows_from(args.live, uvec2(args.targets), args.live_from, args.rows))
        return;
    uint begin = row * vocab;

    float largest = MASKED;
    uint where = 0xffffffffu;
    for (uint v = local_index; v < vocab; v += local_size) {
        float zv = z.v[begin + v];
        if (zv > largest) {
            largest = zv;
            where = v;
        }
    }
    float top = workgroup_max(largest);
    uint argmax = workgroup_min(largest == top ? where : 0xffffffffu);

    // Sums without the largest term, which is 1: so a log-prob near zero keeps its digits.
    vec2 sums = vec2(0.0);
    float squares = 0.0;
    for (uint v = local_index; v < vocab; v += local_size) {
        float d = z.v[begin + v] - top;
        float e = v == argmax ? 0.0 : accurate_exp(d);
        sums += vec2(e, e * d);
        squares += e * e;
    }
    sums = workgroup_sum(sums);
    if (given(args.collision))
        squares = workgroup_sum(squares);

    if (local_index == 0u) {
        uint target = min(args.targets.v[row], vocab - 1u);
        float log_sum = accurate_log1p(sums.x);
        args.logp.v[row] = (z.v[begin + target] - top) - log_sum;
        args.lse.v[row] = top + log_sum;
        if (given(args.entropy))
            args.entropy.v[row] = log_sum - sums.y / (1.0 + sums.x);
        if (given(args.is_argmax))
            args.is_argmax.v[row] = target == argmax ? 1.0 : 0.0;
        if (given(args.collision))
            args.collision.v[row] = accurate_log1p(squares) - 2.0 * log_sum;
    }
}
