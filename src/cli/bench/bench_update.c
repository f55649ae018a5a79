// Updates over whole arenas, beside a plain copy on the same device: AdamW in every form that
// training has, the gradient norm and the reference update. All are bound by memory.
#include "cli/bench/bench.h"

#include "args.h"
#include "base/mem.h"
#include "ops/update.h"

#include <string.h>

#define SPAN_ELEMENTS ((uint64_t)1 << 28)

// The arenas of a form: fp32, or with halves the upper and lower ones of masters.
struct update {
    struct vk_arena weight, weight_lower, ref, ref_lower, grad, m, v, rest;
    bool halves, coded;
    enum op_type grad_type;
    vk_addr scales, step, results, partial;
};

static struct op_arena masters(const struct update *u, const struct vk_arena *upper,
                               const struct vk_arena *lower)
{
    return u->halves ? op_half_arena_of(upper, lower) : op_arena_of(upper);
}

static struct op_arena gradient(const struct update *u)
{
    return u->grad_type == OP_BF16 ? op_half_arena_of(&u->grad, NULL) : op_arena_of(&u->grad);
}

static void record_copy(struct vk_seq *s, void *ctx)
{
    const struct update *u = ctx;
    vk_copy(s, u->ref.spans[0].addr, u->weight.spans[0].addr, u->ref.used);
}

static void record_ref_update(struct vk_seq *s, void *ctx)
{
    const struct update *u = ctx;
    op_ref_update(s, &(struct op_ref_update){.ref = masters(u, &u->ref, &u->ref_lower),
                                             .policy = masters(u, &u->weight, &u->weight_lower),
                                             .results = u->results,
                                             .alpha = 0.6f});
}

static void record_grad_norm(struct vk_seq *s, void *ctx)
{
    const struct update *u = ctx;
    op_grad_norm(
        s, &(struct op_grad_norm){
               .grad = gradient(u), .results = u->results, .partial = u->partial, .max_norm = 1});
}

static void record_adamw(struct vk_seq *s, void *ctx)
{
    const struct update *u = ctx;
    op_adamw(s, &(struct op_adamw){.weight = masters(u, &u->weight, &u->weight_lower),
                                   .grad = gradient(u),
                                   .m = op_arena_of(&u->m),
                                   .v = op_arena_of(&u->v),
                                   .step = u->step,
                                   .results = u->results,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .epsilon = 1e-8f});
}

static void record_adamw_8bit(struct vk_seq *s, void *ctx)
{
    const struct update *u = ctx;
    op_adamw_8bit(s, &(struct op_adamw_8bit){.weight = masters(u, &u->weight, &u->weight_lower),
                                             .grad = gradient(u),
                                             .m = op_code_arena_of(&u->m),
                                             .v = op_code_arena_of(&u->v),
                                             .scales = u->scales,
                                             .step = u->step,
                                             .results = u->results,
                                             .beta1 = 0.9,
                                             .beta2 = 0.999,
                                             .epsilon = 1e-8f});
}

// An arena of one span that is all in use, of elements of `size` bytes.
static bool open_arena(struct vk_arena *a, struct vk_device *d, const char *name, uint64_t count,
                       uint64_t size, bool filled)
{
    if (!vk_arena_init(a, d,
                       &(struct vk_arena_params){.name = name,
                                                 .bytes = count * size,
                                                 .span_bytes = SPAN_ELEMENTS * size}))
        return false;
    bool ok = true;
    if (filled)
        bench_numbers(a, count * size / 4, &ok);
    else
        vk_arena_alloc(a, count * size);
    return ok;
}

static void close_update(struct update *u)
{
    struct vk_arena *all[] = {&u->weight, &u->weight_lower, &u->ref, &u->ref_lower, &u->grad, &u->m,
                              &u->v,      &u->rest};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        vk_arena_finish(all[i]);
}

// Whatever halves hold serves: kernels take as long for any finite number.
static bool open_update(struct update *u, struct vk_device *d, uint64_t count)
{
    uint64_t weight = u->halves ? 2 : 4, moment = u->coded ? 1 : 4;
    uint64_t scales = count / 256 * OP_ADAMW_8BIT_SCALE_BYTES;
    if (!open_arena(&u->weight, d, "bench weights", count, weight, !u->halves) ||
        !open_arena(&u->ref, d, "bench reference", count, weight, !u->halves) ||
        !open_arena(&u->grad, d, "bench gradient", count, op_type_bytes(u->grad_type),
                    u->grad_type == OP_F32) ||
        !open_arena(&u->m, d, "bench moments", count, moment, false) ||
        !open_arena(&u->v, d, "bench moments", count, moment, false) ||
        (u->halves && (!open_arena(&u->weight_lower, d, "bench lower halves", count, 2, false) ||
                       !open_arena(&u->ref_lower, d, "bench lower halves", count, 2, false))))
        return false;
    if (!vk_arena_init(
            &u->rest, d,
            &(struct vk_arena_params){.name = "bench scratch",
                                      .bytes = scales + OP_GRAD_NORM_PARTIAL_BYTES + 8192}))
        return false;
    u->scales = vk_arena_alloc(&u->rest, scales);
    u->partial = vk_arena_alloc(&u->rest, OP_GRAD_NORM_PARTIAL_BYTES);
    u->step = vk_arena_alloc(&u->rest, sizeof(struct step_values));
    u->results = vk_arena_alloc(&u->rest, sizeof(struct step_results));
    struct step_values values = {.learning_rate = 1e-5f};
    for (int i = 0; i < STEP_UNKNOWN_SKIPS; i++)
        values.correction1[i] = 0.1f, values.correction2[i] = 0.001f;
    struct step_results results = {.clip_factor = 1};
    return vk_write(d, u->step, &values, sizeof values) &&
           vk_write(d, u->results, &results, sizeof results);
}

struct timed {
    const char *name;
    vk_record_fn record;
    double bytes; // an element, read and written
};

static bool report_times(const struct bench *b, struct update *u, uint64_t count, const char *dtype,
                         const struct timed *timed, size_t n)
{
    double copy, seconds, element = u->halves ? 2 : 4;
    if (!bench_time(b, "copy", record_copy, u, &copy)) return false;
    struct bench_result r = {.name = "copy",
                             .shape = {(uint32_t)count},
                             .dtype = dtype,
                             .seconds = copy,
                             .gbps = 2e-9 * element * (double)count / copy};
    double copy_rate = r.gbps;
    b->report(b->ctx, &r);
    for (size_t i = 0; i < n; i++) {
        if (!bench_time(b, timed[i].name, timed[i].record, u, &seconds)) return false;
        r.name = timed[i].name;
        r.seconds = seconds;
        r.gbps = 1e-9 * timed[i].bytes * (double)count / seconds;
        r.of_copy = r.gbps / copy_rate;
        b->report(b->ctx, &r);
    }
    return true;
}

// Larger than any cache: 64 Mi weights, 256 Mi on a GPU that has room for them.
static uint64_t weights_of(const struct bench *b)
{
    const struct vk_caps *caps = vk_device_caps(b->device);
    uint64_t few = 64ull << 20, many = 256ull << 20;
    bool roomy = caps->kind != VK_KIND_CPU && caps->memory_free_bytes > 24 * many &&
                 caps->max_allocation_bytes > 4 * many + (1u << 20);
    return roomy ? many : few;
}

bool bench_ref_update(const struct bench *b)
{
    uint64_t count = weights_of(b);
    for (int halves = 0; halves < 2; halves++) {
        struct update u = {.halves = halves};
        // The update reads two arenas and writes one, of 4 bytes in either form.
        const struct timed timed[] = {{"ref_update", record_ref_update, 12}};
        bool ok = open_update(&u, b->device, count) &&
                  report_times(b, &u, count, halves ? "bf16" : "f32", timed, 1);
        close_update(&u);
        if (!ok) return false;
    }
    return true;
}

bool bench_adamw(const struct bench *b)
{
    static const struct {
        bool halves;
        enum op_type grad;
        const char *dtype;
    } forms[] = {{false, OP_F32, "f32"}, {true, OP_F32, "bf16"}, {true, OP_BF16, "bf16 grads"}};
    uint64_t count = weights_of(b);
    for (size_t i = 0; i < 2 * (sizeof forms / sizeof *forms); i++) {
        struct update u = {
            .halves = forms[i / 2].halves, .grad_type = forms[i / 2].grad, .coded = i % 2};
        double grad = op_type_bytes(u.grad_type);
        // Weight, gradient (read, then cleared) and both moments are read and written.
        const struct timed exact[] = {{"grad_norm", record_grad_norm, grad},
                                      {"adamw", record_adamw, 24 + 2 * grad}};
        const struct timed coded[] = {
            {"adamw_8bit", record_adamw_8bit, 12 + 2 * grad + 16.0 / 256}};
        bool ok = open_update(&u, b->device, count) &&
                  report_times(b, &u, count, forms[i / 2].dtype, u.coded ? coded : exact,
                               u.coded ? 1 : 2);
        close_update(&u);
        if (!ok) return false;
    }
    return true;
}
