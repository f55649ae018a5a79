#include "vk/lifetime.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stdlib.h>

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

size_t vk_lifetimes_add(struct vk_lifetimes *l, uint64_t bytes)
{
    ARRAY_PUSH(&l->arrays, (struct vk_lifetime_array){.bytes = bytes});
    return l->arrays.count - 1;
}

void vk_lifetimes_live(struct vk_lifetimes *l, size_t array, uint32_t first, uint32_t last)
{
    CHECK(array < l->arrays.count && first <= last);
    struct vk_lifetime_list *lives = &l->arrays.items[array].lives;
    struct vk_lifetime *before = lives->count ? &lives->items[lives->count - 1] : NULL;
    CHECK(!before || first >= before->first);
    if (!before || first > before->last)
        ARRAY_PUSH(lives, (struct vk_lifetime){first, last});
    else if (last > before->last)
        before->last = last;
}

void vk_lifetimes_finish(struct vk_lifetimes *l)
{
    for (size_t i = 0; i < l->arrays.count; i++)
        ARRAY_FREE(&l->arrays.items[i].lives);
    ARRAY_FREE(&l->arrays);
}

// Whether two arrays ever live in the same phase.
static bool meet(const struct vk_lifetime_array *a, const struct vk_lifetime_array *b)
{
    size_t i = 0, k = 0;
    while (i < a->lives.count && k < b->lives.count) {
        const struct vk_lifetime *x = &a->lives.items[i], *y = &b->lives.items[k];
        if (x->first <= y->last && y->first <= x->last) return true;
        if (x->last < y->last)
            i++;
        else
            k++;
    }
    return false;
}

// ---- placing ----

// Bytes that are taken.
struct range {
    uint64_t begin, end;
};

// An array in the order of placing.
struct turn {
    size_t index;
    uint64_t bytes;
};

static int largest_first(const void *a, const void *b)
{
    const struct turn *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static int by_begin(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

// The first place from `at` on: aligned, and not across the end of a span.
static uint64_t place_from(uint64_t at, uint64_t bytes, uint64_t span_bytes, uint64_t align)
{
    at = round_up(at, align);
    return bytes > span_bytes - at % span_bytes ? round_up(at, span_bytes) : at;
}

// The smallest gap between ranges sorted by their begin that takes the bytes, or behind them all.
static uint64_t best_place(const struct range *taken, size_t count, uint64_t from, uint64_t bytes,
                           uint64_t span_bytes, uint64_t align)
{
    uint64_t at = from, best = 0, least = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        uint64_t place = place_from(at, bytes, span_bytes, align);
        if (place + bytes <= taken[i].begin && taken[i].begin - at < least) {
            least = taken[i].begin - at;
            best = place;
        }
        if (taken[i].end > at) at = taken[i].end;
    }
    return least < UINT64_MAX ? best : place_from(at, bytes, span_bytes, align);
}

static struct turn *order(const struct vk_lifetimes *l)
{
    size_t count = l->arrays.count;
    struct turn *turns = MEM_ARRAY(struct turn, count + 1);
    uint32_t *drawn = MEM_ARRAY(uint32_t, count + 1);
    struct rng r = rng_begin(l->shuffle, RNG_TEST);
    if (l->shuffle) rng_permutation(&r, drawn, count);
    for (size_t i = 0; i < count; i++) {
        size_t index = l->shuffle ? drawn[i] : i;
        turns[i] = (struct turn){index, l->arrays.items[index].bytes};
    }
    if (!l->shuffle) qsort(turns, count, sizeof *turns, largest_first);
    mem_free(drawn);
    return turns;
}

uint64_t vk_lifetimes_place(struct vk_lifetimes *l, uint64_t from, uint64_t span_bytes,
                            uint64_t align)
{
    CHECK(align > 0 && span_bytes % align == 0);
    size_t count = l->arrays.count, placed = 0;
    struct turn *turns = order(l);
    struct range *taken = MEM_ARRAY(struct range, count + 1);
    uint64_t end = from;
    for (; placed < count; placed++) {
        struct vk_lifetime_array *a = &l->arrays.items[turns[placed].index];
        size_t neighbours = 0;
        CHECK(a->bytes <= span_bytes);
        for (size_t i = 0; i < placed; i++) {
            const struct vk_lifetime_array *b = &l->arrays.items[turns[i].index];
            if (meet(a, b)) taken[neighbours++] = (struct range){b->offset, b->offset + b->bytes};
        }
        qsort(taken, neighbours, sizeof *taken, by_begin);
        a->offset = best_place(taken, neighbours, from, a->bytes, span_bytes, align);
        if (a->offset + a->bytes > end) end = a->offset + a->bytes;
    }
    mem_free(turns);
    mem_free(taken);
    return end;
}

// ---- bounds ----

uint64_t vk_lifetimes_least(const struct vk_lifetimes *l, uint64_t align)
{
    // The most is reached where some life begins.
    uint64_t most = 0;
    for (size_t i = 0; i < l->arrays.count; i++)
        for (size_t k = 0; k < l->arrays.items[i].lives.count; k++) {
            uint32_t phase = l->arrays.items[i].lives.items[k].first;
            struct vk_lifetime now = {phase, phase};
            struct vk_lifetime_array probe = {.lives = {&now, 1, 1}};
            uint64_t bytes = 0;
            for (size_t j = 0; j < l->arrays.count; j++)
                if (meet(&probe, &l->arrays.items[j]))
                    bytes += round_up(l->arrays.items[j].bytes, align);
            if (bytes > most) most = bytes;
        }
    return most;
}

uint64_t vk_lifetimes_apart(const struct vk_lifetimes *l, uint64_t align)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < l->arrays.count; i++)
        bytes += round_up(l->arrays.items[i].bytes, align);
    return bytes;
}
