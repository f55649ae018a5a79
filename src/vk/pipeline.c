// Compute pipelines, made on first use. They are kept in a hash table with open addressing.
#include "base/log.h"
#include "base/mem.h"
#include "vk/internal.h"

#include <string.h>

uint32_t vk_local_size(const struct vk_device *device, const struct vk_launch *launch)
{
    return launch->local ? launch->local : device->default_local;
}

static uint64_t hash_of(const struct vk_pipeline *key)
{
    // FNV-1a over the kernel's address and the options.
    uint64_t h = 14695981039346656037ull, address = (uint64_t)(uintptr_t)key->kernel;
    uint32_t words[12] = {(uint32_t)address, (uint32_t)(address >> 32), key->local,
                          key->spec_count};
    memcpy(words + 4, key->spec, sizeof key->spec);
    for (size_t i = 0; i < 12; i++)
        h = (h ^ words[i]) * 1099511628211ull;
    return h ^ (h >> 32);
}

static bool same(const struct vk_pipeline *a, const struct vk_pipeline *b)
{
    return a->kernel == b->kernel && a->local == b->local && a->spec_count == b->spec_count &&
           memcmp(a->spec, b->spec, sizeof a->spec) == 0;
}

// The slot that holds `key`, or the free one where it belongs. There is always a free one.
static struct vk_pipeline *slot_of(struct vk_pipeline_table *t, const struct vk_pipeline *key)
{
    size_t at = hash_of(key) & (t->slots - 1);
    while (t->items[at].handle && !same(&t->items[at], key))
        at = (at + 1) & (t->slots - 1);
    return &t->items[at];
}

static void grow(struct vk_pipeline_table *t)
{
    struct vk_pipeline_table bigger = {.slots = t->slots ? t->slots * 2 : 64, .count = t->count};
    bigger.items = MEM_ARRAY(struct vk_pipeline, bigger.slots);
    for (size_t i = 0; i < t->slots; i++)
        if (t->items[i].handle) *slot_of(&bigger, &t->items[i]) = t->items[i];
    mem_free(t->items);
    *t = bigger;
}

static bool create(struct vk_device *d, struct vk_pipeline *p)
{
    // Constant 0 is the workgroup size, the kernel's own follow.
    uint32_t values[9] = {p->local};
    VkSpecializationMapEntry entries[9];
    memcpy(values + 1, p->spec, p->spec_count * sizeof *p->spec);
    for (uint32_t i = 0; i <= p->spec_count; i++)
        entries[i] = (VkSpecializationMapEntry){i, i * sizeof *values, sizeof *values};
    VkSpecializationInfo spec = {.mapEntryCount = p->spec_count + 1,
                                 .pMapEntries = entries,
                                 .dataSize = (p->spec_count + 1) * sizeof *values,
                                 .pData = values};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = d->caps.subgroup_size};
    VkShaderModuleCreateInfo module_info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                            .codeSize = p->kernel->code_bytes,
                                            .pCode = p->kernel->code};
    // Matrix units want all lanes of their subgroup.
    bool whole = d->full_subgroups && p->local % d->caps.subgroup_size == 0;
    VkShaderModule module;
    VkResult r = vkCreateShaderModule(d->handle, &module_info, NULL, &module);
    if (r != VK_SUCCESS) return vk_fail(r, "vkCreateShaderModule");
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = d->pin_subgroup_size ? &subgroup : NULL,
                  .flags = whole ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &spec},
        .layout = d->layout,
        .flags = d->statistics ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0};
    r = vkCreateComputePipelines(d->handle, d->cache, 1, &info, NULL, &p->handle);
    vkDestroyShaderModule(d->handle, module, NULL);
    return r == VK_SUCCESS || vk_fail(r, "vkCreateComputePipelines");
}

static bool possible(const struct vk_device *device, const struct vk_pipeline *key)
{
    if (!key->kernel->code)
        return err_device(
            "kernel '%s' is not in this build: its shader compiler (glslc) was too old "
            "for it. Build with a newer one, or choose a tier that needs no such kernel",
            key->kernel->name);
    if (key->local > device->max_local)
        return err_device("kernel '%s' wants workgroups of %u, and device '%s' takes at most %u",
                          key->kernel->name, key->local, device->caps.name, device->max_local);
    return true;
}

VkPipeline vk_pipeline_get(struct vk_device *device, const struct vk_kernel *kernel,
                           const struct vk_launch *launch)
{
    struct vk_pipeline_table *t = &device->pipelines;
    struct vk_pipeline key = {
        .kernel = kernel, .local = vk_local_size(device, launch), .spec_count = launch->spec_count};
    CHECK(launch->spec_count <= 8);
    memcpy(key.spec, launch->spec, launch->spec_count * sizeof *key.spec);
    if ((t->count + 1) * 2 > t->slots) grow(t);
    struct vk_pipeline *slot = slot_of(t, &key);
    if (slot->handle) return slot->handle;
    bool ok = possible(device, &key) &&
              (create(device, &key) || err_context("kernel '%s'", kernel->name));
    if (device->compile) vk_pipeline_tell(device, &key);
    if (!ok) return VK_NULL_HANDLE;
    *slot = key;
    t->count++;
    device->pipelines_made++;
    log_debug("pipeline %s, workgroup %u", kernel->name, key.local);
    return key.handle;
}

void vk_pipelines_finish(struct vk_device *device)
{
    struct vk_pipeline_table *t = &device->pipelines;
    for (size_t i = 0; i < t->slots; i++)
        if (t->items[i].handle) vkDestroyPipeline(device->handle, t->items[i].handle, NULL);
    mem_free(t->items);
    *t = (struct vk_pipeline_table){0};
}
