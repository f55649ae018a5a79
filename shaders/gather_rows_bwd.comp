// dx[t, c] = sum of dy[list[j], c] over j in [first[t], first[t + 1]), in that order. Assigns.
// Grid: row_parts(T, C).
#version 460
#include "common.glsl"
#include "rows.glsl"

ARGS(gather_rows_bwd_args);

void main()
{
    f32 dx = args.dx, dy = args.dy;
    u32 list = args.list;
    uint cols = args.cols;
    row_part part = this_row_part(cols);
    if (part.row >= live_rows(args.live, uvec2(args.first), args.rows))
        return;
    uint to = part.row * cols;
    uint first = args.first.v[part.row], end = args.first.v[part.row + 1u];
    for (uint c = part.begin + local_index; c < part.end; c += local_size) {
        float sum = 0.0;
        for (uint j = first; j < end; j++)
            sum += dy.v[list.v[j] * cols + c];
        dx.v[to + c] = sum;
    }
}
