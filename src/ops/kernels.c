#include "ops/kernels.h"

#include "base/error.h"
#include "ops/linear.h"
#include "ops_spirv.h" // made by trdpo_shaders(): SPIRV_name for every line of kernels.def

#include <string.h>

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

bool op_kernel_runs_on(const struct vk_device *device, enum op_kernel kernel)
{
    const char *name = op_kernels[kernel].name;
    enum op_units units = strstr(name, "_bf16") ? OP_UNITS_BF16 : OP_UNITS_FP16;
    if (strstr(name, "_coopmat2")) return op_units_grains(device, units) != NULL;
    if (strstr(name, "_coopmat")) return op_units_matrix(device, units) != NULL;
    return op_kernels[kernel].code != NULL;
}

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
