// g = grad clip_factor; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr wd w where the
// block decays; w -= lr (m / c1) / (sqrt(v / c2) + eps); grad = 0. Updates w, m, v, assigns grad;
// ADAMW_SKIP if the step has non-finite gradients. Grid: groups_of(tiles, tiles of a workgroup).
#version 460
#include "common.glsl"
#include "arena_types.glsl"
#include "adamw.glsl"

ARGS(adamw_args);

void main()
{
    if (args.results.v[0].nonfinite != 0u)
        ADAMW_SKIP
    span_table weights = args.weight, lower = args.weight_lower, grads = args.grad;
    span_table ms = args.m, vs = args.v;
    u32 decay = args.decay;
    uint blocks = args.blocks, span_shift = args.span_shift, tiles = args.tiles;
    adamw_rates rates = ADAMW_RATES;

    uint first = group_index() * tiles;
    for (uint t = first; t < first + tiles; t++) {
        arena_tile tile = tile_of(t, blocks, span_shift);
        uvec2 w_span = weights.v[tile.span], w_lower = lower_span(lower, tile.span);
        uvec2 g_span = grads.v[tile.span], m_span = ms.v[tile.span], v_span = vs.v[tile.span];
        uint decays = adamw_decays(decay, t);
        for (uint block = tile.first; block < tile.end; block++, decays >>= 1) {
            READ_AHEAD_MASTERS(w_span, w_lower, block);
            READ_AHEAD_GRADS(g_span, block);
            READ_AHEAD_BLOCK(m_span, block);
            READ_AHEAD_BLOCK(v_span, block);
            weight_place w_at = weights_at(w_span, w_lower, block, local_index);
            grad_place g_at = grad_place_at(g_span, block, local_index);
            place m_at = place_of(m_span, block), v_at = place_of(v_span, block);
            [[unroll]] for (uint i = 0u; i < BLOCK_VECTORS; i += local_size) {
                vector g = load_grad(g_at, i) * rates.clip, w = load_weight(w_at, i);
                vector m = adamw_first(rates, load_vector(m_at, i), g);
                vector v = adamw_second(rates, load_vector(v_at, i), g);
                store_vector(m_at, i, m);
                store_vector(v_at, i, v);
                store_weight(w_at, i, adamw_weight(rates, w, m, v, decays));
                clear_grad(g_at, i);
            }
        }
    }
    END_READ_AHEAD(blocks == 0u, args.results);
}
