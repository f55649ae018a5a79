// The Vulkan loader and the instance.
#include "base/system.h"
#include "vk/internal.h"

#include <string.h>

const char *vk_result_name(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return "out of host memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return "out of device memory";
    case VK_ERROR_DEVICE_LOST:
        return "the device was lost (reset by its driver)";
    case VK_ERROR_INITIALIZATION_FAILED:
        return "initialisation failed";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
        return "no Vulkan driver found";
    case VK_ERROR_LAYER_NOT_PRESENT:
        return "a layer is not installed (see VK_INSTANCE_LAYERS)";
    case VK_ERROR_EXTENSION_NOT_PRESENT:
        return "an extension is not there";
    case VK_ERROR_FEATURE_NOT_PRESENT:
        return "a feature is not there";
    case VK_ERROR_TOO_MANY_OBJECTS:
        return "too many objects";
    case VK_ERROR_INVALID_SHADER_NV:
        return "invalid shader";
    case VK_TIMEOUT:
        return "timed out";
    default:
        return NULL;
    }
}

bool vk_fail(VkResult result, const char *what)
{
    const char *name = vk_result_name(result);
    if (name) return err_device("%s failed: %s", what, name);
    return err_device("%s failed: VkResult %d", what, (int)result);
}

#define INSTALL_HINT                                                                               \
    "install a loader and a driver (Debian, Ubuntu: apt-get install libvulkan1 "                   \
    "mesa-vulkan-drivers; NVIDIA: its own driver package)"

static bool has_extension(const char *name)
{
    VkExtensionProperties found[256];
    uint32_t count = 256;
    VkResult r = vkEnumerateInstanceExtensionProperties(NULL, &count, found);
    if (r != VK_SUCCESS && r != VK_INCOMPLETE) return false;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(found[i].extensionName, name) == 0) return true;
    return false;
}

bool vk_instance_create(VkInstance *instance)
{
    *instance = VK_NULL_HANDLE;
    // lavapipe reads its lane width when the instance is created.
    if (sys_cpu_has_avx512()) sys_env_default("LP_NATIVE_VECTOR_WIDTH", "512");

    if (volkInitialize() != VK_SUCCESS)
        return err_device("no Vulkan loader (libvulkan.so.1) on this system: " INSTALL_HINT);
    uint32_t version = volkGetInstanceVersion();
    if (version < VK_API_VERSION_1_3)
        return err_device("the Vulkan loader is version %u.%u, and 1.3 is needed: install a newer "
                          "libvulkan1",
                          VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));

    // Portable implementations (over Metal, say) are listed only on request.
    const char *extensions[] = {VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME};
    bool portable = has_extension(extensions[0]);
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .flags = portable ? VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0,
        .pApplicationInfo = &(VkApplicationInfo){.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                                 .pApplicationName = "trdpo-vk",
                                                 .apiVersion = VK_API_VERSION_1_3},
        .enabledExtensionCount = portable ? 1 : 0,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult r = vkCreateInstance(&info, NULL, instance);
    if (r == VK_ERROR_INCOMPATIBLE_DRIVER)
        return err_device("no Vulkan driver on this system: " INSTALL_HINT);
    if (r != VK_SUCCESS) return vk_fail(r, "vkCreateInstance");
    volkLoadInstance(*instance);
    return true;
}
