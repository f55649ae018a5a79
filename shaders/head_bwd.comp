// z[v] = dlogp ((v == target) - exp(z[v] - lse)) in each row. In place. Grid: groups(rows).
#version 460
#include "common.glsl"
#include "accurate.glsl"

ARGS(head_bwd_args);

void main()
{
    f32 z = args.logits;
    uint vocab = args.vocab, row = group_index(), rows = args.rows;
    if (given(args.live)) {
        uint live = args.live.v[0];
        rows = min(rows, live > args.live_from ? live - args.live_from : 0u);
    }
    if (row >= rows)
        return;
    uint begin = row * vocab, target = min(args.targets.v[row], vocab - 1u);
    float dlogp = args.dlogp.v[row], lse = args.lse.v[row];
    for (uint v = local_index; v < vocab; v += local_size) {
        float p = accurate_exp(z.v[begin + v] - lse);
        z.v[begin + v] = dlogp * ((v == target ? 1.0 : 0.0) - p);
    }
}
