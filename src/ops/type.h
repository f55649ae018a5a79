// How the elements of an array lie in memory. Kernels compute in fp32 whatever the type.
#ifndef TRDPO_OPS_TYPE_H
#define TRDPO_OPS_TYPE_H

#include <stdint.h>

enum op_type {
    OP_F32,
    OP_BF16, // the upper half of an fp32: read exactly, stored rounded to nearest
};

static inline uint32_t op_type_bytes(enum op_type type)
{
    return type == OP_BF16 ? 2 : 4;
}

#endif
