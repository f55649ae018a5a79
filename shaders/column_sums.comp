// sums[j] += sum of x[i, j] over the rows in use, in their order. Accumulates.
// Grid: columns / workgroup size; a lane takes one column.
#version 460
#include "common.glsl"

ARGS(column_sums_args);

void main()
{
    f32 x = args.x;
    uint rows = live_rows(args.live, args.rows), cols = args.cols;
    uint col = gl_WorkGroupID.x * local_size + local_index;
    if (col >= cols)
        return;
    float sum = 0.0;
    for (uint i = 0; i < rows; i++)
        sum += x.v[i * cols + col];
    args.sums.v[col] += sum;
}
