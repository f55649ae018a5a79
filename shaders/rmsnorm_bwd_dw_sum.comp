// dw[c] += sum over g of partial[g, c], in order. Accumulates. Grid: one workgroup for
// RMSNORM_COLS_PER_GROUP columns.
#version 460
#include "common.glsl"
#include "storage.glsl"

ARGS(rmsnorm_bwd_dw_sum_args);

void main()
{
    GRADS dw = GRADS(uvec2(args.dw));
    f32 partial = args.partial;
    uint cols = args.cols, partials = args.partials;
    uint begin = group_index() * RMSNORM_COLS_PER_GROUP;
    uint end = min(begin + RMSNORM_COLS_PER_GROUP, cols);
    for (uint c = begin + local_index; c < end; c += local_size) {
        float sum = 0.0;
        for (uint g = 0u; g < partials; g++)
            sum += partial.v[g * cols + c];
        put_grad(dw, c, grad_at(dw, c) + sum);
    }
}
