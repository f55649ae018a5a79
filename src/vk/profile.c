// Timestamps: what commands and submissions took.
#include "vk/profile.h"

#include "base/mem.h"
#include "base/system.h"
#include "vk/internal.h"

#include <stdlib.h>
#include <string.h>

uint32_t vk_piece_stamps(const struct vk_device *device, size_t count)
{
    return device->profile ? (uint32_t)count + 2 : 2;
}

void vk_profile_add(struct vk_device *device, const char *kernel, double seconds, double flops,
                    double bytes)
{
    struct vk_profile_state *p = &device->prof;
    struct vk_profile_row *row = NULL;
    for (size_t i = 0; i < p->rows.count && !row; i++)
        if (strcmp(p->rows.items[i].kernel, kernel) == 0) row = &p->rows.items[i];
    if (!row) {
        ARRAY_PUSH(&p->rows, (struct vk_profile_row){.kernel = kernel});
        row = &p->rows.items[p->rows.count - 1];
    }
    row->calls++;
    row->seconds += seconds;
    row->flops += flops;
    row->bytes += bytes;
}

void vk_profile_submission(struct vk_device *device, double begin, double end)
{
    struct vk_profile_state *p = &device->prof;
    if (p->busy == 0 || begin < p->first) p->first = begin;
    if (p->busy == 0 || end > p->last) p->last = end;
    p->busy += end - begin;
}

// ---- the device's clock ----

static uint64_t stamp_mask(const struct vk_device *d)
{
    return d->timestamp_bits >= 64 ? UINT64_MAX : ((uint64_t)1 << d->timestamp_bits) - 1;
}

static double stamp_seconds(const struct vk_device *d, uint64_t begin, uint64_t end)
{
    uint64_t ticks = (end - begin) & stamp_mask(d);
    if (ticks > stamp_mask(d) / 2) return 0; // the clock went back
    return (double)ticks * (double)d->caps.timestamp_ns * 1e-9;
}

// Seconds on a clock that does not wrap: each timestamp is taken as the one nearest to the last.
static double unwrapped(struct vk_device *d, uint64_t raw)
{
    struct vk_profile_state *p = &d->prof;
    uint64_t forward = (raw - p->raw) & stamp_mask(d);
    if (p->raw == 0 && p->ticks == 0)
        p->ticks = 0;
    else if (forward <= stamp_mask(d) / 2)
        p->ticks += (int64_t)forward;
    else
        p->ticks -= (int64_t)((stamp_mask(d) - forward) + 1);
    p->raw = raw;
    return (double)p->ticks * (double)d->caps.timestamp_ns * 1e-9;
}

static bool read_stamp(struct vk_device *d, VkQueryPool pool, uint32_t index, uint64_t *stamp)
{
    return vkGetQueryPoolResults(d->handle, pool, index, 1, sizeof *stamp, stamp, sizeof *stamp,
                                 VK_QUERY_RESULT_64_BIT) == VK_SUCCESS;
}

void vk_seq_harvest(struct vk_seq *s)
{
    struct vk_device *d = s->device;
    if (s->harvested || d->caps.timestamp_ns <= 0) return;
    s->harvested = true;
    s->longest = s->total = 0;
    for (size_t i = 0; i < s->piece_count; i++) {
        struct vk_piece *piece = &s->pieces.items[i];
        uint64_t begin, end;
        // Where a driver dropped the work vk_wait() tells.
        if (read_stamp(d, piece->stamps, 0, &begin) &&
            read_stamp(d, piece->stamps, vk_piece_stamps(d, piece->count) - 1, &end))
            vk_seq_measured(s, piece, stamp_seconds(d, begin, end));
    }
}

// ---- submissions in flight ----

#define SLOT_STAMPS 256u
#define SLOT_BYTES (SLOT_STAMPS * sizeof(uint64_t))

// The next slot of the ring, zeroed. Waits where all are in flight.
static uint64_t *take_slot(struct vk_device *d, uint32_t *slot)
{
    struct vk_profile_state *p = &d->prof;
    if (!p->ring) {
        p->ring = vk_block_create(d, VK_MEMORY_READBACK, VK_PROFILE_SLOTS * SLOT_BYTES, 0,
                                  "the profile's timestamps");
        if (!p->ring) return NULL;
    }
    *slot = p->next_slot;
    if (!vk_wait(d, p->slot_ticket[*slot])) return NULL;
    vk_profile_collect(d);
    p->next_slot = (*slot + 1) % VK_PROFILE_SLOTS;
    uint64_t *stamps = (uint64_t *)(void *)(p->ring->host + *slot * SLOT_BYTES);
    memset(stamps, 0, SLOT_BYTES);
    return stamps;
}

bool vk_profile_submit(struct vk_device *device, const struct vk_timed *timed)
{
    struct vk_profile_state *p = &device->prof;
    if (!device->profile || !timed->pool)
        return vk_queue_submit(device, timed->commands, VK_NULL_HANDLE, timed->what);
    CHECK(timed->stamps <= SLOT_STAMPS);
    uint32_t slot;
    if (!take_slot(device, &slot)) return false;
    VkCommandBuffer copy = vk_transient_take(device);
    if (!copy) return false;
    vkCmdCopyQueryPoolResults(copy, timed->pool, 0, timed->stamps, p->ring->buffer,
                              p->ring->offset + slot * SLOT_BYTES, sizeof(uint64_t),
                              VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
    vk_barrier(copy, VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT, VK_PIPELINE_STAGE_2_HOST_BIT);
    VkResult r = vkEndCommandBuffer(copy);
    if (r != VK_SUCCESS) return vk_fail(r, "vkEndCommandBuffer");
    struct vk_profile_flight flight = {.timed = *timed,
                                       .slot = slot,
                                       .submitted = sys_seconds(),
                                       .late = vk_done(device, device->submitted)};
    if (!vk_queue_submit(device, timed->commands, copy, timed->what)) return false;
    vk_transient_submitted(device, copy);
    flight.ticket = p->slot_ticket[slot] = vk_ticket(device);
    ARRAY_PUSH(&p->flights, flight);
    return true;
}

void vk_profile_host(struct vk_device *device, const char *what, double since)
{
    if (!device->profile) return;
    struct vk_profile_mark mark = {what, since, sys_seconds()};
    ARRAY_PUSH(&device->prof.marks, mark);
}

// ---- why it was idle ----

static void add_reason(struct vk_profile_state *p, const char *what, double seconds)
{
    for (size_t i = 0; i < p->reasons.count; i++)
        if (strcmp(p->reasons.items[i].what, what) == 0) {
            p->reasons.items[i].seconds += seconds;
            return;
        }
    ARRAY_PUSH(&p->reasons, (struct vk_profile_idle){what, seconds});
}

// The device was idle for `gap` seconds before this submission: what the host did in that time,
// which ended when it submitted. Both clocks count seconds.
static void blame(struct vk_profile_state *p, const struct vk_profile_flight *f, double gap)
{
    if (!f->late) {
        add_reason(p, "the next submission was queued in time", gap);
        return;
    }
    double from = f->submitted - gap, rest = gap;
    for (size_t i = 0; i < p->marks.count; i++) {
        const struct vk_profile_mark *m = &p->marks.items[i];
        double begin = m->begin > from ? m->begin : from;
        double end = m->end < f->submitted ? m->end : f->submitted;
        double part = end - begin < rest ? end - begin : rest;
        if (!(part > 0)) continue;
        add_reason(p, m->what, part);
        rest -= part;
    }
    if (rest > 0) add_reason(p, "other work of the host", rest);
}

// Marks of what was before a submission have nothing to do with the next gap.
static void forget_marks(struct vk_profile_state *p, double until)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->marks.count; i++)
        if (p->marks.items[i].end > until) p->marks.items[kept++] = p->marks.items[i];
    p->marks.count = kept;
}

static void read_flight(struct vk_device *d, const struct vk_profile_flight *f)
{
    struct vk_profile_state *p = &d->prof;
    const struct vk_timed *t = &f->timed;
    const uint64_t *stamps = (const uint64_t *)(const void *)(p->ring->host + f->slot * SLOT_BYTES);
    uint64_t last = stamps[t->stamps - 1];
    if (stamps[0] == 0 || last == 0) return; // a driver that dropped the work: vk_wait() tells
    double begin = unwrapped(d, stamps[0]), seconds = stamp_seconds(d, stamps[0], last);
    if (p->busy > 0 && begin > p->last) blame(p, f, begin - p->last);
    forget_marks(p, f->submitted);
    vk_profile_submission(d, begin, begin + seconds);
    if (!t->seq) vk_profile_add(d, t->what, seconds, 0, 0);
    for (size_t i = 0; t->seq && i < t->count; i++) {
        const struct vk_command *c = &t->seq->commands.items[t->first + i];
        vk_profile_add(d, c->name, stamp_seconds(d, stamps[i], stamps[i + 1]), c->cost.flops,
                       c->cost.bytes);
    }
}

void vk_profile_collect(struct vk_device *device)
{
    struct vk_profile_state *p = &device->prof;
    size_t read = 0;
    while (read < p->flights.count && vk_done(device, p->flights.items[read].ticket))
        read_flight(device, &p->flights.items[read++]);
    if (!read) return;
    memmove(p->flights.items, p->flights.items + read,
            (p->flights.count - read) * sizeof *p->flights.items);
    p->flights.count -= read;
}

void vk_profile_forget(struct vk_device *device, const struct vk_seq *s)
{
    struct vk_profile_state *p = &device->prof;
    size_t kept = 0;
    for (size_t i = 0; i < p->flights.count; i++)
        if (p->flights.items[i].timed.seq != s) p->flights.items[kept++] = p->flights.items[i];
    p->flights.count = kept;
}

// ---- reports ----

static int longest_first(const void *a, const void *b)
{
    const struct vk_profile_row *x = a, *y = b;
    if (x->seconds != y->seconds) return x->seconds > y->seconds ? -1 : 1;
    return strcmp(x->kernel, y->kernel);
}

bool vk_profile(struct vk_device *device, struct vk_profile_row **rows, size_t *count)
{
    *rows = NULL;
    *count = 0;
    if (!vk_wait_all(device)) return false;
    vk_profile_collect(device);
    struct vk_profile_state *p = &device->prof;
    *rows = MEM_ARRAY(struct vk_profile_row, p->rows.count + 1);
    *count = p->rows.count;
    if (*count == 0) return true;
    memcpy(*rows, p->rows.items, *count * sizeof **rows);
    qsort(*rows, *count, sizeof **rows, longest_first);
    return true;
}

bool vk_profile_reasons(struct vk_device *device, struct vk_profile_idle **reasons, size_t *count)
{
    struct vk_profile_state *p = &device->prof;
    *reasons = NULL;
    *count = 0;
    if (!vk_wait_all(device)) return false;
    vk_profile_collect(device);
    *count = p->reasons.count;
    *reasons = MEM_ARRAY(struct vk_profile_idle, *count + 1);
    for (size_t i = 0; i < *count; i++) {
        size_t at = i;
        for (; at > 0 && (*reasons)[at - 1].seconds < p->reasons.items[i].seconds; at--)
            (*reasons)[at] = (*reasons)[at - 1];
        (*reasons)[at] = p->reasons.items[i];
    }
    return true;
}

void vk_profile_reset(struct vk_device *device)
{
    // Runs that were not read yet belong to what is forgotten.
    struct vk_profile_state *p = &device->prof;
    ARRAY_FREE(&p->rows);
    ARRAY_FREE(&p->reasons);
    ARRAY_FREE(&p->flights);
    ARRAY_FREE(&p->marks);
    p->first = p->last = p->busy = 0;
    p->raw = 0;
    p->ticks = 0;
}

void vk_profile_finish(struct vk_device *device)
{
    vk_profile_reset(device);
    vk_block_destroy(device, device->prof.ring);
    device->prof.ring = NULL;
}

void vk_profile_span(struct vk_device *device, double *busy, double *idle)
{
    const struct vk_profile_state *p = &device->prof;
    double span = p->last - p->first;
    *busy = p->busy;
    *idle = span > p->busy ? span - p->busy : 0;
}

bool vk_profile_print(struct vk_device *device, FILE *out)
{
    struct vk_profile_row *rows;
    size_t count;
    double total = 0, busy, idle;
    if (!vk_profile(device, &rows, &count)) return false;
    for (size_t i = 0; i < count; i++)
        total += rows[i].seconds;
    fprintf(out, "%-28s %9s %11s %10s %9s %7s\n", "kernel", "calls", "ms", "GFLOP/s", "GB/s",
            "share");
    for (size_t i = 0; i < count; i++) {
        const struct vk_profile_row *r = &rows[i];
        double per_second = r->seconds > 0 ? 1e-9 / r->seconds : 0;
        fprintf(out, "%-28s %9llu %11.2f %10.1f %9.1f %6.1f%%\n", r->kernel,
                (unsigned long long)r->calls, r->seconds * 1e3, r->flops * per_second,
                r->bytes * per_second, total > 0 ? 100 * r->seconds / total : 0);
    }
    mem_free(rows);
    vk_profile_span(device, &busy, &idle);
    double wall = busy + idle > 0 ? busy + idle : 1;
    fprintf(out, "device busy %.3f s, idle %.3f s (%.2f%% of the time)\n", busy, idle,
            100 * idle / wall);
    struct vk_profile_idle *why;
    if (!vk_profile_reasons(device, &why, &count)) return false;
    for (size_t i = 0; i < count; i++)
        fprintf(out, "  idle %.3f s (%.2f%%): %s\n", why[i].seconds, 100 * why[i].seconds / wall,
                why[i].what);
    mem_free(why);
    return true;
}
