// y[i, j] = sum over k of a(i, k) b(k, j) + bias[j] + add[i, j]. Assigns. For CPU devices.
// Grid: (panels of columns, panels of rows); a workgroup is one subgroup of S lanes.
//
// Panels (matmul_pack.comp) are [panel][depth / 4][TILE_ROWS][4] of a and [panel][depth][2 S] of b.
// A lane holds two columns of TILE_ROWS rows. What this is shaped by (lavapipe, seen in its code):
// any load inside a loop is a gather, at the same price for 64 bits a lane as for 32. So both
// operands come in 64-bit words, a spread over the lanes too, from where it is broadcast by a
// shuffle. Four steps of k are applied to a row at a time: then a row's two sums may live in
// memory, loaded and stored once for sixteen instructions, and the rows of a tile are not limited
// by the number of registers, so that a load of b serves many rows. Unrolled code pays once for the
// mask that lavapipe puts on everything a loop carries. a * b + c is not written fma(), which it
// would take apart.
#version 460
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#include "common.glsl"
#include "matmul_bounds.glsl"
#include "pack_words.glsl"
#include "storage.glsl"

layout(constant_id = 1) const uint TILE_ROWS = 64; // a multiple of 16
layout(constant_id = 2) const bool PAIRS = true;   // y and add take loads and stores of two
layout(constant_id = 3) const bool ADD = false;

ARGS(matmul_direct_args);

BUFFER_TYPE(u64, uint64_t, 8);

const uint LANE_COLS = 2;
const uint BLOCK = 4; // steps of k between loads and stores of a sum
const uint STEP = MATMUL_DEPTH_STEP;

vec2 as_vec2(uint64_t word) { return uintBitsToFloat(unpack32(word)); }

// Elements 2 i and 2 i + 1 of the result.
#ifdef GRADS_BF16
vec2 two_at(u16 y, uint i) { return from_bf16x2(u32(uvec2(y)).v[i]); }
void put_two(u16 y, uint i, vec2 value) { u32(uvec2(y)).v[i] = to_bf16x2(value); }
#else
vec2 two_at(f32 y, uint i) { return as_vec2(u64(uvec2(y)).v[i]); }
void put_two(f32 y, uint i, vec2 value)
{
    u64(uvec2(y)).v[i] = pack_words(floatBitsToUint(value));
}
#endif

void main()
{
    const uint lanes = local_size, lane = gl_SubgroupInvocationID;
    uint rows = args.rows, depth = args.depth, cols = args.cols, stride = args.y_stride;
    uint panel_depth = (depth + STEP - 1u) / STEP * STEP;
    matmul_bounds(args.live, uvec2(args.a), args.live_from, args.live_depth != 0u, rows, depth);
    uint row = gl_WorkGroupID.y * TILE_ROWS, col = (gl_WorkGroupID.x * lanes + lane) * LANE_COLS;
    if (row >= rows)
        depth = 0u;
    if (depth == 0u)
        rows = 0u; // nothing to add to y, or nothing in use

    uint64_t a_at = uint64_t(args.a) + uint64_t(row / 2u * panel_depth + lane) * 8ul;
    uint64_t b_at =
        uint64_t(args.b) + uint64_t(gl_WorkGroupID.x * lanes * panel_depth + lane) * 8ul;

    float sum0[TILE_ROWS], sum1[TILE_ROWS];
    [[unroll]] for (uint i = 0; i < TILE_ROWS; i++)
        sum0[i] = sum1[i] = 0.0;

    for (uint k = 0; k < depth; k += STEP) {
        u64 a = u64(a_at), b = u64(b_at);
        [[unroll]] for (uint block = 0; block < STEP; block += BLOCK) {
            vec2 bk[BLOCK];
            [[unroll]] for (uint u = 0; u < BLOCK; u++)
                bk[u] = as_vec2(b.v[(block + u) * lanes]);
            vec2 held = vec2(0.0); // 2 lanes floats of a's [TILE_ROWS][BLOCK]
            [[unroll]] for (uint e = 0; e < TILE_ROWS * BLOCK; e++) {
                const uint i = e / BLOCK, u = e % BLOCK, at = e / 2u % lanes;
                if (e % (2u * lanes) == 0u)
                    held = as_vec2(a.v[(block * TILE_ROWS + e) / 2u]);
                float aik = subgroupBroadcast((e & 1u) == 0u ? held.x : held.y, at);
                sum0[i] = sum0[i] + aik * bk[u].x;
                sum1[i] = sum1[i] + aik * bk[u].y;
            }
        }
        a_at += uint64_t(STEP * TILE_ROWS * 4u);
        b_at += uint64_t(STEP * LANE_COLS * 4u * lanes);
    }

    WEIGHTS bias = WEIGHTS(uvec2(args.bias));
    GRADS y = GRADS(uvec2(args.y)), add = GRADS(uvec2(args.add));
    bool col0 = col < cols, col1 = col + 1u < cols;
    vec2 base = vec2(0.0);
    if (given(bias) && col0)
        base.x = weight_at(bias, col);
    if (given(bias) && col1)
        base.y = weight_at(bias, col + 1u);
    [[unroll]] for (uint i = 0; i < TILE_ROWS; i++) {
        vec2 sum = vec2(sum0[i], sum1[i]) + base;
        uint at = (row + i) * stride + col;
        bool in_use = row + i < rows;
        if (PAIRS) {
            if (in_use && col0) {
                if (ADD)
                    sum += two_at(add, at / 2u);
                put_two(y, at / 2u, sum);
            }
        } else {
            if (in_use && col0)
                put_grad(y, at, ADD ? sum.x + grad_at(add, at) : sum.x);
            if (in_use && col1)
                put_grad(y, at + 1u, ADD ? sum.y + grad_at(add, at + 1u) : sum.y);
        }
    }
}
