// trdpo-shader-test --compile: what the driver's compiler makes of every kernel.
#ifndef TRDPO_SHADER_TEST_COMPILE_H
#define TRDPO_SHADER_TEST_COMPILE_H

#include <stdbool.h>
#include <stddef.h>

struct compile_params {
    const char *device, *op; // as in vk_device_params and op_check_params; NULL: the default, all
    bool json;               // one JSON object a pipeline instead of a table
};
struct compile_summary {
    size_t compiled, failed; // pipelines
    size_t spilled;          // of the compiled ones, those launched that spill registers to memory
    size_t unused;           // kernels that no operation launches on this device
};

// Makes every pipeline that the cases of the op table need on the device, in the variants that the
// operations choose for it, and then those of the kernels that no case launched, with the
// constants' defaults, unless `op` leaves kernels out. Nothing runs. Prints a line for each
// pipeline, with the driver's figures where it has any. False if the device failed; pipelines that
// could not be made are counted.
bool compile_kernels(const struct compile_params *params, struct compile_summary *summary);

#endif
