// What a driver tells of a pipeline: the figures of VK_KHR_pipeline_executable_properties.
#include "base/array.h"
#include "base/mem.h"
#include "vk/compile.h"
#include "vk/internal.h"

#include <stdio.h>

struct figures {
    struct ARRAY_OF(struct vk_statistic) list;
    uint32_t subgroup_size;
};

static double value_of(const VkPipelineExecutableStatisticKHR *s)
{
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return s->value.b32 ? 1 : 0;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return (double)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        return (double)s->value.u64;
    default:
        return s->value.f64;
    }
}

// The figures of one executable are added to the list.
static void read_executable(VkDevice device, VkPipeline pipeline, uint32_t index,
                            struct figures *out)
{
    VkPipelineExecutableInfoKHR which = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                         .pipeline = pipeline,
                                         .executableIndex = index};
    uint32_t count = 0;
    VkResult r = vkGetPipelineExecutableStatisticsKHR(device, &which, &count, NULL);
    if (r != VK_SUCCESS || count == 0) return;
    VkPipelineExecutableStatisticKHR *list = MEM_ARRAY(VkPipelineExecutableStatisticKHR, count);
    for (uint32_t i = 0; i < count; i++)
        list[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    r = vkGetPipelineExecutableStatisticsKHR(device, &which, &count, list);
    for (uint32_t i = 0; r == VK_SUCCESS && i < count; i++) {
        struct vk_statistic s = {.value = value_of(&list[i])};
        snprintf(s.name, sizeof s.name, "%.63s", list[i].name);
        ARRAY_PUSH(&out->list, s);
    }
    mem_free(list);
}

static void read_figures(VkDevice device, VkPipeline pipeline, struct figures *out)
{
    VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
    uint32_t count = 0;
    VkResult r = vkGetPipelineExecutablePropertiesKHR(device, &info, &count, NULL);
    if (r != VK_SUCCESS || count == 0) return;
    VkPipelineExecutablePropertiesKHR *list = MEM_ARRAY(VkPipelineExecutablePropertiesKHR, count);
    for (uint32_t i = 0; i < count; i++)
        list[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
    r = vkGetPipelineExecutablePropertiesKHR(device, &info, &count, list);
    for (uint32_t i = 0; r == VK_SUCCESS && i < count; i++) {
        if (i == 0) out->subgroup_size = list[i].subgroupSize;
        read_executable(device, pipeline, i, out);
    }
    mem_free(list);
}

void vk_pipeline_tell(struct vk_device *device, const struct vk_pipeline *pipeline)
{
    struct figures figures = {0};
    if (pipeline->handle && device->statistics)
        read_figures(device->handle, pipeline->handle, &figures);
    struct vk_compiled compiled = {.kernel = pipeline->kernel,
                                   .local = pipeline->local,
                                   .spec_count = pipeline->spec_count,
                                   .subgroup_size = figures.subgroup_size,
                                   .statistics = figures.list.items,
                                   .statistic_count = figures.list.count,
                                   .error = pipeline->handle ? NULL : err_message()};
    for (uint32_t i = 0; i < pipeline->spec_count; i++)
        compiled.spec[i] = pipeline->spec[i];
    device->compile->report(device->compile->ctx, &compiled);
    ARRAY_FREE(&figures.list);
}
