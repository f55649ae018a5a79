// The Vulkan loader and the instance.
#include "base/log.h"
#include "base/system.h"
#include "vk/internal.h"

#include <stdio.h>
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

// ---- the validation layer ----

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

// What the layer has said, for the whole process, as is the loader. The layer calls from within our
// own calls, on our thread.
static struct {
    VkInstance instance; // that the messenger belongs to: the first of those alive
    VkDebugUtilsMessengerEXT messenger;
    unsigned messages;
    char first[1024];
} validation;

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT type,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data,
                                                 void *ctx)
{
    (void)severity;
    (void)type;
    (void)ctx;
    if (validation.messages++ == 0)
        snprintf(validation.first, sizeof validation.first, "%s", data->pMessage);
    log_warn("validation layer: %s", data->pMessage);
    return VK_FALSE;
}

static bool validation_wanted(void)
{
    const char *value = sys_env("TRDPO_VALIDATION");
    return value && *value && strcmp(value, "0") != 0;
}

bool vk_validation_installed(void)
{
    VkLayerProperties layers[64];
    uint32_t count = 64;
    if (volkInitialize() != VK_SUCCESS) return false;
    VkResult r = vkEnumerateInstanceLayerProperties(&count, layers);
    if (r != VK_SUCCESS && r != VK_INCOMPLETE) return false;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(layers[i].layerName, VALIDATION_LAYER) == 0) return true;
    return false;
}

bool vk_validation_ok(void)
{
    if (validation.messages == 0) return true;
    return err_device("the validation layer has %u messages, the first: %s", validation.messages,
                      validation.first);
}

void vk_validation_reset(void)
{
    validation.messages = 0;
}

// ---- the instance ----

static bool create(VkInstance *instance, bool validate, bool portable)
{
    // Portable implementations (over Metal, say) are listed only on request.
    const char *extensions[2], *layers[] = {VALIDATION_LAYER};
    uint32_t count = 0;
    if (portable) extensions[count++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    if (validate) extensions[count++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_message};
    VkValidationFeaturesEXT features = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .pNext = &messenger, // hears of creation and destruction of the instance itself
        .enabledValidationFeatureCount = 1,
        .pEnabledValidationFeatures = (const VkValidationFeatureEnableEXT[]){
            VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT}};
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = validate ? &features : NULL,
        .flags = portable ? VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0,
        .pApplicationInfo = &(VkApplicationInfo){.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                                 .pApplicationName = "trdpo-vk",
                                                 .apiVersion = VK_API_VERSION_1_3},
        .enabledLayerCount = validate ? 1 : 0,
        .ppEnabledLayerNames = layers,
        .enabledExtensionCount = count,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult r = vkCreateInstance(&info, NULL, instance);
    if (r == VK_ERROR_INCOMPATIBLE_DRIVER)
        return err_device("no Vulkan driver on this system: " INSTALL_HINT);
    if (r != VK_SUCCESS) return vk_fail(r, "vkCreateInstance");
    volkLoadInstance(*instance);
    if (!validate || validation.instance) return true;
    validation.instance = *instance;
    messenger.pNext = NULL;
    r = vkCreateDebugUtilsMessengerEXT(*instance, &messenger, NULL, &validation.messenger);
    return r == VK_SUCCESS || vk_fail(r, "vkCreateDebugUtilsMessengerEXT");
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

    bool validate = validation_wanted();
    if (validate && !vk_validation_installed())
        return err_device("TRDPO_VALIDATION is set, but the layer " VALIDATION_LAYER
                          " is not installed (Debian, Ubuntu: apt-get install "
                          "vulkan-validationlayers)");
    if (create(instance, validate, has_extension(VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)))
        return true;
    vk_instance_destroy(*instance);
    *instance = VK_NULL_HANDLE;
    return false;
}

void vk_instance_destroy(VkInstance instance)
{
    if (!instance) return;
    if (instance == validation.instance) {
        vkDestroyDebugUtilsMessengerEXT(instance, validation.messenger, NULL);
        validation.instance = VK_NULL_HANDLE;
        validation.messenger = VK_NULL_HANDLE;
    }
    vkDestroyInstance(instance, NULL);
}
