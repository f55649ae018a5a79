// y[i, j] = sum over k of a(i, k) b(k, j) + bias[j] + add[i, j]. Assigns.
// Grid: (columns / workgroup size, rows / TILE_ROWS). For any size and stride, without scratch: a
// lane takes one column of TILE_ROWS rows.
#version 460
#include "common.glsl"
#include "matmul_bounds.glsl"
#include "storage.glsl"

layout(constant_id = 1) const uint TILE_ROWS = 4;

ARGS(matmul_args);

void main()
{
    f32 a = args.a;
    WEIGHTS b = WEIGHTS(uvec2(args.b)), bias = WEIGHTS(uvec2(args.bias));
    GRADS y = GRADS(uvec2(args.y)), add = GRADS(uvec2(args.add));
    uint rows = args.rows, cols = args.cols, depth = args.depth;
    uint a_row = args.a_row, a_col = args.a_col, b_row = args.b_row, b_col = args.b_col;
    matmul_bounds(args.live, uvec2(args.a), args.live_from, args.live_depth != 0u, rows, depth);
    uint col = gl_WorkGroupID.x * local_size + local_index, row = gl_WorkGroupID.y * TILE_ROWS;
    if (row >= rows || col >= cols || depth == 0u)
        return;

    // Rows beyond the end repeat the last one: cheaper than a test at every load.
    uint a_at[TILE_ROWS];
    float sum[TILE_ROWS];
    [[unroll]] for (uint i = 0; i < TILE_ROWS; i++) {
        a_at[i] = min(row + i, rows - 1u) * a_row;
        sum[i] = 0.0;
    }
    for (uint k = 0; k < depth; k++) {
        float bk = weight_at(b, k * b_row + col * b_col);
        [[unroll]] for (uint i = 0; i < TILE_ROWS; i++)
            sum[i] = sum[i] + a.v[a_at[i] + k * a_col] * bk;
    }
    [[unroll]] for (uint i = 0; i < TILE_ROWS; i++)
        if (row + i < rows) {
            uint at = (row + i) * cols + col;
            float value = sum[i];
            if (given(bias))
                value += weight_at(bias, col);
            if (given(add))
                value += grad_at(add, at);
            put_grad(y, at, value);
        }
}
