// Weights and gradients of an arena in the types of storage.glsl. A master weight in fp32 may stand
// in two arenas of 16-bit halves: the upper one holds it rounded to bf16, which is what forward and
// backward read, the lower one the lower 16 bits w of the fp32. So the master's bits are (upper <<
// 16) + w, w taken as signed: where rounding went up, w is negative. Every finite fp32 comes back
// bit for bit, at no more memory than the fp32 alone.
#ifndef TRDPO_ARENA_TYPES_GLSL
#define TRDPO_ARENA_TYPES_GLSL

#include "arena.glsl"
#include "storage.glsl"

#if defined(WEIGHTS_BF16) || defined(GRADS_BF16)
#ifdef CPU
#define halves uint
#define half_place uint64_t
half_place half_place_at(uvec2 span, uint block, uint first)
{
    return pack_words(span) + (uint64_t(block) << 9) + uint64_t(first * 4u);
}
halves load_halves(half_place at, uint i)
{
    return u32(at + uint64_t(i * 4u)).v[0];
}
void store_halves(half_place at, uint i, halves words)
{
    u32(at + uint64_t(i * 4u)).v[0] = words;
}
vector_bits as_upper(halves h)
{
    return uvec2(h << 16, h & 0xffff0000u);
}
vector_bits as_signed(halves h)
{
    return uvec2(int(h << 16) >> 16, int(h) >> 16);
}
halves upper_of(vector_bits b)
{
    return b.x >> 16 | (b.y & 0xffff0000u);
}
halves lower_of(vector_bits b)
{
    return (b.x & 0xffffu) | b.y << 16;
}
#else
#define halves uvec2
struct half_place {
    u32x2 span;
    uint first;
};
half_place half_place_at(uvec2 span, uint block, uint first)
{
    return half_place(u32x2(span), block * 64u + first);
}
halves load_halves(half_place at, uint i)
{
    return at.span.v[at.first + i];
}
void store_halves(half_place at, uint i, halves words)
{
    at.span.v[at.first + i] = words;
}
vector_bits as_upper(halves h)
{
    return uvec4(h.x << 16, h.x & 0xffff0000u, h.y << 16, h.y & 0xffff0000u);
}
vector_bits as_signed(halves h)
{
    return uvec4(int(h.x << 16) >> 16, int(h.x) >> 16, int(h.y << 16) >> 16, int(h.y) >> 16);
}
halves upper_of(vector_bits b)
{
    return b.xz >> 16 | (b.yw & 0xffff0000u);
}
halves lower_of(vector_bits b)
{
    return (b.xz & 0xffffu) | b.yw << 16;
}
#endif
#define READ_AHEAD_HALVES(span, block) READ_AHEAD(span, ((block) + 2u) * 128u, 128u)
#endif

// Vector `first` of the weights of a block; `upper` and `lower` are spans (lower: of no account for
// fp32). They are read from their tables once a tile: lower_span() leaves alone the table that is not
// there.
#ifdef WEIGHTS_BF16
struct weight_place {
    half_place upper, lower;
};
uvec2 lower_span(span_table lower, uint span) { return lower.v[span]; }
weight_place weights_at(uvec2 upper, uvec2 lower, uint block, uint first)
{
    return weight_place(half_place_at(upper, block, first), half_place_at(lower, block, first));
}
#define READ_AHEAD_MASTERS(upper, lower, block)                                                    \
    {                                                                                              \
        READ_AHEAD_HALVES(upper, block);                                                           \
        READ_AHEAD_HALVES(lower, block);                                                           \
    }
vector_bits load_weight_bits(weight_place at, uint i)
{
    return as_upper(load_halves(at.upper, i)) + as_signed(load_halves(at.lower, i));
}
void store_weight_bits(weight_place at, uint i, vector_bits bits)
{
    store_halves(at.upper, i, upper_of(bits + 0x8000u));
    store_halves(at.lower, i, lower_of(bits));
}
#else
#define weight_place place
uvec2 lower_span(span_table lower, uint span) { return uvec2(0u); }
weight_place weights_at(uvec2 upper, uvec2 lower, uint block, uint first)
{
    return place_at(upper, block, first);
}
#define READ_AHEAD_MASTERS(upper, lower, block) READ_AHEAD_BLOCK(upper, block)
#define load_weight_bits load_bits
#define store_weight_bits store_bits
#endif
vector load_weight(weight_place at, uint i)
{
    return uintBitsToFloat(load_weight_bits(at, i));
}
void store_weight(weight_place at, uint i, vector value)
{
    store_weight_bits(at, i, floatBitsToUint(value));
}

// The same of gradients, which are rounded where they are bf16.
#ifdef GRADS_BF16
#define grad_place half_place
#define grad_place_at half_place_at
#define READ_AHEAD_GRADS READ_AHEAD_HALVES
vector_bits load_grad_bits(grad_place at, uint i)
{
    return as_upper(load_halves(at, i));
}
void clear_grad(grad_place at, uint i)
{
    store_halves(at, i, halves(0u));
}
#else
#define grad_place place
#define grad_place_at place_at
#define READ_AHEAD_GRADS READ_AHEAD_BLOCK
#define load_grad_bits load_bits
void clear_grad(grad_place at, uint i)
{
    store_bits(at, i, vector_bits(0u));
}
#endif
vector load_grad(grad_place at, uint i)
{
    return uintBitsToFloat(load_grad_bits(at, i));
}

// Zeros in this workgroup's tiles.
void clear_grads(span_table grads, uint blocks, uint span_shift, uint tiles)
{
    uint first = group_index() * tiles;
    for (uint t = first; t < first + tiles; t++) {
        arena_tile tile = tile_of(t, blocks, span_shift);
        for (uint block = tile.first; block < tile.end; block++) {
            grad_place at = grad_place_at(grads.v[tile.span], block, local_index);
            [[unroll]] for (uint i = 0u; i < BLOCK_VECTORS; i += local_size)
                clear_grad(at, i);
        }
    }
}

#endif
