// Timestamps: what commands and submissions took.
#include "vk/profile.h"

#include "base/mem.h"
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

static void harvest_piece(struct vk_seq *s, struct vk_piece *piece, uint64_t *stamps)
{
    struct vk_device *d = s->device;
    uint32_t count = vk_piece_stamps(d, piece->count);
    VkResult r = vkGetQueryPoolResults(d->handle, piece->stamps, 0, count, count * sizeof *stamps,
                                       stamps, sizeof *stamps, VK_QUERY_RESULT_64_BIT);
    if (r != VK_SUCCESS) return; // a driver that dropped the work: vk_wait() tells
    double seconds = stamp_seconds(d, stamps[0], stamps[count - 1]);
    vk_seq_measured(s, piece, seconds);
    if (!d->profile) return;
    double begin = unwrapped(d, stamps[0]);
    vk_profile_submission(d, begin, begin + seconds);
    for (size_t i = 0; i < piece->count; i++) {
        const struct vk_command *c = &s->commands.items[piece->first + i];
        vk_profile_add(d, c->name, stamp_seconds(d, stamps[i], stamps[i + 1]), c->cost.flops,
                       c->cost.bytes);
    }
}

void vk_seq_harvest(struct vk_seq *s)
{
    if (s->harvested || s->device->caps.timestamp_ns <= 0) return;
    s->harvested = true;
    s->longest = s->total = 0;
    size_t most = 0;
    for (size_t i = 0; i < s->piece_count; i++)
        if (s->pieces.items[i].count > most) most = s->pieces.items[i].count;
    uint64_t *stamps = MEM_ARRAY(uint64_t, vk_piece_stamps(s->device, most));
    for (size_t i = 0; i < s->piece_count; i++)
        harvest_piece(s, &s->pieces.items[i], stamps);
    mem_free(stamps);
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
    for (size_t i = 0; i < device->sequences.count; i++)
        vk_seq_harvest(device->sequences.items[i]);
    struct vk_profile_state *p = &device->prof;
    *rows = MEM_ARRAY(struct vk_profile_row, p->rows.count + 1);
    *count = p->rows.count;
    if (*count == 0) return true;
    memcpy(*rows, p->rows.items, *count * sizeof **rows);
    qsort(*rows, *count, sizeof **rows, longest_first);
    return true;
}

void vk_profile_reset(struct vk_device *device)
{
    // Runs that were not read yet belong to what is forgotten.
    for (size_t i = 0; i < device->sequences.count; i++)
        device->sequences.items[i]->harvested = true;
    ARRAY_FREE(&device->prof.rows);
    device->prof = (struct vk_profile_state){0};
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
    vk_profile_span(device, &busy, &idle);
    fprintf(out, "device busy %.2f ms, idle %.2f ms\n", busy * 1e3, idle * 1e3);
    mem_free(rows);
    return true;
}
