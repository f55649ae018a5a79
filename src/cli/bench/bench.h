// Benchmarks of kernels and of whole steps: what `trdpo-vk bench` runs.
#ifndef TRDPO_CLI_BENCH_BENCH_H
#define TRDPO_CLI_BENCH_BENCH_H

#include "ops/linear.h"
#include "vk/sequence.h"

#define BENCH_DIMS 4

// One measurement. Rates that mean nothing for it are 0.
struct bench_result {
    const char *name;
    uint32_t shape[BENCH_DIMS]; // a product: m, n, k; 0 ends the list
    const char *dtype, *tier;   // tier NULL: there is one kernel only
    double seconds;             // of one call, the best of several runs
    double gflops, gbps, tokens_per_second;
    double of_copy;       // rate as a share of a plain device copy's
    uint64_t bytes, peak; // of device memory: by the plan; what was in use at most, 0: unknown
};

struct bench {
    struct vk_device *device;
    int runs;              // best of so many
    const uint32_t *shape; // the user's m, n, k; NULL: a list of our own
    const char *model;     // folder whose config.json sizes the step; NULL: our own
    bool recompute;        // the step with gradient checkpointing
    const char *dtype, *gradient_dtype, *optim; // of the step, as training has them
    uint32_t pairs;                             // of the step
    void (*report)(void *ctx, const struct bench_result *r);
    void *ctx;
};

bool bench_matmul(const struct bench *b);
bool bench_attention(const struct bench *b);
bool bench_ref_update(const struct bench *b);
bool bench_adamw(const struct bench *b);
bool bench_step(const struct bench *b);

// An array of `count` floats; normal numbers, so that no kernel meets denormals or constants. *ok
// becomes false if they could not be written.
vk_addr bench_numbers(struct vk_arena *arena, uint64_t count, bool *ok);

// Best seconds of one call of `record`, from sequences that hold it often enough to outweigh the
// cost of a submission.
bool bench_time(const struct bench *b, const char *name, vk_record_fn record, void *ctx,
                double *seconds);

// The tier that products use on this device: "direct" or "shared", which attention uses too, and on
// matrix units "coopmat" or "coopmat2".
const char *bench_tier(const struct bench *b, enum op_units units);

#endif
