// Vulkan devices: choice, capabilities, lifetime.
#ifndef TRDPO_VK_DEVICE_H
#define TRDPO_VK_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vk_device_kind {
    VK_KIND_DISCRETE,
    VK_KIND_INTEGRATED,
    VK_KIND_VIRTUAL,
    VK_KIND_CPU,
    VK_KIND_OTHER
};

// Matmul tiers a device can run (with what this build was compiled with).
enum vk_tier {
    VK_TIER_DIRECT = 1,
    VK_TIER_SHARED = 2,
    VK_TIER_COOPMAT = 4, // VK_KHR_cooperative_matrix
    VK_TIER_COOPMAT2 = 8 // VK_NV_cooperative_matrix2, never without the one above
};

// Sizes of the matrices that a subgroup multiplies, [m, k] by [k, n], summing in fp32. m 0: none.
struct vk_matrix_size {
    uint32_t m, n, k;
};

// Matrices of any multiples of these sizes, that a subgroup multiplies, or a whole workgroup of
// `lanes`. m 0: none.
struct vk_matrix_grain {
    uint32_t m, n, k, lanes; // lanes 0: a subgroup
};
#define VK_MATRIX_GRAINS 8

struct vk_caps {
    uint32_t index;                     // position in the list that --device N selects from
    char name[256];                     // "llvmpipe (LLVM 19.1, 256 bits)"
    char driver[256], driver_info[256]; // "llvmpipe", "Mesa 25.0.7"
    enum vk_device_kind kind;
    uint32_t vendor_id, device_id, api_version;
    uint8_t pipeline_cache_uuid[16];
    uint32_t subgroup_size, subgroup_min, subgroup_max;
    uint32_t lane_registers; // 32-bit registers that a kernel can have for an invocation, about
    uint32_t max_workgroup_invocations, max_shared_bytes, max_groups[3];
    uint64_t max_allocation_bytes; // one vkAllocateMemory
    uint64_t memory_bytes;         // of the device-local heap (host memory for CPU devices)
    uint64_t memory_free_bytes;    // VK_EXT_memory_budget, else memory_bytes
    bool host_visible;             // device memory can be mapped (CPU and integrated devices)
    float timestamp_ns;            // nanoseconds of a timestamp tick; 0: no timestamps
    bool fp16, bf16, int64, coopmat, coopmat2; // probed features (storage and arithmetic)
    bool storage16;                            // 16-bit values in buffers
    bool subgroup_ballot;                      // subgroupBroadcast and the like
    // By the type of the factors; zero where the device multiplies none, or the build has no
    // kernels for them. VK_TIER_COOPMAT is there where one of them is.
    struct vk_matrix_size coopmat_fp16, coopmat_bf16;
    // The same for VK_TIER_COOPMAT2; a grain of none ends the list. Sizes end at matrix_most, a
    // workgroup's matrices take some shared memory.
    struct vk_matrix_grain grains_fp16[VK_MATRIX_GRAINS], grains_bf16[VK_MATRIX_GRAINS];
    uint32_t matrix_most, matrix_shared_bytes;
    uint32_t tiers;      // enum vk_tier bits
    const char *missing; // first required feature that is missing, NULL if usable
};

// All devices of the loader, usable or not, in the order of --device N: discrete before integrated
// before virtual before CPU. Caller frees *list with mem_free(). No loader or no driver: err_device
// with the package to install.
bool vk_device_list(struct vk_caps **list, size_t *count);

struct vk_compile; // compile.h
struct vk_device_params {
    const char *selector; // number, part of a name (any case), or NULL: TRDPO_DEVICE, else the best
    bool profile;         // time every dispatch (profile.h)
    const struct vk_compile
        *compile; // make pipelines, run nothing (compile.h); outlives the device
};

// Opens a device. Asks for what is required (Vulkan 1.3, bufferDeviceAddress, scalarBlockLayout,
// subgroup arithmetic, timeline semaphores, synchronization2), enables what is probed. Before
// creating the instance, sets LP_NATIVE_VECTOR_WIDTH=512 for lavapipe where the processor has
// AVX-512 and the user has not set it.
struct vk_device;
struct vk_device *vk_device_create(const struct vk_device_params *params);
void vk_device_destroy(struct vk_device *device); // waits; NULL accepted
const struct vk_caps *vk_device_caps(const struct vk_device *device);

#endif
