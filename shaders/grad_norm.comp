// partial[g] = (bits of the sum of grad^2, count of non-finite elements) over the tiles of group g.
// Assigns. Grid: groups_of(tiles, tiles of a workgroup).
//
// Sums are taken invocation by tile, then over tiles, then over invocations, then (grad_norm_sum)
// over groups, so that no chain of roundings is long in an arena of any size.
#version 460
#include "common.glsl"
#include "arena_types.glsl"

ARGS(grad_norm_args);

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
        uvec2 span = spans.v[tile.span];
        vector squares = vector(0.0);
        vector_bits bads = vector_bits(0u);
        for (uint block = tile.first; block < tile.end; block++) {
            READ_AHEAD_GRADS(span, block);
            grad_place grad = grad_place_at(span, block, local_index);
            [[unroll]] for (uint i = 0u; i < BLOCK_VECTORS; i += local_size) {
                vector_bits bits = load_grad_bits(grad, i);
                squares += uintBitsToFloat(bits) * uintBitsToFloat(bits);
                bads += vector_bits(equal(bits & 0x7f800000u, vector_bits(0x7f800000u)));
            }
        }
        sum += dot(squares, vector(1.0));
        bad += bads.x + bads.y;
#if VECTOR == 4
        bad += bads.z + bads.w;
#endif
    }
    sum = workgroup_sum(sum);
    bad = workgroup_sum(bad);
    if (local_index == 0u)
        args.partial.v[group_index()] = uvec2(floatBitsToUint(sum), bad);
    END_READ_AHEAD(blocks == 0u, args.partial);
}
