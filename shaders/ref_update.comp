// ref = alpha policy + (1 - alpha) ref, as ref + alpha (policy - ref): where both are equal, that
// leaves the bits as they are. alpha 1 copies the bits, alpha 0 does nothing. Updates;
// results.ref_updates += 1. Grid: groups_of(tiles, tiles of a workgroup), one dispatch for the whole
// arena.
#version 460
#include "common.glsl"
#include "arena_types.glsl"

ARGS(ref_update_args);

void main()
{
    span_table refs = args.ref, refs_lower = args.ref_lower;
    span_table policies = args.policy, policies_lower = args.policy_lower;
    uint blocks = args.blocks, span_shift = args.span_shift, tiles = args.tiles;
    float alpha = args.alpha;
    if (group_index() == 0u && local_index == 0u)
        args.results.v[0].ref_updates += 1u;
    if (alpha == 0.0)
        return;
    uint first = group_index() * tiles;
    for (uint t = first; t < first + tiles; t++) {
        arena_tile tile = tile_of(t, blocks, span_shift);
        uvec2 ref_span = refs.v[tile.span], ref_lower = lower_span(refs_lower, tile.span);
        uvec2 policy_span = policies.v[tile.span];
        uvec2 policy_lower = lower_span(policies_lower, tile.span);
        for (uint block = tile.first; block < tile.end; block++) {
            READ_AHEAD_MASTERS(ref_span, ref_lower, block);
            READ_AHEAD_MASTERS(policy_span, policy_lower, block);
            weight_place ref = weights_at(ref_span, ref_lower, block, local_index);
            weight_place policy = weights_at(policy_span, policy_lower, block, local_index);
            if (alpha == 1.0) {
                [[unroll]] for (uint i = 0u; i < BLOCK_VECTORS; i += local_size)
                    store_weight_bits(ref, i, load_weight_bits(policy, i));
                continue;
            }
            [[unroll]] for (uint i = 0u; i < BLOCK_VECTORS; i += local_size) {
                vector r = load_weight(ref, i);
                store_weight(ref, i, r + alpha * (load_weight(policy, i) - r));
            }
        }
    }
    END_READ_AHEAD(blocks == 0u, args.results);
}
