#include "ops/kernels.h"

#include "base/error.h"
#include "ops_spirv.h" // made by trdpo_shaders(): SPIRV_name for every line of kernels.def

const struct vk_kernel op_kernels[KERNEL_COUNT] = {
#define KERNEL(name, file, args, options) {#name, SPIRV_##name, sizeof(struct args##_args)},
#define KERNEL_OPTIONAL(name, file, args, options, extension) KERNEL(name, file, args, options)
#include "ops/kernels.def"
#undef KERNEL
#undef KERNEL_OPTIONAL
};

#define KERNEL(name, file, args, options)                                                          \
    _Static_assert(sizeof(struct args##_args) <= 128, "arguments of " #name " exceed 128 bytes");
#define KERNEL_OPTIONAL(name, file, args, options, extension) KERNEL(name, file, args, options)
#include "ops/kernels.def"
#undef KERNEL
#undef KERNEL_OPTIONAL

// Every device takes 65535 workgroups in a dimension.
#define FOLD 32768u

struct vk_launch groups(uint64_t count)
{
    CHECK(count <= (uint64_t)FOLD * FOLD);
    if (count <= FOLD) return (struct vk_launch){.x = count ? (uint32_t)count : 1};
    return (struct vk_launch){.x = FOLD, .y = (uint32_t)((count + FOLD - 1) / FOLD)};
}

struct vk_launch groups_of(uint64_t items, uint32_t per_group)
{
    return groups(items / per_group + (items % per_group != 0));
}

struct vk_launch groups2(uint32_t x, uint32_t y)
{
    return (struct vk_launch){.x = x, .y = y};
}

struct vk_launch groups3(uint32_t x, uint32_t y, uint32_t z)
{
    return (struct vk_launch){.x = x, .y = y, .z = z};
}
