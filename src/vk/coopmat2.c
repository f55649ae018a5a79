// Matrices of free sizes (VK_NV_cooperative_matrix2), where this build has kernels for them: of a
// subgroup, or of a whole workgroup, which not every device has.
#include "base/mem.h"
#include "vk/internal.h"

#if defined(TRDPO_GLSLC_COOPMAT2) && defined(VK_NV_cooperative_matrix2)

static bool fits(const VkCooperativeMatrixFlexibleDimensionsPropertiesNV *p,
                 VkComponentTypeKHR type)
{
    return p->AType == type && p->BType == type && p->CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
           p->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && !p->saturatingAccumulation;
}

// The grains of a type: the workgroups' first.
static void list_grains(const VkCooperativeMatrixFlexibleDimensionsPropertiesNV *list,
                        uint32_t count, VkComponentTypeKHR type, bool workgroups,
                        struct vk_matrix_grain grains[VK_MATRIX_GRAINS])
{
    uint32_t n = 0;
    for (int turn = workgroups ? 0 : 1; turn < 2; turn++) {
        VkScopeKHR scope = turn == 0 ? VK_SCOPE_WORKGROUP_KHR : VK_SCOPE_SUBGROUP_KHR;
        for (uint32_t i = 0; i < count && n < VK_MATRIX_GRAINS; i++) {
            const VkCooperativeMatrixFlexibleDimensionsPropertiesNV *p = &list[i];
            if (p->scope != scope || !fits(p, type)) continue;
            grains[n++] = (struct vk_matrix_grain){p->MGranularity, p->NGranularity,
                                                   p->KGranularity, p->workgroupInvocations};
        }
    }
}

void vk_coopmat2_query(VkInstance instance, VkPhysicalDevice handle, struct vk_caps *caps)
{
    PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV)
            vkGetInstanceProcAddr(
                instance, "vkGetPhysicalDeviceCooperativeMatrixFlexibleDimensionsPropertiesNV");
    VkPhysicalDeviceCooperativeMatrix2FeaturesNV has = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &has};
    VkPhysicalDeviceCooperativeMatrix2PropertiesNV limits = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_PROPERTIES_NV};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &limits};
    uint32_t count = 0;
    if (!get || !caps->coopmat2 || !(caps->tiers & VK_TIER_COOPMAT)) return;
    vkGetPhysicalDeviceFeatures2(handle, &features);
    if (!has.cooperativeMatrixFlexibleDimensions || !has.cooperativeMatrixPerElementOperations)
        return;
    vkGetPhysicalDeviceProperties2(handle, &properties);
    if (get(handle, &count, NULL) != VK_SUCCESS || count == 0) return;
    VkCooperativeMatrixFlexibleDimensionsPropertiesNV *list =
        MEM_ARRAY(VkCooperativeMatrixFlexibleDimensionsPropertiesNV, count);
    for (uint32_t i = 0; i < count; i++)
        list[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_FLEXIBLE_DIMENSIONS_PROPERTIES_NV;
    VkResult r = get(handle, &count, list);
    if (r == VK_SUCCESS || r == VK_INCOMPLETE) {
        bool workgroups = has.cooperativeMatrixWorkgroupScope;
        if (caps->coopmat_fp16.m)
            list_grains(list, count, VK_COMPONENT_TYPE_FLOAT16_KHR, workgroups, caps->grains_fp16);
        if (caps->coopmat_bf16.m)
            list_grains(list, count, COMPONENT_BF16, workgroups, caps->grains_bf16);
    }
    mem_free(list);
    caps->matrix_most = limits.cooperativeMatrixFlexibleDimensionsMaxDimension;
    caps->matrix_shared_bytes = limits.cooperativeMatrixWorkgroupScopeReservedSharedMemory;
    if (caps->grains_fp16[0].m || caps->grains_bf16[0].m) caps->tiers |= VK_TIER_COOPMAT2;
}

const char *vk_coopmat2_enable(const struct vk_caps *caps, struct vk_coopmat2_features *features,
                               void **next)
{
    if (!(caps->tiers & VK_TIER_COOPMAT2)) return NULL;
    bool workgroups = caps->grains_fp16[0].lanes || caps->grains_bf16[0].lanes;
    features->coopmat2 = (VkPhysicalDeviceCooperativeMatrix2FeaturesNV){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV,
        .pNext = *next,
        .cooperativeMatrixWorkgroupScope = workgroups,
        .cooperativeMatrixFlexibleDimensions = VK_TRUE,
        .cooperativeMatrixPerElementOperations = VK_TRUE};
    *next = &features->coopmat2;
    return VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME;
}

#else

void vk_coopmat2_query(VkInstance instance, VkPhysicalDevice handle, struct vk_caps *caps)
{
    (void)instance;
    (void)handle;
    (void)caps;
}

const char *vk_coopmat2_enable(const struct vk_caps *caps, struct vk_coopmat2_features *features,
                               void **next)
{
    (void)caps;
    (void)features;
    (void)next;
    return NULL;
}

#endif
