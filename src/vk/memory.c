// Blocks (one allocation each), the device's table of them, and arenas made of them.
#include "vk/memory.h"

#include "base/mem.h"
#include "base/str.h"
#include "vk/internal.h"

#include <string.h>

#define DEFAULT_SPAN_BYTES ((uint64_t)1 << 30)
// Where the addresses of a measuring arena begin: never a device's, and not 0.
#define MEASURE_BASE ((uint64_t)1 << 62)
// And those of a device that only compiles.
#define COMPILE_BASE ((uint64_t)1 << 40)

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

// ---- blocks ----

// Memory properties in order of preference; 0 ends the list.
static const VkMemoryPropertyFlags *preferences(const struct vk_device *d, enum vk_memory memory)
{
    enum {
        LOCAL = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
        MAPPED = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
        CACHED = VK_MEMORY_PROPERTY_HOST_CACHED_BIT
    };
    static const VkMemoryPropertyFlags mapped_device[] = {LOCAL | MAPPED | CACHED, LOCAL | MAPPED,
                                                          0};
    static const VkMemoryPropertyFlags device[] = {LOCAL, 0};
    static const VkMemoryPropertyFlags upload[] = {MAPPED, 0};
    static const VkMemoryPropertyFlags readback[] = {MAPPED | CACHED, MAPPED, 0};
    switch (memory) {
    case VK_MEMORY_UPLOAD:
        return upload;
    case VK_MEMORY_READBACK:
        return readback;
    default:
        return d->caps.host_visible ? mapped_device : device;
    }
}

// The memory type for a buffer, or -1. Types of the biggest heap come first: a small window onto
// device memory must not be used up by what does not need it.
static int choose_type(const struct vk_device *d, enum vk_memory memory, uint32_t allowed)
{
    for (const VkMemoryPropertyFlags *want = preferences(d, memory); *want; want++) {
        int best = -1;
        uint64_t best_bytes = 0;
        for (uint32_t i = 0; i < d->memory.memoryTypeCount; i++) {
            const VkMemoryType *type = &d->memory.memoryTypes[i];
            uint64_t bytes = d->memory.memoryHeaps[type->heapIndex].size;
            if ((allowed >> i & 1u) && (type->propertyFlags & *want) == *want &&
                bytes > best_bytes) {
                best = (int)i;
                best_bytes = bytes;
            }
        }
        if (best >= 0) return best;
    }
    return -1;
}

static bool out_of_memory(const struct vk_device *d, uint64_t bytes)
{
    char want[32], have[32];
    uint64_t unused = vk_memory_free(d->physical, d->memory_budget, NULL);
    return err_device("device '%s' has no room for %s more (%s of its memory are free): use a "
                      "smaller model or token budget, or close other programs that use the device",
                      d->caps.name, str_bytes(want, bytes), str_bytes(have, unused));
}

static bool create_buffer(struct vk_device *d, struct vk_block *b)
{
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = b->total + VK_ALIGN, // room to align the address
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
    };
    VkResult r = vkCreateBuffer(d->handle, &info, NULL, &b->buffer);
    return r == VK_SUCCESS || vk_fail(r, "vkCreateBuffer");
}

static bool allocate(struct vk_device *d, struct vk_block *b, enum vk_memory memory)
{
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(d->handle, b->buffer, &needs);
    int type = choose_type(d, memory, needs.memoryTypeBits);
    if (type < 0) return err_device("device '%s' has no memory of the needed kind", d->caps.name);
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .pNext = &flags,
                                 .allocationSize = needs.size,
                                 .memoryTypeIndex = (uint32_t)type};
    VkResult r = vkAllocateMemory(d->handle, &info, NULL, &b->memory);
    if (r == VK_ERROR_OUT_OF_DEVICE_MEMORY || r == VK_ERROR_OUT_OF_HOST_MEMORY)
        return out_of_memory(d, b->bytes);
    if (r != VK_SUCCESS) return vk_fail(r, "vkAllocateMemory");
    r = vkBindBufferMemory(d->handle, b->buffer, b->memory, 0);
    if (r != VK_SUCCESS) return vk_fail(r, "vkBindBufferMemory");
    VkBufferDeviceAddressInfo ask = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                     .buffer = b->buffer};
    vk_addr addr = vkGetBufferDeviceAddress(d->handle, &ask);
    b->addr = round_up(addr, VK_ALIGN);
    b->offset = b->addr - addr;
    if (memory == VK_MEMORY_DEVICE && !d->caps.host_visible) return true;
    void *mapping;
    r = vkMapMemory(d->handle, b->memory, 0, VK_WHOLE_SIZE, 0, &mapping);
    if (r != VK_SUCCESS) return vk_fail(r, "vkMapMemory");
    b->host = (uint8_t *)mapping + b->offset;
    return true;
}

// Position of the first block whose address is above `addr`.
static size_t first_above(const struct vk_device *d, vk_addr addr)
{
    size_t low = 0, high = d->blocks.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->blocks.items[middle]->addr <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void register_block(struct vk_device *d, struct vk_block *b)
{
    size_t at = first_above(d, b->addr);
    ARRAY_PUSH(&d->blocks, b);
    memmove(&d->blocks.items[at + 1], &d->blocks.items[at],
            (d->blocks.count - 1 - at) * sizeof *d->blocks.items);
    d->blocks.items[at] = b;
}

static void unregister_block(struct vk_device *d, const struct vk_block *b)
{
    size_t at = first_above(d, b->addr);
    if (at == 0 || d->blocks.items[at - 1] != b) return;
    memmove(&d->blocks.items[at - 1], &d->blocks.items[at],
            (d->blocks.count - at) * sizeof *d->blocks.items);
    d->blocks.count--;
}

static void free_block(struct vk_device *d, struct vk_block *b)
{
    vkDestroyBuffer(d->handle, b->buffer, NULL);
    vkFreeMemory(d->handle, b->memory, NULL); // unmaps too
    mem_free(b);
}

// A block without storage, behind all others.
static void place_block(struct vk_device *d, struct vk_block *b)
{
    const struct vk_block *last = d->blocks.count ? d->blocks.items[d->blocks.count - 1] : NULL;
    b->addr = last ? last->addr + last->total : COMPILE_BASE;
    register_block(d, b);
}

struct vk_block *vk_block_create(struct vk_device *device, enum vk_memory memory, uint64_t bytes,
                                 uint64_t extra, const char *what)
{
    struct vk_block *b = MEM_NEW(struct vk_block);
    b->bytes = round_up(bytes ? bytes : 1, VK_ALIGN);
    b->total = b->bytes + VK_PADDING + round_up(extra, VK_ALIGN);
    if (device->compile) {
        place_block(device, b);
        return b;
    }
    if (b->total + VK_ALIGN > device->caps.max_allocation_bytes) {
        char want[32], limit[32];
        err_device("device '%s' allocates at most %s at once, and %s are needed: use a smaller "
                   "model or token budget",
                   device->caps.name, str_bytes(limit, device->caps.max_allocation_bytes),
                   str_bytes(want, b->total + VK_ALIGN));
        goto fail;
    }
    if (!create_buffer(device, b) || !allocate(device, b, memory)) goto fail;
    register_block(device, b);
    if (b->host) {
        memset(b->host, 0, b->total);
    } else if (!vk_zero(device, b)) {
        unregister_block(device, b);
        goto fail;
    }
    return b;
fail:
    err_context("%s", what);
    free_block(device, b);
    return NULL;
}

void vk_block_destroy(struct vk_device *device, struct vk_block *block)
{
    if (!block) return;
    // Submissions in flight may still use it, even where they have failed.
    bool idle = vk_done(device, device->submitted) || vk_idle(device);
    unregister_block(device, block);
    if (idle)
        free_block(device, block);
    else
        mem_free(block);
}

struct vk_block *vk_block_find(const struct vk_device *device, vk_addr addr, uint64_t bytes)
{
    size_t at = first_above(device, addr);
    if (at == 0) return NULL;
    struct vk_block *b = device->blocks.items[at - 1];
    uint64_t offset = addr - b->addr;
    return offset <= b->bytes && bytes <= b->bytes - offset ? b : NULL;
}

bool vk_range_ok(const struct vk_device *device, vk_addr addr, uint64_t bytes)
{
    return vk_block_find(device, addr, bytes) != NULL;
}

void *vk_host(struct vk_device *device, vk_addr addr)
{
    struct vk_block *b = vk_block_find(device, addr, 0);
    return b && b->host ? b->host + (addr - b->addr) : NULL;
}

uint64_t vk_max_span_bytes(const struct vk_device *device)
{
    // Room for the padding, the alignment, and the table of 8192 spans.
    uint64_t most = device->caps.max_allocation_bytes, less = 2 * VK_PADDING + VK_ALIGN;
    return most > less ? most - less : 0;
}

// ---- arenas ----

// Writes the table of spans to `offset` in a block.
static bool fill_table(struct vk_arena *a, struct vk_block *block, uint64_t offset)
{
    uint64_t *addresses = MEM_ARRAY(uint64_t, a->span_count);
    for (uint32_t i = 0; i < a->span_count; i++)
        addresses[i] = a->spans[i].addr;
    a->table = block->addr + offset;
    bool ok =
        vk_write_block(a->device, block, offset, addresses, a->span_count * sizeof *addresses);
    mem_free(addresses);
    return ok;
}

// Whether an arena can be had at all, before anything is allocated: a CPU device promises more
// memory than there is, and the system ends the process that uses it.
static bool check_size(const struct vk_device *d, const struct vk_arena_params *params,
                       uint64_t spans, const char *what)
{
    bool ok = true;
    if (spans > VK_PADDING / sizeof(uint64_t))
        ok = err_device("more than %u spans", (unsigned)(VK_PADDING / sizeof(uint64_t)));
    else if (params->memory == VK_MEMORY_DEVICE && !d->compile &&
             params->bytes > vk_memory_free(d->physical, d->memory_budget, NULL))
        ok = out_of_memory(d, params->bytes);
    return ok || err_context("%s", what);
}

bool vk_arena_init(struct vk_arena *arena, struct vk_device *device,
                   const struct vk_arena_params *params)
{
    uint64_t span = params->span_bytes ? params->span_bytes : DEFAULT_SPAN_BYTES;
    CHECK((span & (span - 1)) == 0 && span >= VK_ALIGN);
    *arena = (struct vk_arena){
        .name = params->name, .device = device, .memory = params->memory, .span_bytes = span};
    if (!device) return true;
    uint64_t count = params->bytes / span + (params->bytes % span != 0);
    if (count == 0) count = 1;
    char size[32], *what = str_format("%s (%s)", params->name, str_bytes(size, params->bytes));
    bool ok = check_size(device, params, count, what);
    arena->spans = MEM_ARRAY(struct vk_span, ok ? count : 1);
    for (uint64_t i = 0; ok && i < count; i++) {
        uint64_t left = params->bytes - i * span, bytes = left < span ? left : span;
        uint64_t extra = i == 0 ? count * sizeof(uint64_t) : 0;
        struct vk_block *b = vk_block_create(device, params->memory, bytes, extra, what);
        ok = b != NULL;
        if (!ok) break;
        arena->spans[i] =
            (struct vk_span){.addr = b->addr, .bytes = b->bytes, .host = b->host, .block = b};
        arena->span_count++;
    }
    if (ok) {
        struct vk_block *first = arena->spans[0].block;
        ok = fill_table(arena, first, first->bytes + VK_PADDING);
    }
    mem_free(what);
    if (!ok) vk_arena_finish(arena);
    return ok;
}

bool vk_arena_init_within(struct vk_arena *arena, const struct vk_arena *of, uint32_t element,
                          uint32_t from, uint32_t bytes)
{
    uint64_t elements = of->used / element, span = of->span_bytes / element;
    CHECK(from + bytes <= element && of->used % element == 0);
    *arena = (struct vk_arena){.name = of->name,
                               .device = of->device,
                               .memory = of->memory,
                               .span_bytes = span * bytes,
                               .used = elements * bytes,
                               .peak = elements * bytes,
                               .span_count = of->span_count};
    arena->spans = MEM_ARRAY(struct vk_span, of->span_count);
    for (uint32_t i = 0; i < of->span_count; i++) {
        uint64_t left = elements - i * span, count = left < span ? left : span;
        const struct vk_span *s = &of->spans[i];
        arena->spans[i] = (struct vk_span){.addr = s->addr + count * from,
                                           .bytes = count * bytes,
                                           .host = s->host ? (char *)s->host + count * from : NULL};
    }
    uint64_t table = of->span_count * sizeof(uint64_t);
    arena->own_table = vk_block_create(of->device, VK_MEMORY_DEVICE, table, 0, "table of spans");
    bool ok = arena->own_table && fill_table(arena, arena->own_table, 0);
    if (!ok) vk_arena_finish(arena);
    return ok;
}

void vk_arena_finish(struct vk_arena *arena)
{
    for (uint32_t i = 0; i < arena->span_count; i++)
        if (arena->spans[i].block) vk_block_destroy(arena->device, arena->spans[i].block);
    if (arena->own_table) vk_block_destroy(arena->device, arena->own_table);
    mem_free(arena->spans);
    *arena = (struct vk_arena){0};
}

vk_addr vk_arena_place(struct vk_arena *arena, uint64_t at, uint64_t bytes)
{
    uint64_t offset = at % arena->span_bytes;
    CHECK(at % VK_ALIGN == 0 && bytes <= arena->span_bytes - offset);
    vk_addr addr = MEASURE_BASE + at;
    if (arena->device) {
        uint64_t index = at / arena->span_bytes;
        // The very end of an arena has an address too: nothing can be read there.
        if (index == arena->span_count && offset == 0 && bytes == 0) {
            index--;
            offset = arena->spans[index].bytes;
        }
        CHECK(index < arena->span_count);
        CHECK(offset <= arena->spans[index].bytes && bytes <= arena->spans[index].bytes - offset);
        addr = arena->spans[index].addr + offset;
    }
    if (at + bytes > arena->used) arena->used = at + bytes;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return addr;
}

vk_addr vk_arena_alloc(struct vk_arena *arena, uint64_t bytes)
{
    CHECK(bytes <= arena->span_bytes);
    uint64_t at = round_up(arena->used, VK_ALIGN), offset = at % arena->span_bytes;
    if (bytes > arena->span_bytes - offset) at += arena->span_bytes - offset;
    return vk_arena_place(arena, at, bytes);
}

uint64_t vk_arena_mark(const struct vk_arena *arena)
{
    return arena->used;
}

void vk_arena_release(struct vk_arena *arena, uint64_t mark)
{
    CHECK(mark <= arena->used);
    arena->used = mark;
}
