// The conversions are written without branches so that compilers turn the loops below into vector
// code; subnormals never pass through the floating-point unit, whose mode may flush them to zero.
#include "dtype.h"

#include "error.h"

#include <stdbool.h>
#include <string.h>

size_t dtype_size(enum dtype type)
{
    return type == DTYPE_F32 ? 4 : type == DTYPE_U8 ? 1 : 2;
}

const char *dtype_name(enum dtype type)
{
    switch (type) {
    case DTYPE_F32:
        return "F32";
    case DTYPE_F16:
        return "F16";
    case DTYPE_BF16:
        return "BF16";
    case DTYPE_U8:
        return "U8";
    }
    return "unknown";
}

static inline float as_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t as_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// `yes` if the condition holds, else `no`: by masks, which compilers vectorise where ?: around
// floating-point arithmetic stays a branch.
static inline uint32_t pick(bool condition, uint32_t yes, uint32_t no)
{
    uint32_t mask = 0 - (uint32_t)condition;
    return (yes & mask) | (no & ~mask);
}

static inline float f16_decode(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = (uint32_t)(half & 0x7FFF) << 13;
    uint32_t normal = magnitude + (UINT32_C(112) << 23);  // exponent bias 15 becomes 127
    uint32_t special = magnitude + (UINT32_C(224) << 23); // exponent 31 becomes 255
    // A subnormal's bits under exponent -14 read 2^-14 too much.
    uint32_t small = as_bits(as_float(magnitude + (UINT32_C(113) << 23)) - 0x1p-14f);
    uint32_t bits = pick(magnitude < UINT32_C(0x00800000), small, normal);
    return as_float(sign | pick(magnitude >= UINT32_C(0x0F800000), special, bits));
}

static inline uint16_t f16_encode(float value)
{
    uint32_t bits = as_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    uint32_t rebased = magnitude - (UINT32_C(112) << 23);
    uint32_t normal = (rebased + 0xFFF + (rebased >> 13 & 1)) >> 13; // may carry up to infinity
    uint32_t nan = 0x7E00 | (magnitude >> 13 & 0x3FF);
    uint32_t special = pick(magnitude > UINT32_C(0x7F800000), nan, 0x7C00); // 65536 and beyond
    // Adding 1/2, whose last bit is worth 2^-24 as a subnormal half's, lets the sum do the
    // rounding.
    uint32_t small = as_bits(as_float(magnitude) + 0.5f) - UINT32_C(0x3F000000);
    uint32_t half = pick(magnitude < UINT32_C(0x38800000), small, normal); // below 2^-14
    return (uint16_t)(sign | pick(magnitude >= UINT32_C(0x47800000), special, half));
}

static inline float bf16_decode(uint16_t half)
{
    return as_float((uint32_t)half << 16);
}

static inline uint16_t bf16_encode(float value)
{
    uint32_t bits = as_bits(value);
    uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    uint32_t nan = bits >> 16 | 0x40; // quiet: the payload left may be all zero
    return (uint16_t)((bits & 0x7FFFFFFF) > UINT32_C(0x7F800000) ? nan : rounded);
}

static inline uint8_t u8_encode(float value)
{
    return (uint8_t)(value >= 255 ? 255 : value > 0 ? value + 0.5f : 0);
}

float dtype_from_f16(uint16_t bits)
{
    return f16_decode(bits);
}

float dtype_from_bf16(uint16_t bits)
{
    return bf16_decode(bits);
}

uint16_t dtype_to_f16(float value)
{
    return f16_encode(value);
}

uint16_t dtype_to_bf16(float value)
{
    return bf16_encode(value);
}

void dtype_decode(float *dst, const void *src, enum dtype type, size_t count)
{
    const unsigned char *restrict from = src; // perhaps odd: elements go through memcpy
    float *restrict to = dst;
    uint16_t half;
    switch (type) {
    case DTYPE_F32:
        if (count > 0) memcpy(to, from, count * sizeof *to);
        return;
    case DTYPE_F16:
        for (size_t i = 0; i < count; i++) {
            memcpy(&half, from + 2 * i, 2);
            to[i] = f16_decode(half);
        }
        return;
    case DTYPE_BF16:
        for (size_t i = 0; i < count; i++) {
            memcpy(&half, from + 2 * i, 2);
            to[i] = bf16_decode(half);
        }
        return;
    case DTYPE_U8:
        for (size_t i = 0; i < count; i++)
            to[i] = from[i];
        return;
    }
    CHECK(!"a known dtype");
}

void dtype_encode(void *dst, const float *src, enum dtype type, size_t count)
{
    unsigned char *restrict to = dst;
    const float *restrict from = src;
    uint16_t half;
    switch (type) {
    case DTYPE_F32:
        if (count > 0) memcpy(to, from, count * sizeof *from);
        return;
    case DTYPE_F16:
        for (size_t i = 0; i < count; i++) {
            half = f16_encode(from[i]);
            memcpy(to + 2 * i, &half, 2);
        }
        return;
    case DTYPE_BF16:
        for (size_t i = 0; i < count; i++) {
            half = bf16_encode(from[i]);
            memcpy(to + 2 * i, &half, 2);
        }
        return;
    case DTYPE_U8:
        for (size_t i = 0; i < count; i++)
            to[i] = u8_encode(from[i]);
        return;
    }
    CHECK(!"a known dtype");
}
