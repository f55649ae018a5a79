// dx[s, c] = dlogp[s] slopes[s, c] / HEAD_SLOPE_SCALE. Assigns; dx may be slopes. Grid: groups(rows).
#version 460
#include "common.glsl"

ARGS(head_scale_args);

void main()
{
    f32 dx = args.dx, slopes = args.slopes;
    uint cols = args.cols, row = group_index();
    if (row >= live_rows(args.live, uvec2(args.dlogp), args.rows))
        return;
    float dlogp = args.dlogp.v[row] / HEAD_SLOPE_SCALE;
    for (uint c = local_index; c < cols; c += local_size)
        dx.v[row * cols + c] = dlogp * slopes.v[row * cols + c];
}
