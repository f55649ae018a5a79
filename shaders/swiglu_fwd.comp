// h[t, f] = silu(g) u with g = gate_up[t, f], u = gate_up[t, F + f], silu(g) = g sigmoid(g).
// Assigns. Grid: row_parts(T, F).
#version 460
#include "common.glsl"
#include "activation.glsl"
#include "read_ahead.glsl"
#include "rows.glsl"

ARGS(swiglu_fwd_args);

void main()
{
    f32 h = args.h, gate_up = args.gate_up;
    uint cols = args.cols;
    row_part part = this_row_part(cols);
    if (part.row >= live_rows(args.live, uvec2(args.gate_up), args.rows))
        return;
    uint to = part.row * cols, gate = 2u * to, up = gate + cols;
    READ_AHEAD(gate_up, gate + part.begin, part.end - part.begin);
    READ_AHEAD(gate_up, up + part.begin, part.end - part.begin);
    for (uint f = part.begin + local_index; f < part.end; f += local_size)
        h.v[to + f] = swiglu(gate_up.v[gate + f], gate_up.v[up + f]);
    END_READ_AHEAD(cols == 0u, h);
}
