// What a row of the op table is made of. A case makes its arrays, fills them, computes the wanted
// values with ref.h, and hands the recording to check_run():
//
//   static void rmsnorm_fwd(struct check *c, const uint32_t *n)
//   {
//       struct check_array *x = check_normal(c, "x", n[0] * n[1], 1.0);
//       struct check_array *y = check_output(c, "y", n[0] * n[1]);
//       ...
//       if (c->judged) ref_rmsnorm_fwd_f64(...);   // writes y->f64
//       check_cost(c, flops, bytes);
//       check_run(c, record_rmsnorm_fwd, &op);
//   }
//
// check_run() writes all arrays to the device, runs, reads all back and judges: outputs against
// their f64, inputs and the guard words around every array for not having changed; then it does the
// same again, since results must be the same to the bit; then it times.
#ifndef TRDPO_OPS_CHECK_HARNESS_H
#define TRDPO_OPS_CHECK_HARNESS_H

#include "base/array.h"
#include "base/error.h"
#include "base/rng.h"
#include "ops/check/check.h"
#include "ops/linear.h"
#include "ops/type.h"
#include "ops/update.h"
#include "vk/sequence.h"

#define CHECK_SIZES 8

enum check_role {
    CHECK_INPUT,  // must not change
    CHECK_OUTPUT, // judged against f64; where f64 is NaN the element must not have been written,
                  // and where it is infinite anything may stand
    CHECK_SCRATCH // anything goes
};

// Arrays of 32-bit words. The case fills `f32` or `u32` before check_run(); both are NULL-able
// views: an array of floats has f32 and f64, one of words has u32.
struct check_array {
    const char *name;
    enum check_role role;
    uint64_t count;
    vk_addr addr;           // 0 for arrays in an arena of their own
    struct vk_arena *arena; // of check_spans(), else NULL
    struct vk_arena *lower; // of the lower halves of check_master_spans(), else NULL
    enum op_type type;      // on the device; OP_F32 for words too
    float *f32;             // what the device gets first
    double *f64; // the same as double where filled by check_normal(); wanted values of outputs
    uint32_t *u32;
    uint8_t *got, *again; // after the first and the second run, 4 bytes an element
};

struct check {
    struct vk_device *device;
    const struct op_check_params *params;
    struct rng rng;
    bool judged;                  // false: timed only, no wanted values needed
    enum op_type w_type, dw_type; // of weights and of their gradients, by the row's dtype
    double tolerance_nmse, tolerance_worst;
    struct op_check_result *result;
    bool device_failed;
    double flops, bytes;
    struct vk_arena arena;
    struct ARRAY_OF(struct check_array *) arrays;
};

// A row of the table.
struct check_case {
    const char *op;
    void (*run)(struct check *c, const uint32_t *size);
    const char *letters;        // of the sizes: "T C"
    uint32_t size[CHECK_SIZES]; // as many as there are letters
    double nmse, worst;         // tolerances; 0: 1e-12 and 2e-5
    bool timed;        // runs with `perf` only and is not judged: too big for the reference
    const char *dtype; // NULL: "f32"; CHECK_BF16, CHECK_BF16_GRADS
};
// Weights in bf16 (for updates: master halves), gradients in fp32; and both in bf16.
#define CHECK_BF16 "bf16"
#define CHECK_BF16_GRADS "bf16 grads"

// CHECK_CASE("rmsnorm_fwd", rmsnorm_fwd, "T C", 31, 257), and CHECK_TIMED() for one with `timed`.
#define CHECK_CASE(name, function, names, ...)                                                     \
    {                                                                                              \
        .op = (name), .run = (function), .letters = (names), .size = { __VA_ARGS__ }               \
    }
#define CHECK_TIMED(name, function, names, ...)                                                    \
    {                                                                                              \
        .op = (name), .run = (function), .letters = (names), .size = {__VA_ARGS__}, .timed = true  \
    }
// CHECK_CASE() with a dtype.
#define CHECK_CASE_AS(type, name, function, names, ...)                                            \
    {                                                                                              \
        .op = (name), .run = (function), .letters = (names), .size = {__VA_ARGS__},                \
        .dtype = (type)                                                                            \
    }
struct check_table {
    const struct check_case *cases;
    size_t count;
};
extern const struct check_table check_rows, check_move, check_linear, check_attention, check_head,
    check_head_frozen, check_pref, check_loss, check_update, check_adamw_8bit;

// Inputs. Normal values with standard deviation `std`, uniform in [low, high), or zeros to be
// filled by the case (f32 and f64, or u32).
struct check_array *check_normal(struct check *c, const char *name, uint64_t count, double std);
struct check_array *check_uniform(struct check *c, const char *name, uint64_t count, double low,
                                  double high);
struct check_array *check_floats(struct check *c, const char *name, uint64_t count);
struct check_array *check_words(struct check *c, const char *name, uint64_t count);
struct check_array *check_word(struct check *c, const char *name, uint32_t value);
// Words below `bound`.
struct check_array *check_indices(struct check *c, const char *name, uint64_t count,
                                  uint32_t bound);

// Outputs, filled with NaN, f64 too: elements for which the case sets no value must stay untouched.
struct check_array *check_output(struct check *c, const char *name, uint64_t count);
// Outputs that the op updates: normal values to start from, in f64 too.
struct check_array *check_updated(struct check *c, const char *name, uint64_t count, double std);
// Scratch, filled with NaN.
struct check_array *check_scratch(struct check *c, const char *name, uint64_t bytes);

// check_normal() and check_updated() of weights and of gradients, stored as the row asks.
struct check_array *check_weights(struct check *c, const char *name, uint64_t count, double std);
struct check_array *check_gradient(struct check *c, const char *name, uint64_t count, double std);

// Keeps an array of floats as bf16 on the device: its values, in f64 too, are rounded to it. An
// output is right if it is the rounding of a value that is as near to the wanted one as tolerances
// ask.
void check_store_bf16(struct check_array *a);

// An array in an arena of its own cut into spans of `span_bytes`, with normal values; `count` is a
// multiple of 256. Output (updated) or input.
struct check_array *check_spans(struct check *c, const char *name, enum check_role role,
                                uint64_t count, uint64_t span_bytes, double std);

// The same of master weights (fp32, or their halves) and of gradients, stored as the row asks, in
// spans of as many elements.
struct check_array *check_master_spans(struct check *c, const char *name, enum check_role role,
                                       uint64_t count, uint64_t span_bytes, double std);
struct check_array *check_gradient_spans(struct check *c, const char *name, enum check_role role,
                                         uint64_t count, uint64_t span_bytes, double std);

// As the kernels of updates see such an array; zeroed if the device has failed.
struct op_arena check_arena(const struct check *c, const struct check_array *a);

// Cost of one run, for --perf.
void check_cost(struct check *c, double flops, double bytes);

// Runs and judges; see above. Call once, last or before looking at `got`.
void check_run(struct check *c, vk_record_fn record, void *ctx);

void check_fail(struct check *c, const char *fmt, ...) BASE_PRINTF(2, 3);
void check_skip(struct check *c, const char *fmt, ...) BASE_PRINTF(2, 3);

// Whether the device computes in these units, on matrices of free sizes if that is asked; skips the
// case if not.
bool check_has_units(struct check *c, enum op_units units, bool free_sizes);

// static void record_NAME(s, ctx): records op function NAME with its struct.
#define CHECK_RECORD(name, type)                                                                   \
    static void record_##name(struct vk_seq *s, void *ctx)                                         \
    {                                                                                              \
        name(s, (const struct type *)ctx);                                                         \
    }

#endif
