#include "ops/check/harness.h"

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

struct check_array *check_spans(struct check *c, const char *name, enum check_role role,
                                uint64_t count, uint64_t span_bytes, double std)
{
    struct check_array *a = new_array(c, name, role, count);
    a->f32 = MEM_ARRAY(float, count);
    a->f64 = MEM_ARRAY(double, count);
    a->arena = MEM_NEW(struct vk_arena);
    draw_normal(c, a, std);
    if (!vk_arena_init(a->arena, c->device,
                       &(struct vk_arena_params){
                           .name = name, .bytes = count * 4, .span_bytes = span_bytes})) {
        c->device_failed = true;
        return a;
    }
    for (uint64_t at = 0; at < count * 4; at += span_bytes)
        vk_arena_alloc(a->arena, count * 4 - at < span_bytes ? count * 4 - at : span_bytes);
    return a;
}

static const uint8_t *initial_bytes(const struct check_array *a)
{
    return a->f32 ? (const uint8_t *)a->f32 : (const uint8_t *)a->u32;
}

// Calls vk_write or vk_read for each span of an array; `bytes` is the array without guards.
static bool transfer_spans(struct check *c, struct check_array *a, bool write, uint8_t *bytes)
{
    uint64_t total = a->count * 4;
    for (uint64_t at = 0; at < total; at += a->arena->span_bytes) {
        uint64_t part = total - at < a->arena->span_bytes ? total - at : a->arena->span_bytes;
        vk_addr addr = a->arena->spans[at / a->arena->span_bytes].addr;
        if (!(write ? vk_write(c->device, addr, bytes + at, part)
                    : vk_read(c->device, addr, bytes + at, part)))
            return false;
    }
    return true;
}

static bool send(struct check *c, struct check_array *a)
{
    uint64_t bytes = a->count * 4;
    uint8_t *image = MEM_ARRAY(uint8_t, bytes + 2 * GUARD_BYTES);
    bool ok;
    fill_words(image, GUARD_BYTES / 4, GUARD_WORD);
    if (bytes) memcpy(image + GUARD_BYTES, initial_bytes(a), bytes);
    fill_words(image + GUARD_BYTES + bytes, GUARD_BYTES / 4, GUARD_WORD);
    if (a->arena)
        ok = transfer_spans(c, a, true, image + GUARD_BYTES);
    else
        ok = vk_write(c->device, a->addr - GUARD_BYTES, image, bytes + 2 * GUARD_BYTES);
    mem_free(image);
    return ok;
}

// Reads an array back without its guards and looks whether those still stand.
static uint8_t *receive(struct check *c, struct check_array *a)
{
    uint64_t bytes = a->count * 4;
    uint8_t *image = MEM_ARRAY(uint8_t, bytes + 2 * GUARD_BYTES);
    if (!(a->arena ? transfer_spans(c, a, false, image)
                   : vk_read(c->device, a->addr - GUARD_BYTES, image, bytes + 2 * GUARD_BYTES))) {
        mem_free(image);
        return NULL;
    }
    if (a->arena) return image;
    uint8_t guard[GUARD_BYTES];
    fill_words(guard, GUARD_BYTES / 4, GUARD_WORD);
    if (memcmp(image, guard, GUARD_BYTES) != 0)
        check_fail(c, "%s: wrote in front of the array", a->name);
    if (memcmp(image + GUARD_BYTES + bytes, guard, GUARD_BYTES) != 0)
        check_fail(c, "%s: wrote past the end of the array", a->name);
    memmove(image, image + GUARD_BYTES, bytes);
    return image;
}

static void judge_output(struct check *c, const struct check_array *a)
{
    double error = 0, power = 0, worst = 0;
    uint64_t worst_at = 0, judged = 0;
    for (uint64_t i = 0; i < a->count; i++) {
        float got;
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
        double e = fabs((double)got - a->f64[i]);
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
