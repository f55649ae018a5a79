// Every kernel against the CPU reference, on the user's own device: what `trdpo-vk doctor` and
// trdpo-shader-test run.
#ifndef TRDPO_OPS_CHECK_CHECK_H
#define TRDPO_OPS_CHECK_CHECK_H

#include "vk/device.h"

#include <stddef.h>

enum op_check_status { OP_CHECK_PASSED, OP_CHECK_FAILED, OP_CHECK_SKIPPED };

// Outcome of one case, a row of the table.
struct op_check_result {
    const char *op, *dtype;
    char shape[96]; // "T=31 C=257"
    enum op_check_status status;
    double nmse;    // worst of its outputs: sum of squared errors / sum of squares
    double worst;   // worst of its outputs: largest error of an element / root mean square
    double seconds; // fastest of several runs, with `perf`; else 0
    double gflops, gbps;
    char message[256]; // why it failed or was skipped, else ""
};

struct op_check_params {
    const char *op; // only ops whose name begins with this; NULL: all
    uint64_t seed;  // of the inputs; 0: 42
    bool perf;      // also time each case, and run the cases that are there for their time only
    bool compile;   // on a device that only compiles (vk/compile.h): every case is recorded, those
                    // of `perf` too, so that every pipeline is made; nothing is judged or timed
    void (*report)(void *ctx, const struct op_check_result *result); // after each case; may be NULL
    void *ctx;
};
struct op_check_summary {
    size_t passed, failed, skipped;
};

// Runs the table. False only if the device failed (err_device) or no op has the name
// (err_user, with the nearest); wrong results are counted in `summary`, and the caller judges.
bool op_check_run(struct vk_device *device, const struct op_check_params *params,
                  struct op_check_summary *summary);

// Names of the ops in the table, in its order. `index` from 0; NULL past the end.
const char *op_check_name(size_t index);

#endif
