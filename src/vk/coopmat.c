// Matrix units: the sizes that a device multiplies (VK_KHR_cooperative_matrix), where this build
// has kernels for them. Without those the extension is not asked about at all, since older headers
// and validation layers do not know it.
#include "base/mem.h"
#include "vk/internal.h"

#include <stdlib.h>

#if defined(TRDPO_GLSLC_COOPMAT) && defined(VK_KHR_cooperative_matrix)

// Not in every header that has cooperative matrices.
#define STRUCTURE_BFLOAT16_FEATURES ((VkStructureType)1000141000)
#define EXTENSION_BFLOAT16 "VK_KHR_shader_bfloat16"

#ifdef TRDPO_GLSLC_BFLOAT16
static const bool has_bf16_kernels = true;
#else
static const bool has_bf16_kernels = false;
#endif

static int log2_of(uint32_t value)
{
    int n = 0;
    while (value >>= 1)
        n++;
    return n;
}

static bool is_power_of_two(uint32_t value)
{
    return value && (value & (value - 1)) == 0;
}

// Sizes that the kernels can make their tiles of.
static bool fits(const VkCooperativeMatrixPropertiesKHR *p)
{
    return p->scope == VK_SCOPE_SUBGROUP_KHR && p->AType == p->BType &&
           p->CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
           p->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && !p->saturatingAccumulation &&
           is_power_of_two(p->MSize) && p->MSize >= 8 && p->MSize <= 32 &&
           is_power_of_two(p->NSize) && p->NSize >= 8 && p->NSize <= 32 &&
           is_power_of_two(p->KSize) && p->KSize >= 8 && p->KSize <= 32;
}

// Of several sizes the one nearest to 16 x 16 x 16, which drivers know best.
static struct vk_matrix_size choose(const VkCooperativeMatrixPropertiesKHR *list, uint32_t count,
                                    VkComponentTypeKHR type)
{
    struct vk_matrix_size best = {0};
    int least = 0;
    for (uint32_t i = 0; i < count; i++) {
        const VkCooperativeMatrixPropertiesKHR *p = &list[i];
        if (p->AType != type || !fits(p)) continue;
        int distance =
            abs(log2_of(p->MSize) - 4) + abs(log2_of(p->NSize) - 4) + abs(log2_of(p->KSize) - 4);
        if (best.m && distance >= least) continue;
        best = (struct vk_matrix_size){p->MSize, p->NSize, p->KSize};
        least = distance;
    }
    return best;
}

void vk_coopmat_query(VkInstance instance, VkPhysicalDevice handle, struct vk_caps *caps)
{
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)vkGetInstanceProcAddr(
            instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    VkPhysicalDeviceVulkan12Features has12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR has = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .pNext = &has12};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &has};
    struct vk_bfloat16_features bfloat16 = {.sType = STRUCTURE_BFLOAT16_FEATURES};
    uint32_t count = 0;
    // The compiler of Mesa 26's CPU device crashes on matrices in subgroups of 16: it has them in
    // those of 8 (LP_NATIVE_VECTOR_WIDTH=256).
    if (caps->kind == VK_KIND_CPU && caps->subgroup_size > 8) return;
    if (!get || !caps->coopmat || !caps->fp16 || caps->api_version < VK_API_VERSION_1_3) return;
    if (caps->bf16) has12.pNext = &bfloat16;
    vkGetPhysicalDeviceFeatures2(handle, &features);
    if (!has.cooperativeMatrix || !has12.vulkanMemoryModel || !has12.vulkanMemoryModelDeviceScope)
        return;
    if (get(handle, &count, NULL) != VK_SUCCESS || count == 0) return;
    VkCooperativeMatrixPropertiesKHR *list = MEM_ARRAY(VkCooperativeMatrixPropertiesKHR, count);
    for (uint32_t i = 0; i < count; i++)
        list[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    VkResult r = get(handle, &count, list);
    if (r == VK_SUCCESS || r == VK_INCOMPLETE) {
        caps->coopmat_fp16 = choose(list, count, VK_COMPONENT_TYPE_FLOAT16_KHR);
        if (has_bf16_kernels && bfloat16.type && bfloat16.cooperative_matrix)
            caps->coopmat_bf16 = choose(list, count, COMPONENT_BF16);
    }
    if (caps->coopmat_fp16.m || caps->coopmat_bf16.m) caps->tiers |= VK_TIER_COOPMAT;
    mem_free(list);
}

uint32_t vk_coopmat_enable(const struct vk_caps *caps, struct vk_coopmat_features *features,
                           void **next, const char *names[VK_COOPMAT_EXTENSIONS])
{
    uint32_t count = 0;
    if (!(caps->tiers & VK_TIER_COOPMAT)) return 0;
    features->coopmat = (VkPhysicalDeviceCooperativeMatrixFeaturesKHR){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .pNext = *next,
        .cooperativeMatrix = VK_TRUE};
    *next = &features->coopmat;
    names[count++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
    if (!caps->coopmat_bf16.m) return count;
    features->bfloat16 = (struct vk_bfloat16_features){.sType = STRUCTURE_BFLOAT16_FEATURES,
                                                       .pNext = *next,
                                                       .type = VK_TRUE,
                                                       .cooperative_matrix = VK_TRUE};
    *next = &features->bfloat16;
    names[count++] = EXTENSION_BFLOAT16;
    return count;
}

#else

void vk_coopmat_query(VkInstance instance, VkPhysicalDevice handle, struct vk_caps *caps)
{
    (void)instance;
    (void)handle;
    (void)caps;
}

uint32_t vk_coopmat_enable(const struct vk_caps *caps, struct vk_coopmat_features *features,
                           void **next, const char *names[VK_COOPMAT_EXTENSIONS])
{
    (void)caps;
    (void)features;
    (void)next;
    (void)names;
    return 0;
}

#endif
