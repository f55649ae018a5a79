// x[t, c] = weight[ids[t], c]. Assigns. Grid: row_parts(T, C).
#version 460
#include "common.glsl"
#include "read_ahead.glsl"
#include "rows.glsl"

ARGS(embed_fwd_args);

void main()
{
    f32 x = args.x, weight = args.weight;
    uint cols = args.cols;
    row_part part = this_row_part(cols);
    if (part.row >= live_rows(args.live, uvec2(args.ids), args.rows))
        return;
    uint to = part.row * cols, from = args.ids.v[part.row] * cols;
    READ_AHEAD(weight, from + part.begin, part.end - part.begin);
    for (uint c = part.begin + local_index; c < part.end; c += local_size)
        x.v[to + c] = weight.v[from + c];
    END_READ_AHEAD(cols == 0u, x);
}
