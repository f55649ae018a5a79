// Device memory in arenas. Everything on the device is named by its address (vk_addr); the device
// keeps a table of live spans, so an address alone can be checked, read and written.
#ifndef TRDPO_VK_MEMORY_H
#define TRDPO_VK_MEMORY_H

#include "vk/device.h"

typedef uint64_t vk_addr; // buffer device address; 0 is none

enum vk_memory {
    VK_MEMORY_DEVICE,   // fastest for the device
    VK_MEMORY_UPLOAD,   // mapped, written by the host
    VK_MEMORY_READBACK, // mapped and cached, read by the host
};

// An arena is one or more spans (buffers) of at most `span_bytes`, each followed by 64 KiB of
// padding since some drivers load past the end of a masked loop. Allocation only moves a mark.
struct vk_span {
    vk_addr addr;
    uint64_t bytes;         // without padding
    void *host;             // mapping or NULL
    struct vk_block *block; // the layer's own
};
struct vk_arena {
    const char *name;
    struct vk_device *device; // NULL: the arena only measures
    enum vk_memory memory;
    uint64_t span_bytes; // a power of two
    uint64_t used;       // mark: span index * span_bytes + offset
    uint64_t peak;
    uint32_t span_count;
    struct vk_span *spans;
    vk_addr table;              // device buffer of span_count addresses (span 0 first)
    struct vk_block *own_table; // of an arena within another: where its table stands
};

struct vk_arena_params {
    const char *name;    // for messages and the memory plan; must outlive the arena
    uint64_t bytes;      // capacity; ends of spans that nothing fits into count too
    uint64_t span_bytes; // 0: 1 GiB; a power of two. The last span may be shorter
    enum vk_memory memory;
};

// Creates the spans (zeroed). err_device naming the arena and its size when memory runs out.
// With `device` NULL the arena measures: allocations return fake addresses and count up `peak`, so
// that the same layout code first sizes an arena and then fills it. Measuring arenas do not run
// out.
bool vk_arena_init(struct vk_arena *arena, struct vk_device *device,
                   const struct vk_arena_params *params);
void vk_arena_finish(struct vk_arena *arena); // accepts a zeroed arena

// An arena in the memory of another, which is full and outlives it, with a table of its own. Of
// each span of n elements of `element` bytes it takes the n `bytes` that begin n * `from` bytes
// after the span: (4, 0, 2) is the first half of an arena of floats, (4, 2, 2) the second.
bool vk_arena_init_within(struct vk_arena *arena, const struct vk_arena *of, uint32_t element,
                          uint32_t from, uint32_t bytes);

// Next `bytes`, aligned to 1024, within one span. The plan sized the arena, so running out is a
// programmer's error (CHECK), as is a request larger than a span.
vk_addr vk_arena_alloc(struct vk_arena *arena, uint64_t bytes);

// The address of `bytes` at a position that a plan has chosen (lifetime.h): spans end to end, a
// multiple of VK_ARENA_ALIGN, within one span. What vk_arena_alloc() gives afterwards lies behind.
#define VK_ARENA_ALIGN 1024u
vk_addr vk_arena_place(struct vk_arena *arena, uint64_t at, uint64_t bytes);

// Mark and release for stack-like reuse of scratch.
uint64_t vk_arena_mark(const struct vk_arena *arena);
void vk_arena_release(struct vk_arena *arena, uint64_t mark);

// Host pointer of a mapped address, or NULL.
void *vk_host(struct vk_device *device, vk_addr addr);

// The largest span that one allocation of this device can hold with its padding.
uint64_t vk_max_span_bytes(const struct vk_device *device);

// Bytes of device memory that this process has in use now, the driver's own included, as
// VK_EXT_memory_budget tells; on a CPU device, whose memory is the host's, the most that the
// process has had resident. 0: unknown.
uint64_t vk_memory_in_use(const struct vk_device *device);

// True if [addr, addr + bytes) lies in one live span (padding excluded).
bool vk_range_ok(const struct vk_device *device, vk_addr addr, uint64_t bytes);

// Blocking copies, through staging where memory is not mapped; in queue order with submissions
// before them. For set-up and results, not inside a step.
bool vk_write(struct vk_device *device, vk_addr dst, const void *src, uint64_t bytes);
bool vk_read(struct vk_device *device, vk_addr src, void *dst, uint64_t bytes);

// Queues a copy of host bytes to the device, in order with submissions before and after it, without
// waiting for the device (the bytes are copied to a ring of staging memory first). At most 16 MiB
// a call; waits only when the ring is full. For the inputs of a step.
bool vk_upload(struct vk_device *device, vk_addr dst, const void *src, uint64_t bytes);

#endif
