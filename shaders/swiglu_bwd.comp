// With g, u as in swiglu_fwd and s = sigmoid(g): dgate_up[t, f] = dh u s (1 + g (1 - s)),
// dgate_up[t, F + f] = dh g s, h[t, f] = g s u. Assigns; h is optional, dgate_up may be gate_up.
// Grid: row_parts(T, F).
#version 460
#include "common.glsl"
#include "activation.glsl"
#include "read_ahead.glsl"
#include "rows.glsl"

ARGS(swiglu_bwd_args);

void main()
{
    f32 dgate_up = args.dgate_up, dh = args.dh, gate_up = args.gate_up, h = args.h;
    uint cols = args.cols;
    row_part part = this_row_part(cols);
    if (part.row >= live_rows(args.live, uvec2(args.gate_up), args.rows))
        return;
    bool keeps = given(h);
    uint at = part.row * cols, gate = 2u * at, up = gate + cols;
    READ_AHEAD(gate_up, gate + part.begin, part.end - part.begin);
    READ_AHEAD(gate_up, up + part.begin, part.end - part.begin);
    READ_AHEAD(dh, at + part.begin, part.end - part.begin);
    for (uint f = part.begin + local_index; f < part.end; f += local_size) {
        float g = gate_up.v[gate + f], u = gate_up.v[up + f], d = dh.v[at + f];
        float s = sigmoid(g), silu = g * s;
        dgate_up.v[gate + f] = d * u * s * (1.0 + g * (1.0 - s));
        dgate_up.v[up + f] = d * silu;
        if (keeps)
            h.v[at + f] = silu * u;
    }
    END_READ_AHEAD(cols == 0u, dgate_up);
}
