// Places for arrays that share memory where they never live at the same time.
//
// The plan knows nothing of a device: arrays have sizes, and lifetimes in phases of whatever uses
// them, numbered in the order in which they pass. vk_lifetimes_place() gives each an offset.
#ifndef TRDPO_VK_LIFETIME_H
#define TRDPO_VK_LIFETIME_H

#include "base/array.h"

#include <stdint.h>

// Phases [first, last], both included.
struct vk_lifetime {
    uint32_t first, last;
};
struct vk_lifetime_array {
    uint64_t bytes;
    uint64_t offset; // where it was placed
    struct vk_lifetime_list ARRAY_OF(struct vk_lifetime) lives;
};
struct vk_lifetimes {
    struct vk_lifetime_arrays ARRAY_OF(struct vk_lifetime_array) arrays;
    uint64_t shuffle; // not 0: placed in an order drawn from it, so that others share; for tests
};

// A new array of these bytes, which lives in no phase yet. Returns its number, from 0.
size_t vk_lifetimes_add(struct vk_lifetimes *l, uint64_t bytes);

// The array holds something from the phase that first writes it to the one that last reads it. An
// array may live many times, in the order of the phases; in between its bytes are anyone's.
void vk_lifetimes_live(struct vk_lifetimes *l, size_t array, uint32_t first, uint32_t last);

// Gives every array its offset, a multiple of `align`, from `from` on and within one of the spans
// of `span_bytes` that offsets are counted through: the largest first, each into the smallest gap
// that those that live with it leave. The same plan always comes to the same offsets. Returns the
// end of the last array.
uint64_t vk_lifetimes_place(struct vk_lifetimes *l, uint64_t from, uint64_t span_bytes,
                            uint64_t align);

// The most bytes that live in one phase, sizes rounded up to `align`: no placing can need less.
uint64_t vk_lifetimes_least(const struct vk_lifetimes *l, uint64_t align);

// Bytes of all arrays one behind the other, sizes rounded up to `align`.
uint64_t vk_lifetimes_apart(const struct vk_lifetimes *l, uint64_t align);

void vk_lifetimes_finish(struct vk_lifetimes *l);

#endif
