// A device that compiles and runs nothing: what a driver's compiler makes of the kernels, on a
// machine that may not even have the GPU (Mesa's no-op shims stand in for one).
//
// Memory of such a device is addresses without storage: arenas are made and checked as always, what
// is written is dropped, what is read is zero. A sequence is recorded when it is submitted, and the
// only thing that comes of it are the pipelines of its dispatches. Nothing waits. Pipelines that
// cannot be made are reported and do not stop the recording. The pipeline cache on disk is left
// alone.
#ifndef TRDPO_VK_COMPILE_H
#define TRDPO_VK_COMPILE_H

#include "vk/sequence.h"

// One of the driver's own figures (VK_KHR_pipeline_executable_properties), by the name it gives.
struct vk_statistic {
    char name[64];
    double value;
};

// A pipeline that was made, or could not be.
struct vk_compiled {
    const struct vk_kernel *kernel;
    uint32_t local, spec_count, spec[8]; // as in struct vk_launch
    uint32_t subgroup_size;              // that the compiler chose; 0: the driver does not say
    const struct vk_statistic *statistics;
    size_t statistic_count; // 0: the driver has no figures
    const char *error;      // why it could not be made; NULL if it was
};

// Called for each pipeline when it is first needed, and again whenever one is needed that could not
// be made. The report is the callee's until it returns.
struct vk_compile {
    void (*report)(void *ctx, const struct vk_compiled *compiled);
    void *ctx;
};

#endif
