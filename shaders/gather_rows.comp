// y[i, c] = x[index[i], c]; with -DSCATTER, y[index[i], c] = x[i, c]. Assigns. Grid:
// row_parts(rows, C).
#version 460
#include "common.glsl"
#include "read_ahead.glsl"
#include "rows.glsl"

ARGS(gather_rows_args);

void main()
{
    f32 y = args.y, x = args.x;
    row_part part = this_row_part(args.cols);
    if (part.row >= live_rows(args.live, uvec2(args.x), args.rows))
        return;
#ifdef SCATTER
    uint to = args.index.v[part.row] * args.y_stride, from = part.row * args.x_stride;
#else
    uint to = part.row * args.y_stride, from = args.index.v[part.row] * args.x_stride;
#endif
    READ_AHEAD(x, from + part.begin, part.end - part.begin);
    for (uint c = part.begin + local_index; c < part.end; c += local_size)
        y.v[to + c] = x.v[from + c];
    END_READ_AHEAD(args.cols == 0u, y);
}
