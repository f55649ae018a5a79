// Copies an operand of a product into the panels that matmul_direct.comp reads. Assigns.
// Grid: (depth / MATMUL_PACK_DEPTH, panels).
//
// A panel holds PANEL rows of a as [depth / 4][PANEL][4] or PANEL columns of b as [depth][PANEL], its
// depth rounded up to MATMUL_DEPTH_STEP. Zero stands for whatever is not in the operand or not in
// use. A lane moves blocks of two by two, in loads of two where the operand's alignment permits.
#version 460
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#include "common.glsl"
#include "matmul_bounds.glsl"
#include "pack_words.glsl"
#include "storage.glsl"

layout(constant_id = 1) const uint PANEL = 64;            // even
layout(constant_id = 2) const bool PAIRS = true;          // the operand takes loads of two
layout(constant_id = 3) const bool BY_DEPTH = true;       // neighbours in memory differ in k
layout(constant_id = 4) const bool ROWS = true;           // of a; else columns of b

ARGS(matmul_pack_args);

BUFFER_TYPE(u64, uint64_t, 8);

#ifdef WEIGHTS_BF16
vec2 two_at(u16 from, uint index) { return from_bf16x2(u32(uvec2(from)).v[index / 2u]); }
#else
vec2 two_at(f32 from, uint index)
{
    return uintBitsToFloat(unpack32(u64(uvec2(from)).v[index / 2u]));
}
#endif

// from[line * stride + at] and its neighbour, zero where `at` is beyond `end`.
vec2 load_pair(WEIGHTS from, uint line, uint stride, uint at, uint end, bool in_use)
{
    vec2 pair = vec2(0.0);
    uint index = line * stride + at;
    if (PAIRS) {
        if (in_use && at < end)
            pair = two_at(from, index);
    } else {
        if (in_use && at < end)
            pair.x = weight_at(from, index);
        if (in_use && at + 1u < end)
            pair.y = weight_at(from, index + 1u);
    }
    return pair;
}

const uint BLOCKS = 4; // divides the blocks of a workgroup for up to 64 lanes
const uint k_pairs = MATMUL_PACK_DEPTH / 2u, o_pairs = PANEL / 2u;

// First row or column, counted in the panel, and first k, counted in the workgroup's, of block i.
// Lanes follow the operand's order in memory.
uvec2 place(uint i)
{
    return 2u * (BY_DEPTH ? uvec2(i / k_pairs, i % k_pairs) : uvec2(i % o_pairs, i / o_pairs));
}

void main()
{
    WEIGHTS from = WEIGHTS(uvec2(args.from));
    u64 to = u64(uvec2(args.to));
    uint outer = args.outer, depth = args.depth, stride = args.stride;
    uint panel_depth = (depth + MATMUL_DEPTH_STEP - 1u) / MATMUL_DEPTH_STEP * MATMUL_DEPTH_STEP;
    matmul_bounds(args.live, uvec2(args.from), args.live_from, args.live_depth != 0u, outer, depth);
    uint first = gl_WorkGroupID.y * PANEL;
    uint to_at = first / 2u * panel_depth;
    // Panels and steps that the product will not read.
    uint end = first < outer ? (depth + MATMUL_DEPTH_STEP - 1u) / MATMUL_DEPTH_STEP * MATMUL_DEPTH_STEP
                             : 0u;
    uint chunk = gl_WorkGroupID.x * MATMUL_PACK_DEPTH;

    // BLOCKS loads before their stores, so that several misses are under way at once.
    for (uint i = local_index; i < k_pairs * o_pairs; i += local_size * BLOCKS) {
        vec2 v0[BLOCKS], v1[BLOCKS];
        [[unroll]] for (uint n = 0; n < BLOCKS; n++) {
            uvec2 in_panel = place(i + n * local_size);
            uint o = first + in_panel.x, k = chunk + in_panel.y;
            if (BY_DEPTH) {
                v0[n] = load_pair(from, o, stride, k, depth, o < outer);
                v1[n] = load_pair(from, o + 1u, stride, k, depth, o + 1u < outer);
            } else {
                v0[n] = load_pair(from, k, stride, o, outer, k < depth);
                v1[n] = load_pair(from, k + 1u, stride, o, outer, k + 1u < depth);
            }
        }
        [[unroll]] for (uint n = 0; n < BLOCKS; n++) {
            uvec2 in_panel = place(i + n * local_size);
            uint o = in_panel.x, k = chunk + in_panel.y;
            // Neighbours in memory become neighbours in the panel.
            bool turn = BY_DEPTH != ROWS;
            vec2 w0 = turn ? vec2(v0[n].x, v1[n].x) : v0[n];
            vec2 w1 = turn ? vec2(v0[n].y, v1[n].y) : v1[n];
            uint at = ROWS ? k / 4u * (2u * PANEL) + o * 2u + k % 4u / 2u : k * o_pairs + o / 2u;
            if (k < end) {
                to.v[to_at + at] = pack_words(floatBitsToUint(w0));
                to.v[to_at + at + (ROWS ? 2u : o_pairs)] = pack_words(floatBitsToUint(w1));
            }
        }
    }
}
