// Device time by kernel, from timestamps around every dispatch (vk_device_params.profile), and the
// time in which the device had nothing to do. The device leaves its timestamps in a buffer of their
// own, so that a profiled run waits no more than another one. Timed dispatches run one by one, also
// those of a group.
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

// Device seconds between the first and last timestamp of all submissions since the reset, in which
// one of them ran, and in which none did.
void vk_profile_span(struct vk_device *device, double *busy, double *idle);

// Where idle seconds went: what the host did meanwhile that came too late with the next submission;
// or nothing, as it was queued in time, and the device or its driver took long to begin it.
struct vk_profile_idle {
    const char *what;
    double seconds;
};
// Longest first; frees with mem_free(). Waits for the device.
bool vk_profile_reasons(struct vk_device *device, struct vk_profile_idle **reasons, size_t *count);

// Tells that the host did `what` (a string that stays) from `since` (sys_seconds()) until now.
void vk_profile_host(struct vk_device *device, const char *what, double since);

// Prints the table: kernel, calls, ms, GFLOP/s, GB/s, share; then busy and idle time, and why.
bool vk_profile_print(struct vk_device *device, FILE *out);

#endif
