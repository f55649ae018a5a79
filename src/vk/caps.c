// What the physical devices can do, and their order.
#include "base/mem.h"
#include "base/system.h"
#include "vk/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct probe {
    VkPhysicalDeviceProperties2 properties;
    VkPhysicalDeviceVulkan11Properties vulkan11;
    VkPhysicalDeviceVulkan12Properties vulkan12;
    VkPhysicalDeviceVulkan13Properties vulkan13;
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDeviceVulkan11Features has11;
    VkPhysicalDeviceVulkan12Features has12;
    VkPhysicalDeviceVulkan13Features has13;
};

static void ask(VkPhysicalDevice handle, struct probe *p)
{
    *p = (struct probe){
        .properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2},
        .vulkan11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES},
        .vulkan12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES},
        .vulkan13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES},
        .features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2},
        .has11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES},
        .has12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES},
        .has13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES},
    };
    p->properties.pNext = &p->vulkan11;
    p->vulkan11.pNext = &p->vulkan12;
    p->features.pNext = &p->has11;
    p->has11.pNext = &p->has12;
    // Older devices do not know the structures of 1.3.
    VkPhysicalDeviceProperties version;
    vkGetPhysicalDeviceProperties(handle, &version);
    if (version.apiVersion >= VK_API_VERSION_1_3) {
        p->vulkan12.pNext = &p->vulkan13;
        p->has12.pNext = &p->has13;
    }
    if (version.apiVersion >= VK_API_VERSION_1_2) {
        vkGetPhysicalDeviceProperties2(handle, &p->properties);
        vkGetPhysicalDeviceFeatures2(handle, &p->features);
    } else {
        p->properties.properties = version;
    }
}

// The first required feature that the device lacks.
static const char *first_missing(const struct probe *p, bool has_queue)
{
    VkSubgroupFeatureFlags ops = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    if (p->properties.properties.apiVersion < VK_API_VERSION_1_3) return "Vulkan 1.3";
    if (!has_queue) return "a compute queue";
    if (!p->has12.bufferDeviceAddress) return "bufferDeviceAddress";
    if (!p->has12.scalarBlockLayout) return "scalarBlockLayout";
    if (!p->has12.timelineSemaphore) return "timelineSemaphore";
    if (!p->has13.synchronization2) return "synchronization2";
    if (!p->has13.maintenance4) return "maintenance4";
    if (!(p->vulkan11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) ||
        (p->vulkan11.subgroupSupportedOperations & ops) != ops)
        return "subgroup arithmetic in compute shaders";
    return NULL;
}

static enum vk_device_kind kind_of(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return VK_KIND_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return VK_KIND_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return VK_KIND_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return VK_KIND_CPU;
    default:
        return VK_KIND_OTHER;
    }
}

static bool has_extension(VkPhysicalDevice handle, const char *name)
{
    uint32_t count = 0;
    if (vkEnumerateDeviceExtensionProperties(handle, NULL, &count, NULL) != VK_SUCCESS)
        return false;
    VkExtensionProperties *found = MEM_ARRAY(VkExtensionProperties, count + 1);
    bool has = false;
    VkResult r = vkEnumerateDeviceExtensionProperties(handle, NULL, &count, found);
    if (r == VK_SUCCESS || r == VK_INCOMPLETE)
        for (uint32_t i = 0; i < count && !has; i++)
            has = strcmp(found[i].extensionName, name) == 0;
    mem_free(found);
    return has;
}

// The largest heap of the device's own memory, and whether the host can map memory of it.
static uint32_t device_heap(const VkPhysicalDeviceMemoryProperties *memory, bool *host_visible)
{
    uint32_t best = 0;
    uint64_t best_bytes = 0;
    for (uint32_t i = 0; i < memory->memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &memory->memoryHeaps[i];
        if ((heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) && heap->size > best_bytes) {
            best = i;
            best_bytes = heap->size;
        }
    }
    VkMemoryPropertyFlags mapped =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    *host_visible = false;
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++)
        if (memory->memoryTypes[i].heapIndex == best &&
            (memory->memoryTypes[i].propertyFlags & mapped) == mapped)
            *host_visible = true;
    return best;
}

// The device's own heap: its size, and with the extension what of it the process may use and uses.
struct heap {
    uint64_t bytes, limit, used;
};
static struct heap ask_heap(VkPhysicalDevice physical, bool budget)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT left = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
        .pNext = budget ? &left : NULL};
    vkGetPhysicalDeviceMemoryProperties2(physical, &memory);
    bool host_visible;
    uint32_t heap = device_heap(&memory.memoryProperties, &host_visible);
    return (struct heap){memory.memoryProperties.memoryHeaps[heap].size, left.heapBudget[heap],
                         left.heapUsage[heap]};
}

uint64_t vk_memory_free(VkPhysicalDevice physical, bool budget, uint64_t *total)
{
    struct heap heap = ask_heap(physical, budget);
    if (total) *total = heap.bytes;
    if (!budget) return heap.bytes;
    uint64_t unused = heap.limit > heap.used ? heap.limit - heap.used : 0;
    return unused < heap.bytes ? unused : heap.bytes;
}

uint64_t vk_memory_in_use(const struct vk_device *device)
{
    if (device->compile) return 0;
    if (device->caps.kind == VK_KIND_CPU) return sys_peak_bytes();
    return device->memory_budget ? ask_heap(device->physical, true).used : 0;
}

static bool has_compute_queue(VkPhysicalDevice handle)
{
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    vkGetPhysicalDeviceQueueFamilyProperties(handle, &count, families);
    for (uint32_t i = 0; i < count; i++)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) return true;
    return false;
}

// Vulkan does not say. What is known of the vendors, and for the others a number that fits most.
static uint32_t lane_registers(const VkPhysicalDeviceProperties *properties)
{
    if (properties->deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU) return 256; // it has the stack
    switch (properties->vendorID) {
    case 0x1002: // AMD
    case 0x10de: // NVIDIA
        return 256;
    case 0x5143: // Qualcomm
        return 192;
    default:
        return 128;
    }
}

static void fill_caps(VkInstance instance, VkPhysicalDevice handle, struct vk_caps *caps)
{
    struct probe p;
    ask(handle, &p);
    const VkPhysicalDeviceProperties *props = &p.properties.properties;
    const VkPhysicalDeviceLimits *limits = &props->limits;
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(handle, &memory);

    *caps = (struct vk_caps){
        .kind = kind_of(props->deviceType),
        .vendor_id = props->vendorID,
        .device_id = props->deviceID,
        .api_version = props->apiVersion,
        .subgroup_size = p.vulkan11.subgroupSize,
        .subgroup_min = p.vulkan13.minSubgroupSize,
        .subgroup_max = p.vulkan13.maxSubgroupSize,
        .lane_registers = lane_registers(props),
        .max_workgroup_invocations = limits->maxComputeWorkGroupInvocations,
        .max_shared_bytes = limits->maxComputeSharedMemorySize,
        .max_allocation_bytes = p.vulkan11.maxMemoryAllocationSize,
        .timestamp_ns = limits->timestampComputeAndGraphics ? limits->timestampPeriod : 0.0f,
        .fp16 = p.has12.shaderFloat16 && p.has11.storageBuffer16BitAccess,
        .storage16 = p.has11.storageBuffer16BitAccess,
        .bf16 = has_extension(handle, "VK_KHR_shader_bfloat16"),
        .int64 = p.features.features.shaderInt64,
        .subgroup_ballot = p.vulkan11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT,
        .coopmat = has_extension(handle, "VK_KHR_cooperative_matrix"),
        .coopmat2 = has_extension(handle, "VK_NV_cooperative_matrix2"),
        .tiers = VK_TIER_DIRECT | VK_TIER_SHARED,
        .missing = first_missing(&p, has_compute_queue(handle)),
    };
    snprintf(caps->name, sizeof caps->name, "%s", props->deviceName);
    snprintf(caps->driver, sizeof caps->driver, "%s", p.vulkan12.driverName);
    snprintf(caps->driver_info, sizeof caps->driver_info, "%s", p.vulkan12.driverInfo);
    memcpy(caps->pipeline_cache_uuid, props->pipelineCacheUUID, sizeof caps->pipeline_cache_uuid);
    memcpy(caps->max_groups, limits->maxComputeWorkGroupCount, sizeof caps->max_groups);
    if (p.vulkan13.maxBufferSize && p.vulkan13.maxBufferSize < caps->max_allocation_bytes)
        caps->max_allocation_bytes = p.vulkan13.maxBufferSize;

    // Device memory is mapped where that costs nothing: where it is the host's memory too.
    bool mappable;
    device_heap(&memory, &mappable);
    caps->host_visible =
        mappable && (caps->kind == VK_KIND_CPU || caps->kind == VK_KIND_INTEGRATED);
    caps->memory_free_bytes = vk_memory_free(
        handle, has_extension(handle, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME), &caps->memory_bytes);
    vk_coopmat_query(instance, handle, caps);
    vk_coopmat2_query(instance, handle, caps);
}

static int by_kind(const void *a, const void *b)
{
    const struct vk_caps *x = &((const struct vk_physical *)a)->caps;
    const struct vk_caps *y = &((const struct vk_physical *)b)->caps;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

bool vk_physical_list(VkInstance instance, struct vk_physical **list, size_t *count)
{
    VkPhysicalDevice handles[64];
    uint32_t n = 64;
    *list = NULL;
    *count = 0;
    VkResult r = vkEnumeratePhysicalDevices(instance, &n, handles);
    if (r != VK_SUCCESS && r != VK_INCOMPLETE) return vk_fail(r, "listing Vulkan devices");
    if (n == 0)
        return err_device("no Vulkan device on this system: install a driver (Debian, Ubuntu: "
                          "apt-get install mesa-vulkan-drivers, which has a CPU device too)");
    *list = MEM_ARRAY(struct vk_physical, n);
    for (uint32_t i = 0; i < n; i++) {
        (*list)[i].handle = handles[i];
        fill_caps(instance, handles[i], &(*list)[i].caps);
        (*list)[i].caps.index = i; // the loader's order decides between devices of a kind
    }
    qsort(*list, n, sizeof **list, by_kind);
    for (uint32_t i = 0; i < n; i++)
        (*list)[i].caps.index = i;
    *count = n;
    return true;
}

bool vk_device_list(struct vk_caps **list, size_t *count)
{
    VkInstance instance;
    struct vk_physical *physical = NULL;
    *list = NULL;
    *count = 0;
    if (!vk_instance_create(&instance)) return false;
    bool ok = vk_physical_list(instance, &physical, count);
    if (ok) {
        *list = MEM_ARRAY(struct vk_caps, *count);
        for (size_t i = 0; i < *count; i++)
            (*list)[i] = physical[i].caps;
    }
    mem_free(physical);
    vk_instance_destroy(instance);
    return ok;
}
