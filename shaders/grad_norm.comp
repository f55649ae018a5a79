// partial[g] = (bits of the sum of grad^2, count of non-finite elements) over the tiles of group g.
// Assigns. Grid: groups_of(tiles, tiles of a workgroup).
//
// Sums are taken invocation by tile, then over tiles, then over invocations, then (grad_norm_sum)
// over groups, so that no chain of roundings is long in an arena of any size.
#version 460
#include "common.glsl"
#include "arena.glsl"

ARGS(grad_norm_args);

uint nonfinite(vec4 g)
{
    uvec4 exponent = floatBitsToUint(g) & 0x7f800000u;
    uvec4 bad = uvec4(equal(exponent, uvec4(0x7f800000u)));
    return bad.x + bad.y + bad.z + bad.w;
}

void main()
{
    span_table spans = args.grad;
    uint blocks = args.blocks, span_shift = args.span_shift, tiles = args.tiles;
    uint first = group_index() * tiles;
    if (first * TILE_BLOCKS >= blocks)
        return;
    float sum = 0.0;
    uint bad = 0u;
    for (uint t = first; t < first + tiles; t++) {
        arena_tile tile = tile_of(t, blocks, span_shift);
        f32x4 grad = f32x4(spans.v[tile.span]);
        vec4 squares = vec4(0.0);
        for (uint i = local_index; i < tile.vectors; i += local_size) {
            vec4 g = grad.v[tile.at + i];
            squares += g * g;
            bad += nonfinite(g);
        }
        sum += (squares.x + squares.y) + (squares.z + squares.w);
    }
    sum = workgroup_sum(sum);
    bad = workgroup_sum(bad);
    if (local_index == 0u)
        args.partial.v[group_index()] = uvec2(floatBitsToUint(sum), bad);
}
