// Kernels that come in two variants: one for GPUs and one, named NAME_cpu, for CPU devices, which
// reads ahead of its gathers (shaders/read_ahead.glsl, arena.glsl).
#ifndef TRDPO_OPS_VARIANTS_H
#define TRDPO_OPS_VARIANTS_H

#include "ops/kernels.h"

// Whether the variants for CPU devices are the ones to run: on a CPU device with 64-bit integers
// and 16-bit storage, in the direct tier. TRDPO_TIER=shared chooses those of GPUs there too, so
// that every device can test them.
bool op_on_cpu(struct vk_seq *s);

// DISPATCH and DISPATCH_AS of the variant for the device.
#define DISPATCH_VARIANT(s, kernel, launch, ...)                                                   \
    DISPATCH_VARIANT_AS(s, kernel, kernel, launch, __VA_ARGS__)
#define DISPATCH_VARIANT_AS(s, kernel, stem, launch, ...)                                          \
    DISPATCH_ID(s, VARIANT(s, kernel), stem, launch, __VA_ARGS__)

// The variant's enum op_kernel.
#define VARIANT(s, kernel) (op_on_cpu(s) ? KERNEL_##kernel##_cpu : KERNEL_##kernel)
#define VARIANT_BY_WEIGHTS(s, kernel, type)                                                        \
    ((type) == OP_BF16 ? VARIANT(s, kernel##_w16) : VARIANT(s, kernel))

#endif
