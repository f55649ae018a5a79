// ref = alpha policy + (1 - alpha) ref, as ref + alpha (policy - ref): where both are equal, that
// leaves the bits as they are. alpha 1 copies the bits, alpha 0 does nothing. Updates;
// results.ref_updates += 1. Grid: groups_of(tiles, tiles of a workgroup), one dispatch for the whole
// arena.
#version 460
#include "common.glsl"
#include "arena.glsl"

ARGS(ref_update_args);

void main()
{
    span_table refs = args.ref, policies = args.policy;
    uint blocks = args.blocks, span_shift = args.span_shift, tiles = args.tiles;
    float alpha = args.alpha;
    if (group_index() == 0u && local_index == 0u)
        args.results.v[0].ref_updates += 1u;
    if (alpha == 0.0)
        return;
    uint first = group_index() * tiles;
    for (uint t = first; t < first + tiles; t++) {
        arena_tile tile = tile_of(t, blocks, span_shift);
        if (tile.vectors == 0u)
            return;
        f32x4 ref = f32x4(refs.v[tile.span]), policy = f32x4(policies.v[tile.span]);
        if (alpha == 1.0) {
            u32x4 to = u32x4(uvec2(ref)), from = u32x4(uvec2(policy));
            for (uint i = local_index; i < tile.vectors; i += local_size)
                to.v[tile.at + i] = from.v[tile.at + i];
        } else {
            for (uint i = local_index; i < tile.vectors; i += local_size) {
                vec4 r = ref.v[tile.at + i];
                ref.v[tile.at + i] = r + alpha * (policy.v[tile.at + i] - r);
            }
        }
    }
}
