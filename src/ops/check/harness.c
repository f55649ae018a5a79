#include "ops/check/harness.h"

#include "base/dtype.h"
#include "base/mem.h"
#include "base/system.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define GUARD_BYTES 256
// A quiet NaN with a payload of its own: reads beyond an array show up in results, writes as a
// change.
#define GUARD_WORD 0x7fc0beefu
#define UNTOUCHED_WORD 0x7fc01234u
// Random values repeat after this many, since drawing them takes longer than the kernels.
#define DRAWN ((uint64_t)1 << 20)

void check_fail(struct check *c, const char *fmt, ...)
{
    if (c->result->status == OP_CHECK_FAILED) return; // the first reason is the one to tell
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->result->message, sizeof c->result->message, fmt, args);
    va_end(args);
    c->result->status = OP_CHECK_FAILED;
}

void check_skip(struct check *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->result->message, sizeof c->result->message, fmt, args);
    va_end(args);
    c->result->status = OP_CHECK_SKIPPED;
}

bool check_has_units(struct check *c, enum op_units units, bool free_sizes)
{
    bool has = free_sizes ? op_units_grains(c->device, units) != NULL
                          : op_units_matrix(c->device, units) != NULL;
    if (units == OP_UNITS_FP32 || has) return true;
    check_skip(c, "the device has no matrix units for %s%s, or this build no kernels for them",
               op_units_name(units), free_sizes ? " in matrices of free sizes" : "");
    return false;
}

void check_cost(struct check *c, double flops, double bytes)
{
    c->flops = flops;
    c->bytes = bytes;
}

static struct check_array *new_array(struct check *c, const char *name, enum check_role role,
                                     uint64_t count)
{
    struct check_array *a = MEM_NEW(struct check_array);
    a->name = name;
    a->role = role;
    a->count = count;
    ARRAY_PUSH(&c->arrays, a);
    return a;
}

static void place(struct check *c, struct check_array *a)
{
    a->addr = vk_arena_alloc(&c->arena, a->count * 4 + 2 * GUARD_BYTES) + GUARD_BYTES;
}

struct check_array *check_floats(struct check *c, const char *name, uint64_t count)
{
    struct check_array *a = new_array(c, name, CHECK_INPUT, count);
    a->f32 = MEM_ARRAY(float, count);
    a->f64 = MEM_ARRAY(double, count);
    place(c, a);
    return a;
}

struct check_array *check_words(struct check *c, const char *name, uint64_t count)
{
    struct check_array *a = new_array(c, name, CHECK_INPUT, count);
    a->u32 = MEM_ARRAY(uint32_t, count);
    place(c, a);
    return a;
}

struct check_array *check_word(struct check *c, const char *name, uint32_t value)
{
    struct check_array *a = check_words(c, name, 1);
    a->u32[0] = value;
    return a;
}

struct check_array *check_indices(struct check *c, const char *name, uint64_t count, uint32_t bound)
{
    struct check_array *a = check_words(c, name, count);
    for (uint64_t i = 0; i < count; i++)
        a->u32[i] = (uint32_t)rng_below(&c->rng, bound);
    return a;
}

static void draw_normal(struct check *c, struct check_array *a, double std)
{
    if (c->params->compile) return; // nobody reads them
    for (uint64_t i = 0; i < a->count; i++) {
        a->f32[i] = i < DRAWN ? (float)(std * rng_normal(&c->rng)) : a->f32[i - DRAWN];
        a->f64[i] = (double)a->f32[i];
    }
}

struct check_array *check_normal(struct check *c, const char *name, uint64_t count, double std)
{
    struct check_array *a = check_floats(c, name, count);
    draw_normal(c, a, std);
    return a;
}

struct check_array *check_uniform(struct check *c, const char *name, uint64_t count, double low,
                                  double high)
{
    struct check_array *a = check_floats(c, name, count);
    if (c->params->compile) return a;
    for (uint64_t i = 0; i < count; i++) {
        a->f32[i] = (float)(low + (high - low) * rng_uniform(&c->rng));
        a->f64[i] = (double)a->f32[i];
    }
    return a;
}

struct check_array *check_updated(struct check *c, const char *name, uint64_t count, double std)
{
    struct check_array *a = check_normal(c, name, count, std);
    a->role = CHECK_OUTPUT;
    return a;
}

static void fill_words(void *dst, uint64_t count, uint32_t word)
{
    for (uint64_t i = 0; i < count; i++)
        memcpy((uint8_t *)dst + 4 * i, &word, 4);
}

struct check_array *check_output(struct check *c, const char *name, uint64_t count)
{
    struct check_array *a = check_floats(c, name, count);
    a->role = CHECK_OUTPUT;
    fill_words(a->f32, count, UNTOUCHED_WORD);
    for (uint64_t i = 0; i < count; i++)
        a->f64[i] = (double)NAN;
    return a;
}

struct check_array *check_scratch(struct check *c, const char *name, uint64_t bytes)
{
    struct check_array *a = check_words(c, name, (bytes + 3) / 4);
    a->role = CHECK_SCRATCH;
    fill_words(a->u32, a->count, UNTOUCHED_WORD);
    return a;
}

void check_store_bf16(struct check_array *a)
{
    a->type = OP_BF16;
    for (uint64_t i = 0; i < a->count; i++) {
        a->f32[i] = dtype_from_bf16(dtype_to_bf16(a->f32[i]));
        if (!isnan(a->f64[i])) a->f64[i] = (double)a->f32[i];
    }
}

struct check_array *check_weights(struct check *c, const char *name, uint64_t count, double std)
{
    struct check_array *a = check_normal(c, name, count, std);
    if (c->w_type == OP_BF16) check_store_bf16(a);
    return a;
}

struct check_array *check_gradient(struct check *c, const char *name, uint64_t count, double std)
{
    struct check_array *a = check_updated(c, name, count, std);
    if (c->dw_type == OP_BF16) check_store_bf16(a);
    return a;
}

// An arena whose spans are all taken; NULL if the device has none left.
static struct vk_arena *spans(struct check *c, const char *name, uint64_t bytes,
                              uint64_t span_bytes)
{
    struct vk_arena *arena = MEM_NEW(struct vk_arena);
    if (!vk_arena_init(
            arena, c->device,
            &(struct vk_arena_params){.name = name, .bytes = bytes, .span_bytes = span_bytes})) {
        c->device_failed = true;
        return arena;
    }
    for (uint64_t at = 0; at < bytes; at += span_bytes)
        vk_arena_alloc(arena, bytes - at < span_bytes ? bytes - at : span_bytes);
    return arena;
}

static struct check_array *span_array(struct check *c, const char *name, enum check_role role,
                                      uint64_t count, double std)
{
    struct check_array *a = new_array(c, name, role, count);
    a->f32 = MEM_ARRAY(float, count);
    a->f64 = MEM_ARRAY(double, count);
    draw_normal(c, a, std);
    return a;
}

struct check_array *check_spans(struct check *c, const char *name, enum check_role role,
                                uint64_t count, uint64_t span_bytes, double std)
{
    struct check_array *a = span_array(c, name, role, count, std);
    a->arena = spans(c, name, count * 4, span_bytes);
    return a;
}

struct check_array *check_gradient_spans(struct check *c, const char *name, enum check_role role,
                                         uint64_t count, uint64_t span_bytes, double std)
{
    if (c->dw_type == OP_F32) return check_spans(c, name, role, count, span_bytes, std);
    struct check_array *a = span_array(c, name, role, count, std);
    check_store_bf16(a);
    a->arena = spans(c, name, count * 2, span_bytes / 2);
    return a;
}

struct check_array *check_master_spans(struct check *c, const char *name, enum check_role role,
                                       uint64_t count, uint64_t span_bytes, double std)
{
    if (c->w_type == OP_F32) return check_spans(c, name, role, count, span_bytes, std);
    struct check_array *a = span_array(c, name, role, count, std);
    a->arena = spans(c, name, count * 2, span_bytes / 2);
    a->lower = spans(c, name, count * 2, span_bytes / 2);
    return a;
}

struct op_arena check_arena(const struct check *c, const struct check_array *a)
{
    if (c->device_failed) return (struct op_arena){0};
    return a->lower || a->type == OP_BF16 ? op_half_arena_of(a->arena, a->lower)
                                          : op_arena_of(a->arena);
}

static const uint8_t *initial_bytes(const struct check_array *a)
{
    return a->f32 ? (const uint8_t *)a->f32 : (const uint8_t *)a->u32;
}

// ---- on the device ----

static uint64_t device_bytes(const struct check_array *a)
{
    return a->count * op_type_bytes(a->type);
}

// Calls vk_write or vk_read for each span of an arena that holds `total` bytes.
static bool transfer_spans(struct check *c, const struct vk_arena *arena, bool write,
                           uint8_t *bytes, uint64_t total)
{
    for (uint64_t at = 0; at < total; at += arena->span_bytes) {
        uint64_t part = total - at < arena->span_bytes ? total - at : arena->span_bytes;
        vk_addr addr = arena->spans[at / arena->span_bytes].addr;
        if (!(write ? vk_write(c->device, addr, bytes + at, part)
                    : vk_read(c->device, addr, bytes + at, part)))
            return false;
    }
    return true;
}

// The array as the device has it: its words, or bf16 that hold the values exactly.
static void encode(const struct check_array *a, uint8_t *to)
{
    const uint8_t *from = initial_bytes(a);
    if (a->type == OP_F32) {
        if (a->count) memcpy(to, from, a->count * 4);
        return;
    }
    for (uint64_t i = 0; i < a->count; i++) {
        uint32_t bits;
        memcpy(&bits, from + 4 * i, 4);
        uint16_t half = (uint16_t)(bits >> 16);
        memcpy(to + 2 * i, &half, 2);
    }
}

// The other way round.
static void decode(const struct check_array *a, const uint8_t *from, uint8_t *to)
{
    if (a->type == OP_F32) {
        memmove(to, from, a->count * 4);
        return;
    }
    for (uint64_t i = 0; i < a->count; i++) {
        uint16_t half;
        memcpy(&half, from + 2 * i, 2);
        uint32_t bits = (uint32_t)half << 16;
        memcpy(to + 4 * i, &bits, 4);
    }
}

// Master weights go through their two arenas of halves, taken apart and put together again as
// shaders/arena_types.glsl says.
static bool transfer_masters(struct check *c, const struct check_array *a, bool write,
                             uint8_t *bytes)
{
    uint16_t *upper = MEM_ARRAY(uint16_t, a->count), *lower = MEM_ARRAY(uint16_t, a->count);
    uint32_t bits;
    for (uint64_t i = 0; write && i < a->count; i++) {
        memcpy(&bits, bytes + 4 * i, 4);
        upper[i] = (uint16_t)((bits + 0x8000u) >> 16);
        lower[i] = (uint16_t)bits;
    }
    bool ok = transfer_spans(c, a->arena, write, (uint8_t *)upper, 2 * a->count) &&
              transfer_spans(c, a->lower, write, (uint8_t *)lower, 2 * a->count);
    for (uint64_t i = 0; !write && i < a->count; i++) {
        bits = ((uint32_t)upper[i] << 16) + (uint32_t)(int32_t)(int16_t)lower[i];
        memcpy(bytes + 4 * i, &bits, 4);
    }
    mem_free(upper);
    mem_free(lower);
    return ok;
}

static bool send(struct check *c, struct check_array *a)
{
    uint64_t bytes = device_bytes(a);
    uint8_t *image = MEM_ARRAY(uint8_t, a->count * 4 + 2 * GUARD_BYTES);
    bool ok;
    fill_words(image, GUARD_BYTES / 4, GUARD_WORD);
    encode(a, image + GUARD_BYTES);
    fill_words(image + GUARD_BYTES + bytes, GUARD_BYTES / 4, GUARD_WORD);
    if (a->lower) {
        memcpy(image, a->f32, a->count * 4);
        ok = transfer_masters(c, a, true, image);
    } else if (a->arena) {
        ok = transfer_spans(c, a->arena, true, image + GUARD_BYTES, bytes);
    } else {
        ok = vk_write(c->device, a->addr - GUARD_BYTES, image, bytes + 2 * GUARD_BYTES);
    }
    mem_free(image);
    return ok;
}

static bool read_image(struct check *c, const struct check_array *a, uint8_t *image)
{
    if (a->lower) return transfer_masters(c, a, false, image);
    if (a->arena) return transfer_spans(c, a->arena, false, image, device_bytes(a));
    return vk_read(c->device, a->addr - GUARD_BYTES, image, device_bytes(a) + 2 * GUARD_BYTES);
}

// Reads an array back without its guards and looks whether those still stand.
static uint8_t *receive(struct check *c, struct check_array *a)
{
    uint64_t bytes = device_bytes(a);
    uint8_t *image = MEM_ARRAY(uint8_t, a->count * 4 + 2 * GUARD_BYTES);
    if (!read_image(c, a, image)) {
        mem_free(image);
        return NULL;
    }
    uint8_t guard[GUARD_BYTES], *values = image;
    if (!a->arena) {
        values = image + GUARD_BYTES;
        fill_words(guard, GUARD_BYTES / 4, GUARD_WORD);
        if (memcmp(image, guard, GUARD_BYTES) != 0)
            check_fail(c, "%s: wrote in front of the array", a->name);
        if (memcmp(values + bytes, guard, GUARD_BYTES) != 0)
            check_fail(c, "%s: wrote past the end of the array", a->name);
    }
    if (a->lower) return image;
    uint8_t *decoded = MEM_ARRAY(uint8_t, a->count * 4 + 1);
    decode(a, values, decoded);
    mem_free(image);
    return decoded;
}

// ---- judgement ----

// How far an element is from the wanted value. A bf16 that is the rounding of a value within `near`
// of it is not off at all.
static double error_of(const struct check_array *a, float got, double want, double near)
{
    if (a->type == OP_BF16) {
        float low = dtype_from_bf16(dtype_to_bf16((float)(want - near)));
        float high = dtype_from_bf16(dtype_to_bf16((float)(want + near)));
        if (got >= low && got <= high) return 0;
    }
    return fabs((double)got - want);
}

static double rms_of_wanted(const struct check_array *a)
{
    double power = 0;
    uint64_t judged = 0;
    for (uint64_t i = 0; i < a->count; i++) {
        if (isnan(a->f64[i])) continue;
        power += a->f64[i] * a->f64[i];
        judged++;
    }
    return judged ? sqrt(power / (double)judged) : 0;
}

static void judge_output(struct check *c, const struct check_array *a)
{
    double error = 0, power = 0, worst = 0;
    double near = a->type == OP_BF16 ? c->tolerance_worst * rms_of_wanted(a) : 0;
    uint64_t worst_at = 0, judged = 0;
    for (uint64_t i = 0; i < a->count; i++) {
        float got;
        if (isinf(a->f64[i])) continue;
        memcpy(&got, a->got + 4 * i, 4);
        if (isnan(a->f64[i])) {
            if (memcmp(a->got + 4 * i, &a->f32[i], 4) != 0) {
                check_fail(c, "%s[%llu] is not the op's to write, and is %g now", a->name,
                           (unsigned long long)i, (double)got);
                return;
            }
            continue;
        }
        if (!isfinite(got)) {
            check_fail(c, "%s[%llu] is %g, want %.9g", a->name, (unsigned long long)i, (double)got,
                       a->f64[i]);
            return;
        }
        double e = error_of(a, got, a->f64[i], near);
        error += e * e;
        power += a->f64[i] * a->f64[i];
        judged++;
        if (e > worst) {
            worst = e;
            worst_at = i;
        }
    }
    if (judged == 0) return;
    double rms = sqrt(power / (double)judged);
    double nmse = power > 0 ? error / power : error;
    double relative = rms > 0 ? worst / rms : worst;
    if (nmse > c->result->nmse) c->result->nmse = nmse;
    if (relative > c->result->worst) c->result->worst = relative;
    if (nmse > c->tolerance_nmse || relative > c->tolerance_worst) {
        float got;
        memcpy(&got, a->got + 4 * worst_at, 4);
        check_fail(c,
                   "%s: nmse %.2e (limit %.0e), worst %.2e (limit %.0e) at [%llu]: %.9g, want %.9g",
                   a->name, nmse, c->tolerance_nmse, relative, c->tolerance_worst,
                   (unsigned long long)worst_at, (double)got, a->f64[worst_at]);
    }
}

static void judge(struct check *c, const struct check_array *a)
{
    if (a->role == CHECK_INPUT && memcmp(a->got, initial_bytes(a), a->count * 4) != 0)
        check_fail(c, "%s: an input was changed", a->name);
    if (a->role == CHECK_OUTPUT && c->judged) judge_output(c, a);
    if (a->role == CHECK_OUTPUT && memcmp(a->got, a->again, a->count * 4) != 0)
        check_fail(c, "%s: two runs differ", a->name);
}

// Writes every array, runs, reads every array. False if the device failed.
static bool run_once(struct check *c, vk_record_fn record, void *ctx, bool again)
{
    for (size_t i = 0; i < c->arrays.count; i++)
        if (!send(c, c->arrays.items[i])) return false;
    if (!vk_run_once(c->device, c->result->op, record, ctx)) return false;
    for (size_t i = 0; i < c->arrays.count; i++) {
        struct check_array *a = c->arrays.items[i];
        uint8_t *bytes = receive(c, a);
        if (!bytes) return false;
        *(again ? &a->again : &a->got) = bytes;
    }
    return true;
}

// Fastest of several runs, each waited for.
static bool measure(struct check *c, vk_record_fn record, void *ctx)
{
    struct vk_seq *s = vk_seq_create(c->device, c->result->op, record, ctx);
    double best = HUGE_VAL, total = 0;
    bool ok = s != NULL;
    for (int i = 0; ok && i < 200 && (i < 4 || total < 0.4); i++) {
        double begin = sys_seconds();
        ok = vk_seq_submit(s) && vk_wait_all(c->device);
        double seconds = sys_seconds() - begin;
        total += seconds;
        if (seconds < best) best = seconds;
    }
    vk_seq_destroy(s);
    if (!ok) return false;
    c->result->seconds = best;
    c->result->gflops = c->flops / best * 1e-9;
    c->result->gbps = c->bytes / best * 1e-9;
    return true;
}

// Records for the pipelines' sake. Cases may look at results afterwards: they are zeros.
static bool compile(struct check *c, vk_record_fn record, void *ctx)
{
    for (size_t i = 0; i < c->arrays.count; i++) {
        struct check_array *a = c->arrays.items[i];
        a->got = MEM_ARRAY(uint8_t, a->count * 4);
        a->again = MEM_ARRAY(uint8_t, a->count * 4);
    }
    return vk_run_once(c->device, c->result->op, record, ctx);
}

void check_run(struct check *c, vk_record_fn record, void *ctx)
{
    if (c->device_failed) return;
    if (c->params->compile) {
        c->device_failed = !compile(c, record, ctx);
        return;
    }
    if (!run_once(c, record, ctx, false) || !run_once(c, record, ctx, true)) {
        c->device_failed = true;
        return;
    }
    for (size_t i = 0; i < c->arrays.count; i++)
        judge(c, c->arrays.items[i]);
    if (c->params->perf && c->result->status == OP_CHECK_PASSED)
        c->device_failed = !measure(c, record, ctx);
}
