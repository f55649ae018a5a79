// y[i, j] = sum over slices of partial[slice][i][j], in their order, + bias[j] + add[i, j]. Assigns.
// Grid: groups(elements / workgroup size).
#version 460
#include "common.glsl"
#include "matmul_bounds.glsl"
#include "storage.glsl"

ARGS(matmul_sum_args);

void main()
{
    f32 partial = args.partial;
    WEIGHTS bias = WEIGHTS(uvec2(args.bias));
    GRADS y = GRADS(uvec2(args.y)), add = GRADS(uvec2(args.add));
    uint rows = args.rows, cols = args.cols, slices = args.slices;
    uint size = rows * cols, depth = 1u, i = group_index() * local_size + local_index;
    matmul_bounds(args.live, uvec2(args.partial), args.live_from, args.live_depth != 0u, rows, depth);
    if (depth == 0u || i >= rows * cols)
        return;
    float sum = 0.0;
    for (uint slice = 0; slice < slices; slice++)
        sum += partial.v[slice * size + i];
    if (given(bias))
        sum += weight_at(bias, i % cols);
    if (given(add))
        sum += grad_at(add, i);
    put_grad(y, i, sum);
}
