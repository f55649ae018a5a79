// Copies between the host and the device.
//
// Mapped memory is read and written in place, once everything in flight is done. Memory that is not
// mapped is written through a ring of staging memory, without waiting: bytes go into the ring, a
// copy is queued, and the ring's bytes are free again when the copy's ticket is done. It is read
// through one readback block, waiting for each piece. vk_upload() uses the ring for mapped memory
// too, since work in flight may still read what stood there before.
#include "base/mem.h"
#include "base/system.h"
#include "vk/internal.h"

#include <string.h>

#define UPLOAD_LIMIT ((uint64_t)16 << 20)
// Twice the largest upload: one that does not fit before the ring's end starts over at its begin.
#define RING_BYTES (2 * UPLOAD_LIMIT)
#define READBACK_BYTES ((uint64_t)8 << 20)
#define RING_ALIGN 64u
#define UPDATE_LIMIT 65536u // of vkCmdUpdateBuffer

static void forget_done_uses(struct vk_device *d)
{
    struct vk_staging *st = &d->staging;
    while (st->first_use < st->uses.count && vk_done(d, st->uses.items[st->first_use].ticket))
        st->first_use++;
    if (st->first_use == st->uses.count) st->first_use = st->uses.count = 0;
}

// Moves the uses that are still in flight to the front, so that the list stays short.
static void compact_uses(struct vk_staging *st)
{
    if (st->first_use < 64) return;
    size_t left = st->uses.count - st->first_use;
    memmove(st->uses.items, st->uses.items + st->first_use, left * sizeof *st->uses.items);
    st->uses.count = left;
    st->first_use = 0;
}

// Takes `bytes` from the ring, waiting only if it is full. NULL if the wait failed.
static uint8_t *take(struct vk_device *d, uint64_t bytes, uint64_t *offset)
{
    struct vk_staging *st = &d->staging;
    uint64_t rounded = (bytes + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN;
    uint64_t at = st->head % RING_BYTES;
    uint64_t skipped = at + rounded > RING_BYTES ? RING_BYTES - at : 0;
    uint64_t end = st->head + skipped + rounded;
    forget_done_uses(d);
    compact_uses(st);
    // Everything up to `end - RING_BYTES` must be free.
    while (st->first_use < st->uses.count) {
        struct vk_staging_use *use = &st->uses.items[st->first_use];
        if (use->begin + RING_BYTES >= end) break;
        if (!vk_wait(d, use->ticket)) return NULL;
        st->first_use++;
    }
    *offset = (st->head + skipped) % RING_BYTES;
    st->head = end;
    return st->ring->host + *offset;
}

bool vk_upload(struct vk_device *device, vk_addr dst, const void *src, uint64_t bytes)
{
    struct vk_staging *st = &device->staging;
    struct vk_block *block = vk_block_find(device, dst, bytes);
    CHECK(bytes <= UPLOAD_LIMIT);
    CHECK(block);
    if (bytes == 0 || device->compile) return true;
    if (!st->ring) {
        st->ring = vk_block_create(device, VK_MEMORY_UPLOAD, RING_BYTES, 0, "the staging ring");
        if (!st->ring) return false;
    }
    uint64_t begin = st->head, offset;
    uint8_t *staged = take(device, bytes, &offset);
    if (!staged) return false;
    double since = sys_seconds();
    memcpy(staged, src, bytes);
    VkCommandBuffer commands = vk_transient_begin(device);
    if (!commands) return false;
    VkBufferCopy copy = {.srcOffset = st->ring->offset + offset,
                         .dstOffset = block->offset + (dst - block->addr),
                         .size = bytes};
    vkCmdCopyBuffer(commands, st->ring->buffer, block->buffer, 1, &copy);
    if (!vk_transient_submit(device, commands, "an upload")) return false;
    ARRAY_PUSH(&st->uses, (struct vk_staging_use){begin, vk_ticket(device)});
    vk_profile_host(device, "queueing uploads", since);
    return true;
}

bool vk_write(struct vk_device *device, vk_addr dst, const void *src, uint64_t bytes)
{
    struct vk_block *block = vk_block_find(device, dst, bytes);
    CHECK(block);
    if (device->compile) return true;
    if (block->host) {
        if (!vk_wait_all(device)) return false;
        if (bytes) memcpy(block->host + (dst - block->addr), src, bytes);
        return true;
    }
    for (uint64_t at = 0; at < bytes;) {
        uint64_t part = bytes - at < UPLOAD_LIMIT / 2 ? bytes - at : UPLOAD_LIMIT / 2;
        if (!vk_upload(device, dst + at, (const uint8_t *)src + at, part)) return false;
        at += part;
    }
    return true;
}

bool vk_read(struct vk_device *device, vk_addr src, void *dst, uint64_t bytes)
{
    struct vk_staging *st = &device->staging;
    struct vk_block *block = vk_block_find(device, src, bytes);
    CHECK(block);
    if (device->compile) {
        if (bytes) memset(dst, 0, bytes);
        return true;
    }
    if (block->host) {
        if (!vk_wait_all(device)) return false;
        if (bytes) memcpy(dst, block->host + (src - block->addr), bytes);
        return true;
    }
    if (!st->readback) {
        st->readback =
            vk_block_create(device, VK_MEMORY_READBACK, READBACK_BYTES, 0, "the readback buffer");
        if (!st->readback) return false;
    }
    for (uint64_t at = 0; at < bytes;) {
        uint64_t part = bytes - at < READBACK_BYTES ? bytes - at : READBACK_BYTES;
        VkCommandBuffer commands = vk_transient_begin(device);
        if (!commands) return false;
        VkBufferCopy copy = {.srcOffset = block->offset + (src - block->addr) + at,
                             .dstOffset = st->readback->offset,
                             .size = part};
        vkCmdCopyBuffer(commands, block->buffer, st->readback->buffer, 1, &copy);
        if (!vk_transient_submit(device, commands, "a download") || !vk_wait_all(device))
            return false;
        memcpy((uint8_t *)dst + at, st->readback->host, part);
        at += part;
    }
    return true;
}

bool vk_zero(struct vk_device *device, struct vk_block *block)
{
    VkCommandBuffer commands = vk_transient_begin(device);
    if (!commands) return false;
    vkCmdFillBuffer(commands, block->buffer, block->offset, block->total, 0);
    return vk_transient_submit(device, commands, "zeroing memory");
}

bool vk_write_block(struct vk_device *device, struct vk_block *block, uint64_t offset,
                    const void *src, uint64_t bytes)
{
    CHECK(bytes <= UPDATE_LIMIT && bytes % 4 == 0 && offset + bytes <= block->total);
    if (device->compile) return true;
    if (block->host) {
        memcpy(block->host + offset, src, bytes);
        return true;
    }
    VkCommandBuffer commands = vk_transient_begin(device);
    if (!commands) return false;
    vkCmdUpdateBuffer(commands, block->buffer, block->offset + offset, bytes, src);
    return vk_transient_submit(device, commands, "writing a span table");
}

void vk_staging_finish(struct vk_device *device)
{
    struct vk_staging *st = &device->staging;
    vk_block_destroy(device, st->ring);
    vk_block_destroy(device, st->readback);
    ARRAY_FREE(&st->uses);
    *st = (struct vk_staging){0};
}
