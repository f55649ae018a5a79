// Model parameters and their gradients in memory: fp32, or bf16 (enum op_type) with -DWEIGHTS_BF16
// for parameters that a kernel reads, -DGRADS_BF16 for gradients that it adds to. Maths is fp32.
//
// A bf16 is the upper half of an fp32, so reading it is exact; it is stored rounded to nearest,
// ties to even.
#ifndef TRDPO_STORAGE_GLSL
#define TRDPO_STORAGE_GLSL

#include "read_ahead.glsl"

float from_bf16(uint half_word)
{
    return uintBitsToFloat(half_word << 16);
}

// Two from a word, the first in its lower half.
vec2 from_bf16x2(uint word)
{
    return uintBitsToFloat(uvec2(word << 16, word & 0xffff0000u));
}

// A NaN stays one, whatever its lower half.
uint to_bf16(float x)
{
    uint bits = floatBitsToUint(x);
    bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return is_nan ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

uint to_bf16x2(vec2 x)
{
    return to_bf16(x.x) | to_bf16(x.y) << 16;
}

#if defined(WEIGHTS_BF16) || defined(GRADS_BF16)
#extension GL_EXT_shader_16bit_storage : require
BUFFER_TYPE(u16, uint16_t, 2);
#endif

#ifdef WEIGHTS_BF16
#define WEIGHTS u16
float weight_at(u16 weights, uint i)
{
    return from_bf16(uint(weights.v[i]));
}
#define READ_AHEAD_WEIGHTS(array, first, count) READ_AHEAD(array, (first) / 2u, (count) / 2u)
#else
#define WEIGHTS f32
float weight_at(f32 weights, uint i)
{
    return weights.v[i];
}
#define READ_AHEAD_WEIGHTS(array, first, count) READ_AHEAD(array, first, count)
#endif

#ifdef GRADS_BF16
#define GRADS u16
float grad_at(u16 grads, uint i)
{
    return from_bf16(uint(grads.v[i]));
}
void put_grad(u16 grads, uint i, float value)
{
    grads.v[i] = uint16_t(to_bf16(value));
}
#else
#define GRADS f32
float grad_at(f32 grads, uint i)
{
    return grads.v[i];
}
void put_grad(f32 grads, uint i, float value)
{
    grads.v[i] = value;
}
#endif

#endif
