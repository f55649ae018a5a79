// Sequences: recorded into pieces, one submission each.
//
// A piece ends where its estimated time would pass the budget. After a run its timestamps say how
// long the piece really took; every command of the piece is then corrected by the same factor, and
// if the cuts turn out far from the budget the sequence is recorded again with the corrected
// estimates. Cuts change nothing but the boundaries of submissions, so they do not change results.
//
// Timestamps stand in query pools that belong to the pieces, so a run's must be read before the
// next run begins. The first few runs are waited for, to learn from them; later ones are read only
// if they happen to be done, and every 64th is waited for. --profile does not read them here.
#include "vk/sequence.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"
#include "vk/internal.h"

#include <string.h>

#define RUNS_WAITED_FOR 3
#define RUNS_BETWEEN_WAITS 64
#define MOST_RECORDINGS 12    // then the cuts stay as they are
#define PROFILED_COMMANDS 254 // of a piece, under --profile
#define DISPATCH_STAGE VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT
#define COPY_STAGE VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT

struct vk_seq *vk_seq_create(struct vk_device *device, const char *name, vk_record_fn record,
                             void *ctx)
{
    struct vk_seq *s = MEM_NEW(struct vk_seq);
    s->device = device;
    s->name = name;
    s->record = record;
    s->ctx = ctx;
    s->harvested = true;
    ARRAY_PUSH(&device->sequences, s);
    return s;
}

void vk_seq_destroy(struct vk_seq *s)
{
    if (!s) return;
    struct vk_device *d = s->device;
    if (vk_done(d, s->ticket) || vk_idle(d)) {
        vk_seq_harvest(s);
        vk_profile_collect(d);
        for (size_t i = 0; i < s->pieces.count; i++) {
            vkFreeCommandBuffers(d->handle, d->pool, 1, &s->pieces.items[i].commands);
            vkDestroyQueryPool(d->handle, s->pieces.items[i].stamps, NULL);
        }
    }
    vk_profile_forget(d, s);
    for (size_t i = 0; i < d->sequences.count; i++)
        if (d->sequences.items[i] == s)
            d->sequences.items[i] = d->sequences.items[--d->sequences.count];
    ARRAY_FREE(&s->commands);
    ARRAY_FREE(&s->pieces);
    mem_free(s->correction);
    mem_free(s);
}

struct vk_device *vk_seq_device(struct vk_seq *s)
{
    return s->device;
}

void vk_seq_use_scratch(struct vk_seq *s, vk_addr scratch, uint64_t bytes)
{
    CHECK(s->recording);
    CHECK(bytes == 0 || vk_range_ok(s->device, scratch, bytes));
    s->scratch = scratch;
    s->scratch_bytes = bytes;
}

vk_addr vk_seq_scratch(const struct vk_seq *s, uint64_t *bytes)
{
    *bytes = s->scratch_bytes;
    return s->scratch;
}

void vk_seq_use_maths(struct vk_seq *s, uint32_t maths)
{
    CHECK(s->recording);
    s->maths = maths;
}

uint32_t vk_seq_maths(const struct vk_seq *s)
{
    return s->maths;
}

size_t vk_seq_submissions(const struct vk_seq *s)
{
    return s->recorded ? s->piece_count : 0;
}

// ---- pieces ----

static struct vk_piece *current(struct vk_seq *s)
{
    return &s->pieces.items[s->piece_count - 1];
}

static bool make_piece(struct vk_seq *s)
{
    struct vk_device *d = s->device;
    struct vk_piece piece = {0};
    if (!vk_commands_alloc(d, &piece.commands)) return false;
    if (d->caps.timestamp_ns > 0) {
        VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                      .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                      .queryCount = vk_piece_stamps(d, PROFILED_COMMANDS)};
        VkResult r = vkCreateQueryPool(d->handle, &info, NULL, &piece.stamps);
        if (r != VK_SUCCESS) {
            vkFreeCommandBuffers(d->handle, d->pool, 1, &piece.commands);
            return vk_fail(r, "vkCreateQueryPool");
        }
    }
    ARRAY_PUSH(&s->pieces, piece);
    return true;
}

static bool begin_piece(struct vk_seq *s)
{
    if (s->piece_count == s->pieces.count && !make_piece(s)) return false;
    struct vk_piece *p = &s->pieces.items[s->piece_count];
    if (!vk_commands_begin(s->device, p->commands, false)) return false;
    s->piece_count++;
    s->open = true;
    p->first = s->commands.count;
    p->count = 0;
    p->cost = (struct vk_cost_sum){0};
    p->estimate = 0;
    s->bound = VK_NULL_HANDLE;
    if (p->stamps) {
        vkCmdResetQueryPool(p->commands, p->stamps, 0,
                            vk_piece_stamps(s->device, PROFILED_COMMANDS));
        vkCmdWriteTimestamp2(p->commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, p->stamps, 0);
    }
    return true;
}

static bool end_piece(struct vk_seq *s)
{
    struct vk_piece *p = current(s);
    s->open = false;
    return vk_commands_end(s->device, p->commands, p->stamps,
                           vk_piece_stamps(s->device, p->count) - 1);
}

// Begins a new piece if the next command would make this one too long.
static void cut_before(struct vk_seq *s, double seconds)
{
    struct vk_piece *p = current(s);
    bool full = s->device->profile && p->count == PROFILED_COMMANDS;
    if (p->count == 0 || (p->estimate + seconds <= s->device->rates.budget && !full)) return;
    if (!end_piece(s) || !begin_piece(s)) s->failed = true;
}

// Makes room for a command in the current piece and enters it there. Takes the cost that was set.
static bool enter(struct vk_seq *s, const char *name)
{
    struct vk_cost_sum cost = s->next;
    s->next = (struct vk_cost_sum){0};
    if (s->failed) return false;
    cost.launches = 1;
    size_t index = s->commands.count;
    double seconds = vk_rates_seconds(&s->rates, &cost);
    if (index < s->correction_count) seconds *= s->correction[index];
    cut_before(s, seconds);
    if (s->failed) return false;
    ARRAY_PUSH(&s->commands, (struct vk_command){name, cost});
    struct vk_piece *p = current(s);
    p->count++;
    p->cost.flops += cost.flops;
    p->cost.bytes += cost.bytes;
    p->cost.launches += 1;
    p->estimate += seconds;
    return true;
}

// Ends a command: the barrier and, under --profile, the timestamp.
static void leave(struct vk_seq *s, VkPipelineStageFlags2 stage)
{
    struct vk_piece *p = current(s);
    // Timed commands run one by one, or their times would mean nothing.
    if (!s->in_group || s->device->profile || stage != DISPATCH_STAGE)
        vk_barrier(p->commands, stage, DISPATCH_STAGE | (stage & COPY_STAGE));
    else
        s->group_dirty = true;
    if (s->device->profile && p->stamps)
        vkCmdWriteTimestamp2(p->commands, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, p->stamps,
                             (uint32_t)p->count);
}

// ---- commands ----

void vk_cost(struct vk_seq *s, double flops, double bytes)
{
    s->next.flops = flops;
    s->next.bytes = bytes;
}

static bool within_limits(const struct vk_device *d, const struct vk_kernel *kernel,
                          const uint32_t groups[3])
{
    for (int i = 0; i < 3; i++)
        if (groups[i] > d->caps.max_groups[i])
            return err_device(
                "kernel '%s': a grid of %u x %u x %u workgroups is beyond what device "
                "'%s' takes (%u x %u x %u): use a smaller token budget",
                kernel->name, groups[0], groups[1], groups[2], d->caps.name, d->caps.max_groups[0],
                d->caps.max_groups[1], d->caps.max_groups[2]);
    return true;
}

void vk_dispatch(struct vk_seq *s, const struct vk_kernel *kernel, struct vk_launch launch,
                 const void *push, size_t push_bytes)
{
    struct vk_device *d = s->device;
    uint32_t groups[3] = {launch.x ? launch.x : 1, launch.y ? launch.y : 1,
                          launch.z ? launch.z : 1};
    CHECK(s->recording);
    CHECK(push_bytes == kernel->push_bytes && push_bytes <= 128);
    VkPipeline pipeline = VK_NULL_HANDLE;
    if (!s->failed && within_limits(d, kernel, groups))
        pipeline = vk_pipeline_get(d, kernel, &launch);
    if (d->compile) return; // whatever became of it
    if (!pipeline) s->failed = true;
    if (!enter(s, kernel->name)) return;
    VkCommandBuffer commands = current(s)->commands;
    if (pipeline != s->bound) {
        vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
        s->bound = pipeline;
    }
    if (push_bytes)
        vkCmdPushConstants(commands, d->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                           (uint32_t)push_bytes, push);
    vkCmdDispatch(commands, groups[0], groups[1], groups[2]);
    leave(s, DISPATCH_STAGE);
}

void vk_group_begin(struct vk_seq *s)
{
    CHECK(s->recording && !s->in_group);
    s->in_group = true;
    s->group_dirty = false;
}

void vk_group_end(struct vk_seq *s)
{
    CHECK(s->in_group);
    s->in_group = false;
    if (s->group_dirty && !s->failed)
        vk_barrier(current(s)->commands, DISPATCH_STAGE, DISPATCH_STAGE);
}

void vk_copy(struct vk_seq *s, vk_addr dst, vk_addr src, uint64_t bytes)
{
    struct vk_block *to = vk_block_find(s->device, dst, bytes);
    struct vk_block *from = vk_block_find(s->device, src, bytes);
    CHECK(s->recording);
    CHECK(to && from);
    CHECK(dst + bytes <= src || src + bytes <= dst);
    if (s->device->compile) return;
    if (s->next.bytes <= 0) s->next.bytes = 2 * (double)bytes;
    if (!enter(s, "copy") || bytes == 0) return;
    VkCommandBuffer commands = current(s)->commands;
    VkBufferCopy copy = {.srcOffset = from->offset + (src - from->addr),
                         .dstOffset = to->offset + (dst - to->addr),
                         .size = bytes};
    vk_barrier(commands, DISPATCH_STAGE | COPY_STAGE, COPY_STAGE);
    vkCmdCopyBuffer(commands, from->buffer, to->buffer, 1, &copy);
    leave(s, COPY_STAGE);
}

// ---- recording and running ----

static bool record(struct vk_seq *s)
{
    CHECK(vk_done(s->device, s->ticket)); // commands in flight must stay as they are
    vk_profile_collect(s->device);
    double begin = sys_seconds();
    if (s->times_recorded++ == 0) s->rates = s->device->rates;
    s->recorded = s->failed = s->in_group = false;
    s->commands.count = s->piece_count = 0;
    s->next = (struct vk_cost_sum){0};
    s->scratch = s->scratch_bytes = 0;
    s->maths = 0;
    if (!s->device->compile && !begin_piece(s)) return false;
    s->recording = true;
    s->record(s, s->ctx);
    s->recording = false;
    CHECK(s->failed || !s->in_group);
    if (s->failed) {
        if (s->open) vkEndCommandBuffer(current(s)->commands);
        s->open = false;
        return err_context("'%s'", s->name);
    }
    if (!s->device->compile && !end_piece(s)) return false;
    CHECK(s->correction_count == 0 || s->correction_count == s->commands.count);
    s->recorded = true;
    vk_profile_host(s->device, "recording commands", begin);
    log_debug("'%s': %zu commands in %zu submissions", s->name, s->commands.count, s->piece_count);
    return true;
}

void vk_seq_measured(struct vk_seq *s, struct vk_piece *piece, double seconds)
{
    if (!(seconds > 0) || !(piece->estimate > 0)) return;
    vk_rates_learn(&s->device->rates, &piece->cost, seconds);
    if (s->correction_count == 0) {
        s->correction_count = s->commands.count;
        s->correction = MEM_ARRAY(double, s->correction_count);
        for (size_t i = 0; i < s->correction_count; i++)
            s->correction[i] = 1;
    }
    for (size_t i = 0; i < piece->count; i++)
        s->correction[piece->first + i] *= seconds / piece->estimate;
    piece->estimate = seconds;
    if (piece->count > 1 && seconds > s->longest) s->longest = seconds;
    s->total += seconds;
}

// Reads the last run's timestamps where that is due, and has the sequence recorded again if its
// cuts are bad.
static bool tune(struct vk_seq *s)
{
    struct vk_device *d = s->device;
    if (d->caps.timestamp_ns <= 0 || s->harvested) return true;
    bool wait =
        s->times_submitted <= RUNS_WAITED_FOR || s->times_submitted % RUNS_BETWEEN_WAITS == 0;
    if (wait ? !vk_wait(d, s->ticket) : !vk_done(d, s->ticket)) return !wait;
    vk_seq_harvest(s);
    double budget = d->rates.budget;
    bool too_long = s->longest > 2 * budget;
    bool too_short =
        !d->profile && s->piece_count > 1 && s->total < budget / 4 * (double)s->piece_count;
    if ((too_long || too_short) && s->times_recorded < MOST_RECORDINGS) s->recorded = false;
    return true;
}

bool vk_seq_submit(struct vk_seq *s)
{
    CHECK(!s->recording);
    if (s->recorded && !tune(s)) return false;
    if (!s->recorded && !record(s)) return false;
    for (size_t i = 0; i < s->piece_count; i++) {
        const struct vk_piece *p = &s->pieces.items[i];
        bool ok =
            vk_profile_submit(s->device, &(struct vk_timed){p->commands, p->stamps,
                                                            vk_piece_stamps(s->device, p->count),
                                                            s->name, s, p->first, p->count});
        s->ticket = vk_ticket(s->device);
        if (!ok) return false;
    }
    s->times_submitted++;
    s->harvested = false;
    return true;
}

bool vk_run_once(struct vk_device *device, const char *name, vk_record_fn record_, void *ctx)
{
    struct vk_seq *s = vk_seq_create(device, name, record_, ctx);
    bool ok = vk_seq_submit(s) && vk_wait(device, s->ticket);
    vk_seq_destroy(s);
    return ok;
}
