// sums[j] += sum of x[i, j] over the rows in use, in a fixed order. Accumulates.
// Grid: columns / workgroup size; a lane takes one column.
#version 460
#include "common.glsl"
#include "storage.glsl"

ARGS(column_sums_args);

const uint BLOCK = 64;

void main()
{
    f32 x = args.x;
    uint rows = live_rows(args.live, uvec2(args.x), args.rows), cols = args.cols;
    uint col = gl_WorkGroupID.x * local_size + local_index;
    if (col >= cols)
        return;
    // A sum of sums of BLOCK rows, which loses less than one long sum.
    float sum = 0.0;
    for (uint block = 0; block < rows; block += BLOCK) {
        float part = 0.0;
        for (uint i = block; i < min(block + BLOCK, rows); i++)
            part += x.v[i * cols + col];
        sum += part;
    }
    GRADS sums = GRADS(uvec2(args.sums));
    put_grad(sums, col, grad_at(sums, col) + sum);
}
