// Kernels over a whole arena: each workgroup takes `tiles` tiles of ARENA_TILE elements in a row,
// each invocation vectors of 4 elements. The grid is groups_of(tiles of the arena, tiles).
#ifndef TRDPO_ARENA_GLSL
#define TRDPO_ARENA_GLSL

#define TILE_BLOCKS (ARENA_TILE / 256u)

struct arena_tile {
    uint span, at, vectors; // which span, the tile's first vector in it, and how many it has
};

// Tile `tile` of an arena of `blocks` blocks; past its end, a tile has no vectors.
arena_tile tile_of(uint tile, uint blocks, uint span_shift)
{
    uint first = tile * TILE_BLOCKS;
    uint vectors = first < blocks ? min(blocks - first, TILE_BLOCKS) * (256u / 4u) : 0u;
    uint in_span = tile & ((1u << span_shift) - 1u);
    return arena_tile(vectors > 0u ? tile >> span_shift : 0u, in_span * (ARENA_TILE / 4u), vectors);
}

#endif
