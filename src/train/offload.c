#include "train/offload.h"

#include "base/mem.h"
#include "ops/rows.h"

static void record_clear(struct vk_seq *s, void *ctx)
{
    const struct train_offloaded *o = ctx;
    const struct vk_arena *arena = &o->arena->arena;
    vk_group_begin(s);
    for (uint32_t i = 0; i < arena->span_count; i++)
        op_fill(s, arena->spans[i].addr, 0, arena->spans[i].bytes / sizeof(float));
    vk_group_end(s);
}

bool train_offload_init(struct train_offloaded *o, struct model_weights *gradient,
                        enum model_storage storage)
{
    *o = (struct train_offloaded){.arena = gradient};
    if (!model_weights_init_within(&o->visitor, gradient, storage)) return false;
    o->home = mem_calloc(gradient->layout->elements, sizeof(float));
    o->clear = vk_seq_create(gradient->arena.device, "gradient cleared", record_clear, o);
    return true;
}

void train_offload_finish(struct train_offloaded *o)
{
    vk_seq_destroy(o->clear);
    mem_free(o->home);
    model_weights_finish(&o->visitor);
    *o = (struct train_offloaded){0};
}

// Copies the whole arena, span by span, to or from host memory.
static bool copy_all(struct train_offloaded *o, bool to_device)
{
    const struct vk_arena *arena = &o->arena->arena;
    uint64_t left = o->arena->layout->elements * sizeof(float);
    char *host = (char *)o->home;
    bool ok = true;
    for (uint32_t i = 0; ok && left; i++) {
        uint64_t bytes = arena->spans[i].bytes < left ? arena->spans[i].bytes : left;
        ok = to_device ? vk_write(arena->device, arena->spans[i].addr, host, bytes)
                       : vk_read(arena->device, arena->spans[i].addr, host, bytes);
        host += bytes;
        left -= bytes;
    }
    return ok;
}

bool train_offload_bring(struct train_offloaded *o)
{
    if (o->here) return true;
    o->here = copy_all(o, true);
    return o->here;
}

bool train_offload_keep(struct train_offloaded *o)
{
    o->here = true;
    return copy_all(o, false);
}

bool train_offload_leave(struct train_offloaded *o)
{
    if (!o->here) return true;
    o->here = false;
    return vk_seq_submit(o->clear);
}
