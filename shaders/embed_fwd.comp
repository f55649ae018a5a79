// x[t, c] = weight[ids[t], c]. Assigns. Grid: row_parts(T, C).
#version 460
#include "common.glsl"
#include "rows.glsl"
#include "storage.glsl"

ARGS(embed_fwd_args);

void main()
{
    f32 x = args.x;
    WEIGHTS weight = WEIGHTS(uvec2(args.weight));
    uint cols = args.cols;
    row_part part = this_row_part(cols);
    if (part.row >= live_rows(args.live, uvec2(args.ids), args.rows))
        return;
    uint to = part.row * cols, from = args.ids.v[part.row] * cols;
    READ_AHEAD_WEIGHTS(weight, from + part.begin, part.end - part.begin);
    for (uint c = part.begin + local_index; c < part.end; c += local_size)
        x.v[to + c] = weight_at(weight, from + c);
    END_READ_AHEAD(cols == 0u, x);
}
