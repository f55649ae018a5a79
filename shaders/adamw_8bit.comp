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
#include "common.glsl"
#include "arena_types.glsl"
#include "adamw.glsl"

ARGS(adamw_8bit_args);

REDUCTION(workgroup_max, vec2, subgroupMax, PUT_VEC2, GET_VEC2, max)

// Elements are worked on by fours, whose codes fill a word.
#define BLOCK_QUADS 64u
#define QUAD_VECTORS (4u / VECTOR)
#define LANE_QUAD (QUAD_VECTORS * local_index) // this invocation's first vector of a block
#if VECTOR == 2
#define QUAD(load, at, i) vec4(load(at, 2u * (i)), load(at, 2u * (i) + 1u))
void store_quad(weight_place at, uint i, vec4 value)
{
    store_weight(at, 2u * i, value.xy);
    store_weight(at, 2u * i + 1u, value.zw);
}
#else
#define QUAD(load, at, i) load(at, i)
#define store_quad store_weight
#endif

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

uint pack_codes(uvec4 k)
{
    return (k.x & 255u) | (k.y & 255u) << 8 | (k.z & 255u) << 16 | k.w << 24;
}

uint encode_first(vec4 m, float inverse)
{
    vec4 x = sqrt(sqrt(abs(m) * inverse)) * 127.0;
    uvec4 k = uvec4(min(x + min(x * 0.125, 0.5), 127.0));
    return pack_codes(mix(k, 0u - k, lessThan(m, vec4(0.0))));
}

uint encode_root(vec4 root, float inverse)
{
    vec4 x = sqrt(sqrt(root * inverse)) * 255.0;
    uvec4 k = uvec4(min(x + max(1.0 - x * 0.125, 0.5), 255.0));
    return pack_codes(mix(k, uvec4(0u), equal(x, vec4(0.0))));
}

// sqrt(v), within what can be squared again.
vec4 root_of(vec4 v) { return min(sqrt(v), vec4(ADAMW_8BIT_LARGEST_ROOT)); }

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
            weight_place w_at = weights_at(w_span, w_lower, block, LANE_QUAD);
            grad_place g_at = grad_place_at(g_span, block, LANE_QUAD);
            u32 m_words = u32(m_span), v_words = u32(v_span);
            uint word_at = block * BLOCK_QUADS + local_index;
            vec2 scale = scales.v[scale_at];
            // The new moments are made twice rather than kept: first to find the new scales.
            vec4 m_most = vec4(0.0), v_most = vec4(0.0);
            [[unroll]] for (uint i = 0u; i < BLOCK_QUADS; i += local_size) {
                vec4 g = QUAD(load_grad, g_at, i) * rates.clip;
                vec4 root = decode_root(v_words.v[word_at + i], scale.y);
                vec4 m = decode_first(m_words.v[word_at + i], scale.x);
                m_most = max(m_most, abs(adamw_first(rates, m, g)));
                v_most = max(v_most, adamw_second(rates, root * root, g));
            }
            m_most.xy = max(m_most.xy, m_most.zw);
            v_most.xy = max(v_most.xy, v_most.zw);
            vec2 most = workgroup_max(vec2(max(m_most.x, m_most.y),
                                           root_of(vec4(max(v_most.x, v_most.y))).x));
            // What is too small for an inverse is nothing.
            most = mix(most, vec2(0.0), lessThan(most, vec2(ADAMW_8BIT_SMALLEST_SCALE)));
            vec2 inverse = mix(1.0 / most, vec2(0.0), equal(most, vec2(0.0)));
            [[unroll]] for (uint i = 0u; i < BLOCK_QUADS; i += local_size) {
                vec4 g = QUAD(load_grad, g_at, i) * rates.clip, w = QUAD(load_weight, w_at, i);
                vec4 root = decode_root(v_words.v[word_at + i], scale.y);
                vec4 m = adamw_first(rates, decode_first(m_words.v[word_at + i], scale.x), g);
                vec4 v = adamw_second(rates, root * root, g);
                m_words.v[word_at + i] = encode_first(m, inverse.x);
                v_words.v[word_at + i] = encode_root(root_of(v), inverse.y);
                store_quad(w_at, i, adamw_weight(rates, w, m, v, decays));
                [[unroll]] for (uint n = 0u; n < QUAD_VECTORS; n++)
                    clear_grad(g_at, QUAD_VECTORS * i + n);
            }
            if (local_index == 0u)
                scales.v[scale_at] = most;
        }
    }
    END_READ_AHEAD(blocks == 0u, args.results);
}
