// Tests that look at what an operation records, which its results do not tell: the profile does.
#ifndef TRDPO_TESTS_OPS_PROFILED_H
#define TRDPO_TESTS_OPS_PROFILED_H

#include "base/rng.h"
#include "vk/memory.h"

// Fails the test with the error's message.
void require(bool ok);

// A device that profiles; the test is skipped where a device has no timestamps.
struct vk_device *profiled_device(void);

// Whether the device computes in this tier, in fp16 where it is one of matrix units.
bool profiled_has(const struct vk_device *d, enum vk_tier tier);

// Dispatches since vk_profile_reset() of kernels whose names begin so.
uint64_t profiled_calls(struct vk_device *d, const char *prefix);

// `count` normal numbers in the arena.
vk_addr put_normal(struct vk_device *d, struct vk_arena *a, uint64_t count, struct rng *rng);

#endif
