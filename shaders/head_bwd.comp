// z[v] = dlogp ((v == target) - exp(z[v] - lse)) in each row, with HEAD_SLOPE_SCALE for dlogp where
// none is given. In place. Grid: groups(rows).
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
    float dlogp = given(args.dlogp) ? args.dlogp.v[row] : HEAD_SLOPE_SCALE, lse = args.lse.v[row];
    for (uint v = local_index; v < vocab; v += local_size) {
        float p = accurate_exp(z.v[begin + v] - lse);
        z.v[begin + v] = dlogp * ((v == target ? 1.0 : 0.0) - p);
    }
}
