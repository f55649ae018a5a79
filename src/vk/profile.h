// Device time by kernel, from timestamps around every dispatch (vk_device_params.profile).
#ifndef TRDPO_VK_PROFILE_H
#define TRDPO_VK_PROFILE_H

#include "vk/device.h"

#include <stdio.h>

struct vk_profile_row {
    const char *kernel;
    uint64_t calls;
    double seconds, flops, bytes; // flops and bytes as given to vk_cost()
};

// Rows sorted by time, longest first; frees with mem_free(). Waits for the device.
bool vk_profile(struct vk_device *device, struct vk_profile_row **rows, size_t *count);
void vk_profile_reset(struct vk_device *device);

// Device seconds between the first and last timestamp of all sequences' submissions since the
// reset, and the part of it in which none of them ran (uploads and other single copies are not
// timed).
void vk_profile_span(struct vk_device *device, double *busy, double *idle);

// Prints the table: kernel, calls, ms, GFLOP/s, GB/s, share.
bool vk_profile_print(struct vk_device *device, FILE *out);

#endif
