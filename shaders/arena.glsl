// Kernels over a whole arena: each workgroup takes `tiles` tiles of ARENA_TILE elements in a row
// and works through a tile in blocks of 256 elements, each invocation on every local_size-th vector
// of a block. The grid is groups_of(tiles of the arena, tiles); the workgroup's size divides 64, as
// the default does.
//
// GPUs work on vectors of 4, in 128-bit loads. With -DCPU, for CPU devices with 64-bit integers and
// 16-bit storage, vectors are of 2, since lavapipe makes gathers of loads and scatters of stores,
// one for each word of up to 64 bits. The block after the next is read ahead (read_ahead.glsl).
// Together that makes up a factor of two to three.
#ifndef TRDPO_ARENA_GLSL
#define TRDPO_ARENA_GLSL

#include "read_ahead.glsl"

#ifdef CPU
#include "pack_words.glsl"
BUFFER_TYPE(u64, uint64_t, 8);
#define VECTOR 2
#define vector vec2
#define vector_bits uvec2

// Vector `first` of a block.
#define place uint64_t
place place_at(uvec2 span, uint block, uint first)
{
    return pack_words(span) + (uint64_t(block) << 10) + uint64_t(first * 8u);
}

uvec2 load_bits(place at, uint i)
{
    return unpackUint2x32(u64(at + uint64_t(i * 8u)).v[0]);
}
void store_bits(place at, uint i, uvec2 bits)
{
    u64(at + uint64_t(i * 8u)).v[0] = pack_words(bits);
}

#else
#define VECTOR 4
#define vector vec4
#define vector_bits uvec4

struct place {
    u32x4 span;
    uint first;
};
place place_at(uvec2 span, uint block, uint first)
{
    return place(u32x4(span), block * 64u + first);
}
uvec4 load_bits(place at, uint i)
{
    return at.span.v[at.first + i];
}
void store_bits(place at, uint i, uvec4 bits)
{
    at.span.v[at.first + i] = bits;
}
#endif

// This invocation's first vector of a block.
place place_of(uvec2 span, uint block)
{
    return place_at(span, block, local_index);
}

// Reads ahead for the blocks that follow `block`. Spans end in 64 KiB that may be read.
#define READ_AHEAD_BLOCK(span, block) READ_AHEAD(span, ((block) + 2u) * 256u, 256u)

#define BLOCK_VECTORS (256u / VECTOR)
#define TILE_BLOCKS (ARENA_TILE / 256u)

vector load_vector(place at, uint i)
{
    return uintBitsToFloat(load_bits(at, i));
}
void store_vector(place at, uint i, vector value)
{
    store_bits(at, i, floatBitsToUint(value));
}

struct arena_tile {
    uint span, first, end; // which span, and the tile's blocks in it
};

// Tile `tile` of an arena of `blocks` blocks; past its end, a tile has none.
arena_tile tile_of(uint tile, uint blocks, uint span_shift)
{
    uint before = tile * TILE_BLOCKS;
    if (before >= blocks) return arena_tile(0u, 0u, 0u);
    uint first = (tile & ((1u << span_shift) - 1u)) * TILE_BLOCKS;
    return arena_tile(tile >> span_shift, first, first + min(blocks - before, TILE_BLOCKS));
}

#endif
