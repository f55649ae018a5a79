// partial[g, c] = sum over rows t of group g of dy[t, c] x[t, c] rstd[t], in order; 0 where the
// group lies beyond the rows in use. Assigns. Grid: groups2(columns / RMSNORM_COLS_PER_GROUP, row
// groups).
#version 460
#include "common.glsl"
#include "read_ahead.glsl"

ARGS(rmsnorm_bwd_dw_args);

void main()
{
    f32 dy = args.dy, x = args.x, rstd = args.rstd;
    uint cols = args.cols, group = gl_WorkGroupID.y;
    uint first = group * args.group_rows;
    uint end = min(first + args.group_rows, live_rows(args.live, uvec2(args.x), args.rows));
    uint begin = gl_WorkGroupID.x * RMSNORM_COLS_PER_GROUP;
    uint stop = min(begin + RMSNORM_COLS_PER_GROUP, cols);
    READ_AHEAD_ROWS(dy, first * cols + begin, end - min(first, end), cols);
    READ_AHEAD_ROWS(x, first * cols + begin, end - min(first, end), cols);
    for (uint c = begin + local_index; c < stop; c += local_size) {
        float sum = 0.0;
        for (uint t = first; t < end; t++)
            sum += dy.v[t * cols + c] * x.v[t * cols + c] * rstd.v[t];
        args.partial.v[group * cols + c] = sum;
    }
    END_READ_AHEAD(cols == 0u, args.partial);
}
