// Storage types of tensors and their conversions to float (round to nearest even).
#ifndef TRDPO_BASE_DTYPE_H
#define TRDPO_BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>

// U8 holds whole numbers from 0 to 255 (the nearest, NaN as 0): codes, which no weights are in.
enum dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_U8 };

size_t dtype_size(enum dtype type);      // bytes of an element
const char *dtype_name(enum dtype type); // "F32", "F16", "BF16", "U8": safetensors' names

float dtype_from_f16(uint16_t bits);
float dtype_from_bf16(uint16_t bits);
uint16_t dtype_to_f16(float value);  // beyond 65504: infinity
uint16_t dtype_to_bf16(float value); // NaN stays NaN

// `count` elements of `type` at `src` (any alignment) to floats, and back.
void dtype_decode(float *dst, const void *src, enum dtype type, size_t count);
void dtype_encode(void *dst, const float *src, enum dtype type, size_t count);

#endif
