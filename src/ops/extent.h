// Extents: kernels get bare addresses, so the op functions check every array against the device's
// memory before they record anything.
#ifndef TRDPO_OPS_EXTENT_H
#define TRDPO_OPS_EXTENT_H

#include "base/error.h"
#include "ops/type.h"
#include "vk/sequence.h"

// `count` 32-bit words stand at `addr`. Kernels index with 32 bits, of which the sign bit is not
// theirs.
#define CHECK_WORDS(s, addr, count)                                                                \
    do {                                                                                           \
        CHECK((count) <= (uint64_t)INT32_MAX);                                                     \
        CHECK(vk_range_ok(vk_seq_device(s), (addr), (uint64_t)(count)*4));                         \
    } while (0)

// `count` elements of an enum op_type stand at `addr`.
#define CHECK_ELEMENTS(s, addr, count, type)                                                       \
    do {                                                                                           \
        CHECK((count) <= (uint64_t)INT32_MAX);                                                     \
        CHECK(vk_range_ok(vk_seq_device(s), (addr), (uint64_t)(count)*op_type_bytes(type)));       \
    } while (0)

// CHECK_WORDS for an array that may be 0.
#define CHECK_OPTIONAL_WORDS(s, addr, count)                                                       \
    do {                                                                                           \
        if (addr) CHECK_WORDS(s, addr, count);                                                     \
    } while (0)

#endif
