// z[v] = dlogp ((v == target) - exp(z[v] - lse)) in each row. In place. Grid: groups(rows).
#version 460
#include "common.glsl"
#include "accurate.glsl"

ARGS(head_bwd_args);

void main()
{
    f32 z = args.logits;
    uint vocab = args.vocab, row = group_index();
    if (row >= live_rows_from(args.live, uvec2(args.targets), args.live_from, args.rows))
        return;
    uint begin = row * vocab, target = min(args.targets.v[row], vocab - 1u);
    float dlogp = args.dlogp.v[row], lse = args.lse.v[row];
    for (uint v = local_index; v < vocab; v += local_size) {
        float p = accurate_exp(z.v[begin + v] - lse);
        z.v[begin + v] = dlogp * ((v == target ? 1.0 : 0.0) - p);
    }
}
