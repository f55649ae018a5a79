// The kernel table and how an op records a dispatch.
#ifndef TRDPO_OPS_KERNELS_H
#define TRDPO_OPS_KERNELS_H

#include "args.h" // the folder shaders/
#include "ops/type.h"
#include "vk/sequence.h"

enum op_kernel {
#define KERNEL(name, file, args, options) KERNEL_##name,
#define KERNEL_OPTIONAL(name, file, args, options, extension) KERNEL_##name,
#include "ops/kernels.def"
#undef KERNEL
#undef KERNEL_OPTIONAL
    KERNEL_COUNT
};

// `code` is NULL for an optional kernel that this build left out.
extern const struct vk_kernel op_kernels[KERNEL_COUNT];

// Whether the device has the matrix units that the kernel is written for, if any, which its name
// tells (kernels.def), and this build the kernel.
bool op_kernel_runs_on(const struct vk_device *device, enum op_kernel kernel);

// A grid of `count` workgroups for a kernel that takes its index from group_index() and skips
// indices beyond its bound: a grid too long for one dimension is folded into two.
struct vk_launch groups(uint64_t count);

// The same for `items` shared out `per_group` to a workgroup.
struct vk_launch groups_of(uint64_t items, uint32_t per_group);

// A plain grid, to be read as gl_WorkGroupID.
struct vk_launch groups2(uint32_t x, uint32_t y);
struct vk_launch groups3(uint32_t x, uint32_t y, uint32_t z);

// Records a kernel with its arguments by name:
//
//   DISPATCH(s, rmsnorm_fwd, groups(rows), .y = y, .x = x, .rows = rows);
//
// The workgroup size and specialization constants are members of the launch:
//
//   struct vk_launch launch = groups(rows);
//   launch.local = 128;
#define DISPATCH(s, kernel, launch, ...) DISPATCH_AS(s, kernel, kernel, launch, __VA_ARGS__)

// The same for a kernel whose arguments are struct STEM_args.
#define DISPATCH_AS(s, kernel, stem, launch, ...)                                                  \
    DISPATCH_ID(s, KERNEL_##kernel, stem, launch, __VA_ARGS__)

// The same for one of several kernels with these arguments, by its enum op_kernel.
#define DISPATCH_ID(s, id, stem, launch, ...)                                                      \
    vk_dispatch((s), &op_kernels[id], (launch), &(struct stem##_args){__VA_ARGS__},                \
                sizeof(struct stem##_args))

// Of a kernel and its variant for weights, or for gradients, in bf16.
#define KERNEL_BY_WEIGHTS(kernel, type)                                                            \
    ((type) == OP_BF16 ? KERNEL_##kernel##_w16 : KERNEL_##kernel)
#define KERNEL_BY_GRADS(kernel, type) ((type) == OP_BF16 ? KERNEL_##kernel##_g16 : KERNEL_##kernel)
#define KERNEL_BY_TYPES(kernel, w_type, g_type)                                                    \
    ((g_type) == OP_BF16 ? KERNEL_##kernel##_g16 : KERNEL_BY_WEIGHTS(kernel, w_type))

#endif
