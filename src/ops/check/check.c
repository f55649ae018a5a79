#include "ops/check/check.h"

#include "base/mem.h"
#include "base/str.h"
#include "ops/check/harness.h"

#include <stdio.h>
#include <string.h>

#define ARENA_BYTES ((uint64_t)768 << 20)

static const struct check_table *const tables[] = {
    &check_rows, &check_move, &check_linear, &check_attention,  &check_head,
    &check_pref, &check_loss, &check_update, &check_adamw_8bit, &check_head_frozen};
#define TABLES (sizeof tables / sizeof *tables)

const char *op_check_name(size_t index)
{
    const char *last = "";
    for (size_t t = 0; t < TABLES; t++)
        for (size_t i = 0; i < tables[t]->count; i++) {
            if (strcmp(tables[t]->cases[i].op, last) == 0) continue;
            last = tables[t]->cases[i].op;
            if (index-- == 0) return last;
        }
    return NULL;
}

// "T=31 C=257" from "T C" and the sizes.
static void write_shape(char *out, size_t size, const struct check_case *row)
{
    size_t used = 0, n = 0;
    out[0] = 0;
    for (const char *p = row->letters; *p && used < size; n++) {
        size_t len = strcspn(p, " ");
        used += (size_t)snprintf(out + used, size - used, "%s%.*s=%u", n ? " " : "", (int)len, p,
                                 (unsigned)row->size[n]);
        p += len;
        while (*p == ' ')
            p++;
    }
}

static void release(struct check *c)
{
    for (size_t i = 0; i < c->arrays.count; i++) {
        struct check_array *a = c->arrays.items[i];
        if (a->arena) vk_arena_finish(a->arena);
        if (a->lower) vk_arena_finish(a->lower);
        mem_free(a->arena);
        mem_free(a->lower);
        mem_free(a->f32);
        mem_free(a->f64);
        mem_free(a->u32);
        mem_free(a->got);
        mem_free(a->again);
        mem_free(a);
    }
    ARRAY_FREE(&c->arrays);
}

// Which random numbers a case has: by what it is, not by its place in the table, so that a new case
// leaves the others as they were.
static uint32_t numbers_of(const struct op_check_result *case_)
{
    const char *const texts[] = {case_->op, case_->dtype, case_->shape};
    uint32_t hash = 2166136261u; // FNV-1a
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (const char *at = texts[i]; *at; at++)
            hash = (hash ^ (unsigned char)*at) * 16777619u;
    return hash;
}

// False if the device failed; the error says why.
static bool run_case(struct check *c, const struct check_case *row,
                     struct op_check_summary *summary)
{
    struct op_check_result result = {.op = row->op, .dtype = row->dtype ? row->dtype : "f32"};
    write_shape(result.shape, sizeof result.shape, row);
    c->result = &result;
    c->dw_type = row->dtype && strcmp(row->dtype, CHECK_BF16_GRADS) == 0 ? OP_BF16 : OP_F32;
    c->w_type = row->dtype && strcmp(row->dtype, CHECK_BF16) == 0 ? OP_BF16 : c->dw_type;
    c->rng = rng_begin(c->params->seed ? c->params->seed : 42, RNG_TEST);
    c->rng.index = (uint64_t)numbers_of(&result) << 32;
    c->judged = !row->timed && !c->params->compile;
    c->tolerance_nmse = row->nmse > 0 ? row->nmse : 1e-12;
    c->tolerance_worst = row->worst > 0 ? row->worst : 2e-5;
    c->flops = c->bytes = 0;
    uint64_t mark = vk_arena_mark(&c->arena);
    row->run(c, row->size);
    release(c);
    vk_arena_release(&c->arena, mark);
    if (c->device_failed) return err_context("%s %s", result.op, result.shape);
    if (c->params->compile && result.status == OP_CHECK_FAILED) {
        // A case that looked at results for itself saw zeros.
        result.status = OP_CHECK_PASSED;
        result.message[0] = '\0';
    }
    summary->passed += result.status == OP_CHECK_PASSED;
    summary->failed += result.status == OP_CHECK_FAILED;
    summary->skipped += result.status == OP_CHECK_SKIPPED;
    if (c->params->report) c->params->report(c->params->ctx, &result);
    return true;
}

static bool none_named(const char *name)
{
    const char *names[256];
    size_t count = 0;
    while (count < 256 && (names[count] = op_check_name(count)))
        count++;
    const char *near = str_nearest(name, names, count);
    return err_user("no op is called %s%s%s", name, near ? "; did you mean " : "",
                    near ? near : "");
}

bool op_check_run(struct vk_device *device, const struct op_check_params *params,
                  struct op_check_summary *summary)
{
    struct check c = {.device = device, .params = params};
    bool ok = true;
    *summary = (struct op_check_summary){0};
    if (!vk_arena_init(&c.arena, device,
                       &(struct vk_arena_params){.name = "op check", .bytes = ARENA_BYTES}))
        return false;
    for (size_t t = 0; ok && t < TABLES; t++)
        for (size_t i = 0; ok && i < tables[t]->count; i++) {
            const struct check_case *row = &tables[t]->cases[i];
            if (params->op && !str_starts_with(row->op, params->op)) continue;
            if (row->timed && !params->perf && !params->compile) continue;
            ok = run_case(&c, row, summary);
        }
    vk_arena_finish(&c.arena);
    if (ok && params->op && summary->passed + summary->failed + summary->skipped == 0)
        return none_named(params->op);
    return ok;
}
