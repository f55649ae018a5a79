// AdamW as in adamw.comp, with the moments in 8 bits: for each block of 256 elements a scale, the
// largest |m| and the largest sqrt(v), and for each element a code k, with
//
//   m = scale sign(k) (|k| / 127)^4, k signed;    sqrt(v) = scale (k / 255)^4, k unsigned.
//
// The step itself is made with the new moments before they are rounded. Codes are the nearest by the
// fourth root; but below 4, where they stand far apart, m leans to the lower and v to the higher, so
// that rounding makes steps smaller rather than larger, and no v is lost to 0, which would make a
// step of m / eps. Updates w, m, v, scales, assigns grad; ADAMW_SKIP if the step has
// non-finite gradients. Grid: groups_of(tiles, tiles of a workgroup).
#version 460
#ifdef CPU
#extension GL_KHR_shader_subgroup_ballot : require
#endif
#include "common.glsl"
#include "arena_types.glsl"
#include "adamw.glsl"

ARGS(adamw_8bit_args);

// Elements are worked on by fours, whose codes fill a word. A lane takes LANE_QUADS fours in a row
// at a time, as many as codes come in one load, and PIECES times that of a block.
#define BLOCK_QUADS 64u
#define QUAD_VECTORS (4u / VECTOR)
#if VECTOR == 2
#define LANE_QUADS 2u
#define QUAD(load, at, i) vec4(load(at, 2u * (i)), load(at, 2u * (i) + 1u))
void store_quad(weight_place at, uint i, vec4 value)
{
    store_weight(at, 2u * i, value.xy);
    store_weight(at, 2u * i + 1u, value.zw);
}

#define code_place uint64_t
code_place codes_at(uvec2 span, uint block)
{
    return pack_words(span) + (uint64_t(block) << 8) + uint64_t(local_index * 8u);
}
uint[LANE_QUADS] load_codes(code_place at, uint piece)
{
    uvec2 words = unpackUint2x32(u64(at + uint64_t(piece * local_size * 8u)).v[0]);
    return uint[](words.x, words.y);
}
void store_codes(code_place at, uint piece, uint words[LANE_QUADS])
{
    u64(at + uint64_t(piece * local_size * 8u)).v[0] = pack_words(uvec2(words[0], words[1]));
}

// The workgroup is one subgroup. Of subgroupMax() lavapipe makes a loop with branches.
uvec2 block_max(uvec2 value)
{
    uvec2 most = subgroupBroadcast(value, 0u);
    [[unroll]] for (uint lane = 1u; lane < local_size; lane++)
        most = max(most, subgroupBroadcast(value, lane));
    return most;
}
#else
#define LANE_QUADS 1u
#define QUAD(load, at, i) load(at, i)
#define store_quad store_weight

struct code_place {
    u32 span;
    uint first;
};
code_place codes_at(uvec2 span, uint block)
{
    return code_place(u32(span), block * BLOCK_QUADS + local_index);
}
uint[LANE_QUADS] load_codes(code_place at, uint piece)
{
    return uint[](at.span.v[at.first + piece * local_size]);
}
void store_codes(code_place at, uint piece, uint words[LANE_QUADS])
{
    at.span.v[at.first + piece * local_size] = words[0];
}

#define PUT_UVEC2(x) uvec4(x, 0, 0)
#define GET_UVEC2(v) (v).xy
REDUCTION(workgroup_max, uvec2, subgroupMax, PUT_UVEC2, GET_UVEC2, max)
#define block_max workgroup_max
#endif
// Of a workgroup that is too large, which is only ever compiled, one piece.
const uint PIECES = (BLOCK_QUADS / LANE_QUADS + local_size - 1u) / local_size;
#define LANE_FIRST (QUAD_VECTORS * LANE_QUADS * local_index) // a lane's first vector of a block

vec4 decode_first(uint word, float scale)
{
    int codes = int(word);
    vec4 q = vec4(bitfieldExtract(codes, 0, 8), bitfieldExtract(codes, 8, 8),
                  bitfieldExtract(codes, 16, 8), bitfieldExtract(codes, 24, 8)) *
             (1.0 / 127.0);
    return scale * (q * abs(q) * (q * q));
}

// sqrt(v).
vec4 decode_root(uint word, float scale)
{
    vec4 q = vec4(word & 255u, word >> 8 & 255u, word >> 16 & 255u, word >> 24) * (1.0 / 255.0);
    q *= q;
    return scale * (q * q);
}

// Floats are in the order of their bits where none is negative, and for GREATER where the bound is not.
// What costs on lavapipe: min() and max() of floats, which mind NaN, and a float made an integer, which
// is clamped lane by lane.
#define LESSER(x, bound) uintBitsToFloat(min(floatBitsToUint(x), floatBitsToUint(vec4(bound))))
#define GREATER(x, bound) intBitsToFloat(max(floatBitsToInt(x), floatBitsToInt(vec4(bound))))

// Whole numbers from -128 to 255, as codes in a word.
uint pack_codes(vec4 k)
{
    uvec4 bits = floatBitsToUint(k + 12582912.0); // 1.5 * 2^23, whose last digit counts ones
    return (bits.x & 255u) | (bits.y & 255u) << 8 | (bits.z & 255u) << 16 | bits.w << 24;
}

uint encode_first(vec4 m, float inverse)
{
    vec4 x = sqrt(sqrt(abs(m) * inverse)) * 127.0;
    vec4 k = floor(LESSER(x + LESSER(x * 0.125, 0.5), 127.0));
    return pack_codes(uintBitsToFloat(floatBitsToUint(k) | (floatBitsToUint(m) & 0x80000000u)));
}

uint encode_root(vec4 root, float inverse)
{
    vec4 x = sqrt(sqrt(root * inverse)) * 255.0;
    vec4 k = floor(LESSER(x + GREATER(1.0 - x * 0.125, 0.5), 255.0));
    return pack_codes(mix(k, vec4(0.0), equal(x, vec4(0.0))));
}

// sqrt(v), within what can be squared again.
vec4 root_of(vec4 v) { return LESSER(sqrt(v), ADAMW_8BIT_LARGEST_ROOT); }

void main()
{
    if (args.results.v[0].nonfinite != 0u)
        ADAMW_SKIP
    span_table weights = args.weight, lower = args.weight_lower, grads = args.grad;
    span_table ms = args.m, vs = args.v;
    f32x2 scales = args.scales;
    u32 decay = args.decay;
    uint blocks = args.blocks, span_shift = args.span_shift, tiles = args.tiles;
    adamw_rates rates = ADAMW_RATES;

    uint first = group_index() * tiles;
    for (uint t = first; t < first + tiles; t++) {
        arena_tile tile = tile_of(t, blocks, span_shift);
        uvec2 w_span = weights.v[tile.span], w_lower = lower_span(lower, tile.span);
        uvec2 g_span = grads.v[tile.span], m_span = ms.v[tile.span], v_span = vs.v[tile.span];
        uint decays = adamw_decays(decay, t), scale_at = t * TILE_BLOCKS;
        for (uint block = tile.first; block < tile.end; block++, decays >>= 1, scale_at++) {
            READ_AHEAD_MASTERS(w_span, w_lower, block);
            READ_AHEAD_GRADS(g_span, block);
            READ_AHEAD(m_span, (block + 4u) * BLOCK_QUADS, BLOCK_QUADS);
            READ_AHEAD(v_span, (block + 4u) * BLOCK_QUADS, BLOCK_QUADS);
            weight_place w_at = weights_at(w_span, w_lower, block, LANE_FIRST);
            grad_place g_at = grad_place_at(g_span, block, LANE_FIRST);
            code_place m_at = codes_at(m_span, block), v_at = codes_at(v_span, block);
            vec2 scale = scales.v[scale_at];
            vec4 m[PIECES * LANE_QUADS], root[PIECES * LANE_QUADS];
            uvec4 m_most = uvec4(0u), root_most = uvec4(0u); // bits
            [[unroll]] for (uint piece = 0u; piece < PIECES; piece++) {
                uint m_words[LANE_QUADS] = load_codes(m_at, piece);
                uint v_words[LANE_QUADS] = load_codes(v_at, piece);
                [[unroll]] for (uint n = 0u; n < LANE_QUADS; n++) {
                    uint quad = piece * LANE_QUADS + n, i = piece * LANE_QUADS * local_size + n;
                    vec4 g = QUAD(load_grad, g_at, i) * rates.clip, w = QUAD(load_weight, w_at, i);
                    vec4 old = decode_root(v_words[n], scale.y);
                    m[quad] = adamw_first(rates, decode_first(m_words[n], scale.x), g);
                    vec4 v = adamw_second(rates, old * old, g);
                    root[quad] = root_of(v);
                    m_most = max(m_most, floatBitsToUint(abs(m[quad])));
                    root_most = max(root_most, floatBitsToUint(root[quad]));
                    store_quad(w_at, i, adamw_weight(rates, w, m[quad], v, decays));
                    [[unroll]] for (uint k = 0u; k < QUAD_VECTORS; k++)
                        clear_grad(g_at, QUAD_VECTORS * i + k);
                }
            }
            m_most.xy = max(m_most.xy, m_most.zw);
            root_most.xy = max(root_most.xy, root_most.zw);
            vec2 most = uintBitsToFloat(
                block_max(uvec2(max(m_most.x, m_most.y), max(root_most.x, root_most.y))));
            // What is too small for an inverse is nothing.
            most = mix(most, vec2(0.0), lessThan(most, vec2(ADAMW_8BIT_SMALLEST_SCALE)));
            vec2 inverse = mix(1.0 / most, vec2(0.0), equal(most, vec2(0.0)));
            [[unroll]] for (uint piece = 0u; piece < PIECES; piece++) {
                uint m_words[LANE_QUADS], v_words[LANE_QUADS];
                [[unroll]] for (uint n = 0u; n < LANE_QUADS; n++) {
                    m_words[n] = encode_first(m[piece * LANE_QUADS + n], inverse.x);
                    v_words[n] = encode_root(root[piece * LANE_QUADS + n], inverse.y);
                }
                store_codes(m_at, piece, m_words);
                store_codes(v_at, piece, v_words);
            }
            if (local_index == 0u)
                scales.v[scale_at] = most;
        }
    }
    END_READ_AHEAD(blocks == 0u, args.results);
}
