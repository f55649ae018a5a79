// The pipeline cache on disk: one file for each device and driver version in the user's cache
// folder. Nothing depends on it: a file that is missing, damaged or another's is as good as none,
// and one that cannot be written is only a debug message.
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "vk/internal.h"

#include <string.h>
#include <zlib.h>

#define FILE_LIMIT ((size_t)256 << 20)

// In front of the driver's data; drivers do not all check what they are given.
struct cache_header {
    char magic[8];
    uint8_t uuid[16];
    uint32_t vendor_id, device_id;
    uint32_t crc, reserved;
    uint64_t bytes; // of the data that follows
};
_Static_assert(sizeof(struct cache_header) == 48, "the header has no holes");

#define MAGIC "TRDPOPC1"

static struct cache_header header_for(const struct vk_device *d, const void *data, size_t bytes)
{
    struct cache_header h = {
        .vendor_id = d->caps.vendor_id, .device_id = d->caps.device_id, .bytes = bytes};
    memcpy(h.magic, MAGIC, sizeof h.magic);
    memcpy(h.uuid, d->caps.pipeline_cache_uuid, sizeof h.uuid);
    h.crc = (uint32_t)crc32_z(crc32(0, NULL, 0), data, bytes);
    return h;
}

char *vk_pipeline_cache_path(const struct vk_device *device)
{
    char *dir = file_cache_dir();
    if (!dir) return NULL;
    struct str name = {0};
    str_append(&name, "pipelines-");
    for (const char *c = device->caps.driver; *c; c++) {
        bool plain =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        str_append_char(&name, plain ? *c : '_');
    }
    str_appendf(&name, "-%04x-%04x-", device->caps.vendor_id, device->caps.device_id);
    for (size_t i = 0; i < sizeof device->caps.pipeline_cache_uuid; i++)
        str_appendf(&name, "%02x", device->caps.pipeline_cache_uuid[i]);
    str_append(&name, ".bin");
    char *path = file_join(dir, str_text(&name));
    str_finish(&name);
    mem_free(dir);
    return path;
}

// The driver's data of a good file, to be freed with mem_free(); NULL otherwise.
static uint8_t *read_file(const struct vk_device *d, size_t *bytes)
{
    char *path = vk_pipeline_cache_path(d);
    size_t len = 0;
    *bytes = 0;
    uint8_t *data = NULL;
    if (path && file_exists(path)) {
        data = (uint8_t *)file_read(path, FILE_LIMIT, &len);
        if (!data) err_clear(); // unreadable is as good as missing
    }
    if (data) {
        struct cache_header found, want;
        bool good = len > sizeof found;
        if (good) {
            memcpy(&found, data, sizeof found);
            want = header_for(d, data + sizeof found, len - sizeof found);
            good = memcmp(&found, &want, sizeof found) == 0;
        }
        if (good) {
            *bytes = len - sizeof found;
            memmove(data, data + sizeof found, *bytes);
        } else {
            log_debug("%s: damaged or of another version, ignored", path);
            mem_free(data);
            data = NULL;
        }
    }
    mem_free(path);
    return data;
}

bool vk_pipeline_cache_open(struct vk_device *device)
{
    size_t bytes;
    uint8_t *data = read_file(device, &bytes);
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = bytes,
                                      .pInitialData = data};
    VkResult r = vkCreatePipelineCache(device->handle, &info, NULL, &device->cache);
    if (r != VK_SUCCESS && data) {
        // Refused by the driver: begin anew.
        bytes = 0;
        info.initialDataSize = 0;
        info.pInitialData = NULL;
        r = vkCreatePipelineCache(device->handle, &info, NULL, &device->cache);
    }
    mem_free(data);
    device->cache_bytes_read = bytes;
    return r == VK_SUCCESS || vk_fail(r, "vkCreatePipelineCache");
}

bool vk_pipeline_cache_was_read(const struct vk_device *device)
{
    return device->cache_bytes_read > 0;
}

static bool write_file(const struct vk_device *d, const char *path, const void *data, size_t bytes)
{
    struct cache_header h = header_for(d, data, bytes);
    struct file_writer w;
    if (!file_create(&w, path)) return false;
    file_write(&w, &h, sizeof h);
    file_write(&w, data, bytes);
    return file_commit(&w);
}

static void save(const struct vk_device *d)
{
    size_t bytes = 0;
    char *path = vk_pipeline_cache_path(d);
    if (path && vkGetPipelineCacheData(d->handle, d->cache, &bytes, NULL) == VK_SUCCESS &&
        bytes > d->cache_bytes_read && bytes < FILE_LIMIT) {
        void *data = mem_calloc(bytes, 1);
        if (vkGetPipelineCacheData(d->handle, d->cache, &bytes, data) == VK_SUCCESS &&
            !write_file(d, path, data, bytes)) {
            log_debug("pipeline cache: %s", err_message());
            err_clear();
        }
        mem_free(data);
    }
    mem_free(path);
}

void vk_pipeline_cache_close(struct vk_device *device)
{
    if (!device->cache) return;
    // Not while an error is on its way up: a failure to write would take its place.
    if (device->pipelines_made && !device->lost && err_current() == ERR_NONE) save(device);
    vkDestroyPipelineCache(device->handle, device->cache, NULL);
    device->cache = VK_NULL_HANDLE;
}
