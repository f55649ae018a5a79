// g = grad clip_factor; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr wd w where the
// block decays; w -= lr (m / c1) / (sqrt(v / c2) + eps); grad = 0. Updates w, m, v, assigns grad;
// nothing if the step has non-finite gradients. Grid: groups_of(tiles, tiles of a workgroup).
#version 460
#include "common.glsl"
#include "arena.glsl"

ARGS(adamw_args);

void main()
{
    if (args.results.v[0].nonfinite != 0u)
        return;
    span_table weights = args.weight, grads = args.grad, ms = args.m, vs = args.v;
    u32 decay = args.decay;
    uint blocks = args.blocks, span_shift = args.span_shift, tiles = args.tiles;
    float clip = args.results.v[0].clip_factor, rate = args.step.v[0].learning_rate;
    float correction1 = args.step.v[0].correction1, correction2 = args.step.v[0].correction2;
    float beta1 = args.beta1, beta2 = args.beta2, epsilon = args.epsilon;
    float beta1_rest = args.one_minus_beta1, beta2_rest = args.one_minus_beta2;
    float shrink = rate * args.weight_decay;
    bool all_decay = !given(decay);

    uint first = group_index() * tiles;
    for (uint t = first; t < first + tiles; t++) {
        arena_tile tile = tile_of(t, blocks, span_shift);
        uvec2 w_span = weights.v[tile.span], g_span = grads.v[tile.span];
        uvec2 m_span = ms.v[tile.span], v_span = vs.v[tile.span];
        // Bits of the tile's four blocks, which stand in one word.
        uint decays = all_decay ? 15u : decay.v[t / 8u] >> (t % 8u * 4u);
        for (uint block = tile.first; block < tile.end; block++, decays >>= 1) {
            READ_AHEAD_BLOCK(w_span, block);
            READ_AHEAD_BLOCK(g_span, block);
            READ_AHEAD_BLOCK(m_span, block);
            READ_AHEAD_BLOCK(v_span, block);
            place w_at = place_of(w_span, block), g_at = place_of(g_span, block);
            place m_at = place_of(m_span, block), v_at = place_of(v_span, block);
            float lost = (decays & 1u) != 0u ? shrink : 0.0;
            [[unroll]] for (uint i = 0u; i < BLOCK_VECTORS; i += local_size) {
                vector g = load_vector(g_at, i) * clip, w = load_vector(w_at, i);
                vector m = beta1 * load_vector(m_at, i) + beta1_rest * g;
                vector v = beta2 * load_vector(v_at, i) + beta2_rest * (g * g);
                w -= lost * w;
                w -= rate * (m / correction1) / (sqrt(v / correction2) + epsilon);
                store_vector(m_at, i, m);
                store_vector(v_at, i, v);
                store_vector(w_at, i, w);
                store_bits(g_at, i, vector_bits(0u));
            }
        }
    }
    END_READ_AHEAD(blocks == 0u, args.results);
}
