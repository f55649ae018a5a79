// y[i, j] = sum over k of a(i, k) b(k, j) + bias[j] + add[i, j]. Assigns. For few rows, on CPU devices.
// Grid: (columns / S, rows / TILE_ROWS); a workgroup is one subgroup of S lanes.
//
// For operands that lie by depth (a as [rows, depth], b as [cols, depth]), depth even and both taking
// 64-bit words: the operands are read in place, since each element of b serves few rows. A lane
// holds one column; it takes two k of b at a time, and a from the lanes that loaded it.
#version 460
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#include "common.glsl"
#include "matmul_bounds.glsl"
#include "storage.glsl"

layout(constant_id = 1) const uint TILE_ROWS = 4;

ARGS(matmul_args);

BUFFER_TYPE(u64, uint64_t, 8);

vec2 as_vec2(uint64_t word) { return uintBitsToFloat(unpack32(word)); }

// Two neighbours of b in one load.
#ifdef WEIGHTS_BF16
#define PAIRS_OF_B u32
vec2 pair_of_b(u32 b, uint i) { return from_bf16x2(b.v[i]); }
#else
#define PAIRS_OF_B u64
vec2 pair_of_b(u64 b, uint i) { return as_vec2(b.v[i]); }
#endif

void main()
{
    const uint lanes = local_size, lane = gl_SubgroupInvocationID;
    f32 y = args.y, add = args.add;
    WEIGHTS bias = WEIGHTS(uvec2(args.bias));
    u64 a = u64(uvec2(args.a));
    PAIRS_OF_B b = PAIRS_OF_B(uvec2(args.b));
    uint rows = args.rows, cols = args.cols, depth = args.depth, pairs = args.depth / 2u;
    matmul_bounds(args.live, uvec2(args.a), args.live_from, args.live_depth != 0u, rows, depth);
    uint col = gl_WorkGroupID.x * lanes + lane, row = gl_WorkGroupID.y * TILE_ROWS;
    // Lanes without a column and rows out of use repeat the last one.
    uint b_at = min(col, cols - 1u) * (args.b_col / 2u);
    uint a_at[TILE_ROWS];
    vec2 sum[TILE_ROWS];
    [[unroll]] for (uint i = 0; i < TILE_ROWS; i++) {
        a_at[i] = min(row + i, max(rows, 1u) - 1u) * (args.a_row / 2u);
        sum[i] = vec2(0.0);
    }
    uint end = row < rows ? pairs : 0u;
    for (uint k = 0; k < end; k += lanes) {
        vec2 held[TILE_ROWS];
        [[unroll]] for (uint i = 0; i < TILE_ROWS; i++) {
            held[i] = vec2(0.0);
            if (k + lane < end)
                held[i] = as_vec2(a.v[a_at[i] + k + lane]);
        }
        [[unroll]] for (uint u = 0; u < lanes; u++) {
            vec2 bk = vec2(0.0);
            if (k + u < end)
                bk = pair_of_b(b, b_at + k + u);
            [[unroll]] for (uint i = 0; i < TILE_ROWS; i++) {
                vec2 ak = vec2(subgroupBroadcast(held[i].x, u), subgroupBroadcast(held[i].y, u));
                sum[i] = sum[i] + ak * bk;
            }
        }
    }
    [[unroll]] for (uint i = 0; i < TILE_ROWS; i++)
        if (row + i < rows && col < cols) {
            uint at = (row + i) * cols + col;
            float value = sum[i].x + sum[i].y;
            if (given(bias))
                value += weight_at(bias, col);
            if (given(add))
                value += add.v[at];
            y.v[at] = value;
        }
}
