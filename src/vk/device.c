// Choice and lifetime of a device.
#include "vk/device.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/system.h"
#include "vk/compile.h"
#include "vk/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool contains_nocase(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++) {
        size_t i = 0;
        while (i < n && text[i] &&
               tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == n) return true;
    }
    return n == 0;
}

static bool names(const struct vk_caps *caps, const char *selector)
{
    // People call llvmpipe by the name of its Vulkan driver.
    if (caps->kind == VK_KIND_CPU && contains_nocase("lavapipe", selector) && *selector)
        return contains_nocase(caps->driver, "llvmpipe");
    return contains_nocase(caps->name, selector);
}

static bool all_digits(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n > 0 && n < 9 && text[n] == '\0';
}

// Appends "0: name (missing feature), 1: ..." to a message about the devices there are.
static void list_devices(struct str *out, const struct vk_physical *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        str_appendf(out, "%s%zu: %s", i ? ", " : "", i, list[i].caps.name);
        if (list[i].caps.missing) str_appendf(out, " (unusable: lacks %s)", list[i].caps.missing);
    }
}

static const struct vk_physical *choose(const struct vk_physical *list, size_t count,
                                        const char *selector)
{
    const struct vk_physical *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (selector && all_digits(selector)) {
            if (strtoul(selector, NULL, 10) != i) continue;
        } else if (selector && !names(&list[i].caps, selector)) {
            continue;
        }
        if (!found || (found->caps.missing && !list[i].caps.missing)) found = &list[i];
    }
    struct str there = {0};
    list_devices(&there, list, count);
    if (!found) {
        err_user("no device matches '%s'; there are: %s", selector, str_text(&there));
    } else if (found->caps.missing && selector) {
        err_user("device '%s' lacks %s, which is required; there are: %s", found->caps.name,
                 found->caps.missing, str_text(&there));
        found = NULL;
    } else if (found->caps.missing) {
        err_device("no usable device: %s", str_text(&there));
        found = NULL;
    }
    str_finish(&there);
    return found;
}

// A family with compute, better one without graphics: a desktop then stays smooth.
static bool choose_queue(struct vk_device *d)
{
    VkQueueFamilyProperties families[32];
    uint32_t count = 32;
    int best = -1, best_score = -1;
    vkGetPhysicalDeviceQueueFamilyProperties(d->physical, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
        int score = (families[i].timestampValidBits >= 32 ? 2 : 0) +
                    (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT ? 0 : 1);
        if (score > best_score) {
            best = (int)i;
            best_score = score;
        }
    }
    if (best < 0) return err_device("device '%s' has no compute queue", d->caps.name);
    d->queue_family = (uint32_t)best;
    d->timestamp_bits = families[best].timestampValidBits;
    if (d->timestamp_bits < 32) d->caps.timestamp_ns = 0.0f;
    return true;
}

// Features to enable: the required ones, and those that kernels may use where they are there.
static VkResult create_logical(struct vk_device *d, const char **extensions,
                               uint32_t extension_count)
{
    VkPhysicalDeviceVulkan13Features has13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
    VkPhysicalDeviceVulkan12Features has12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &has13};
    VkPhysicalDeviceVulkan11Features has11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &has12};
    VkPhysicalDeviceFeatures2 has = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &has11};
    vkGetPhysicalDeviceFeatures2(d->physical, &has);

    VkPhysicalDeviceVulkan13Properties limits13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES};
    VkPhysicalDeviceProperties2 limits = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                          .pNext = &limits13};
    vkGetPhysicalDeviceProperties2(d->physical, &limits);
    d->max_local = limits.properties.limits.maxComputeWorkGroupSize[0];
    if (d->max_local > d->caps.max_workgroup_invocations)
        d->max_local = d->caps.max_workgroup_invocations;
    // Where the subgroup size may vary from kernel to kernel, hold it still.
    d->pin_subgroup_size = has13.subgroupSizeControl &&
                           (limits13.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
                           limits13.minSubgroupSize != limits13.maxSubgroupSize;
    d->full_subgroups = has13.computeFullSubgroups;

    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE};
    void *next = d->statistics ? &statistics : NULL;
    struct vk_coopmat_features coopmat;
    extension_count += vk_coopmat_enable(&d->caps, &coopmat, &next, extensions + extension_count);
    struct vk_coopmat2_features coopmat2;
    const char *coopmat2_extension = vk_coopmat2_enable(&d->caps, &coopmat2, &next);
    if (coopmat2_extension) extensions[extension_count++] = coopmat2_extension;
    VkPhysicalDeviceVulkan13Features want13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
        .pNext = next,
        .synchronization2 = VK_TRUE,
        .maintenance4 = VK_TRUE,
        .subgroupSizeControl = has13.subgroupSizeControl,
        .computeFullSubgroups = has13.computeFullSubgroups,
    };
    VkPhysicalDeviceVulkan12Features want12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .pNext = &want13,
        .bufferDeviceAddress = VK_TRUE,
        .scalarBlockLayout = VK_TRUE,
        .timelineSemaphore = VK_TRUE,
        .shaderFloat16 = has12.shaderFloat16,
        .shaderInt8 = has12.shaderInt8,
        .storageBuffer8BitAccess = has12.storageBuffer8BitAccess,
        .vulkanMemoryModel = has12.vulkanMemoryModel,
        .vulkanMemoryModelDeviceScope = has12.vulkanMemoryModelDeviceScope,
    };
    VkPhysicalDeviceVulkan11Features want11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
        .pNext = &want12,
        .storageBuffer16BitAccess = has11.storageBuffer16BitAccess,
    };
    VkPhysicalDeviceFeatures2 want = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .pNext = &want11,
        .features = {.shaderInt64 = has.features.shaderInt64,
                     .shaderInt16 = has.features.shaderInt16},
    };
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &want,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos =
            &(VkDeviceQueueCreateInfo){.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                       .queueFamilyIndex = d->queue_family,
                                       .queueCount = 1,
                                       .pQueuePriorities = &(float){1.0f}},
        .enabledExtensionCount = extension_count,
        .ppEnabledExtensionNames = extensions,
    };
    return vkCreateDevice(d->physical, &info, NULL, &d->handle);
}

static bool open_logical(struct vk_device *d)
{
    uint32_t count = 0, wanted = 0;
    const char *extensions[4 + VK_COOPMAT_EXTENSIONS]; // the last ones for create_logical()
    VkExtensionProperties *found = NULL;
    if (vkEnumerateDeviceExtensionProperties(d->physical, NULL, &count, NULL) == VK_SUCCESS) {
        found = MEM_ARRAY(VkExtensionProperties, count + 1);
        if (vkEnumerateDeviceExtensionProperties(d->physical, NULL, &count, found) < 0) count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(found[i].extensionName, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME) == 0) {
            extensions[wanted++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
            d->memory_budget = true;
        } else if (d->compile &&
                   strcmp(found[i].extensionName,
                          VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME) == 0) {
            extensions[wanted++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
            d->statistics = true;
        } else if (strcmp(found[i].extensionName, "VK_KHR_portability_subset") == 0) {
            extensions[wanted++] = "VK_KHR_portability_subset"; // must be enabled where it is there
        }
    }
    mem_free(found);
    VkResult r = create_logical(d, extensions, wanted);
    if (r != VK_SUCCESS) {
        vk_fail(r, "vkCreateDevice");
        return err_context("device '%s'", d->caps.name);
    }
    vkGetDeviceQueue(d->handle, d->queue_family, 0, &d->queue);
    vkGetPhysicalDeviceMemoryProperties(d->physical, &d->memory);
    return true;
}

static bool open_queue(struct vk_device *d)
{
    VkResult r = vkCreateCommandPool(
        d->handle,
        &(VkCommandPoolCreateInfo){.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                   .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                   .queueFamilyIndex = d->queue_family},
        NULL, &d->pool);
    if (r != VK_SUCCESS) return vk_fail(r, "vkCreateCommandPool");
    VkSemaphoreTypeCreateInfo timeline = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                          .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    r = vkCreateSemaphore(d->handle,
                          &(VkSemaphoreCreateInfo){.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
                                                   .pNext = &timeline},
                          NULL, &d->timeline);
    if (r != VK_SUCCESS) return vk_fail(r, "vkCreateSemaphore");
    // Every kernel takes its arguments from the same 128 bytes of push constants.
    VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges =
            &(VkPushConstantRange){.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = 128}};
    r = vkCreatePipelineLayout(d->handle, &layout, NULL, &d->layout);
    if (r != VK_SUCCESS) return vk_fail(r, "vkCreatePipelineLayout");
    if (d->compile) return true; // nothing is kept, and nothing runs that could be counted
    if (!vk_pipeline_cache_open(d)) return false;
    d->counter = vk_block_create(d, VK_MEMORY_READBACK, sizeof(uint32_t), 0, "the step counter");
    return d->counter != NULL;
}

struct vk_device *vk_device_create(const struct vk_device_params *params)
{
    struct vk_device *d = MEM_NEW(struct vk_device);
    struct vk_physical *list = NULL;
    size_t count = 0;
    const char *selector = params ? params->selector : NULL;
    if (!selector || !*selector) selector = sys_env("TRDPO_DEVICE");
    if (selector && !*selector) selector = NULL;

    if (!vk_instance_create(&d->instance) || !vk_physical_list(d->instance, &list, &count))
        goto fail;
    const struct vk_physical *chosen = choose(list, count, selector);
    if (!chosen) goto fail;
    d->physical = chosen->handle;
    d->caps = chosen->caps;
    if (sys_env("TRDPO_NO_HOST_VISIBLE")) d->caps.host_visible = false;
    const char *registers = sys_env("TRDPO_LANE_REGISTERS");
    if (registers && *registers) d->caps.lane_registers = (uint32_t)strtoul(registers, NULL, 10);
    bool one_subgroup = d->caps.kind == VK_KIND_CPU && !sys_env("TRDPO_GPU_WORKGROUPS");
    d->default_local = one_subgroup ? d->caps.subgroup_size : 64;
    d->profile = params && params->profile;
    d->compile = params ? params->compile : NULL;
    d->rates = vk_rates_guess(d->caps.kind);
    if (!choose_queue(d) || !open_logical(d) || !open_queue(d)) goto fail;
    if (d->profile && d->caps.timestamp_ns == 0.0f)
        log_warn("device '%s' has no timestamps: its profile stays empty", d->caps.name);
    mem_free(list);
    return d;
fail:
    mem_free(list);
    vk_device_destroy(d);
    return NULL;
}

void vk_device_destroy(struct vk_device *d)
{
    if (!d) return;
    bool idle = d->handle && vk_idle(d);
    if (d->handle) {
        CHECK(d->sequences.count == 0);
        vk_staging_finish(d);
        vk_profile_finish(d);
        vk_block_destroy(d, d->counter);
        CHECK(d->blocks.count == 0); // every arena was finished
    }
    if (idle) {
        vk_pipelines_finish(d);
        if (!d->compile) vk_pipeline_cache_close(d);
        for (size_t i = 0; i < d->transients.count; i++)
            vkDestroyQueryPool(d->handle, d->transients.items[i].stamps, NULL);
        vkDestroyPipelineLayout(d->handle, d->layout, NULL);
        vkDestroySemaphore(d->handle, d->timeline, NULL);
        vkDestroyCommandPool(d->handle, d->pool, NULL);
        vkDestroyDevice(d->handle, NULL);
    }
    if (idle || !d->handle) vk_instance_destroy(d->instance);
    // What the layer says while objects are destroyed nobody would hear otherwise.
    CHECK(vk_validation_ok());
    vk_profile_reset(d);
    ARRAY_FREE(&d->transients);
    ARRAY_FREE(&d->sequences);
    ARRAY_FREE(&d->blocks);
    mem_free(d);
}

const struct vk_caps *vk_device_caps(const struct vk_device *device)
{
    return &device->caps;
}
