// The memory of a run, printed and judged before anything is allocated.
#include "train/run.h"

#include "base/error.h"
#include "base/log.h"
#include "vk/device.h"

struct entry {
    const char *name;
    uint64_t bytes;
};

static bool refuse(const struct train_run *run, uint64_t total, uint64_t available,
                   uint64_t activations)
{
    char need[32], have[32], act[32];
    return err_user(
        "this run needs %s of device memory, but %s has %s free. Activations take %s of it: "
        "lower max_length (%lld)%s%s%s%s%s, or choose a smaller model or another --device",
        str_bytes(need, total), vk_device_caps(run->device)->name, str_bytes(have, available),
        str_bytes(act, activations), (long long)run->config->max_length,
        run->config->token_budget ? " or token_budget" : "",
        run->recompute ? "" : ", set gradient_checkpointing: on",
        run->has_ref && !run->offloaded && run->precision.gradient == MODEL_F32
            ? ", set ref_offload: on"
            : "",
        run->config->optim == TRAIN_ADAMW ? ", set optim: adamw_8bit" : "",
        run->generation.prompts.ids.count ? ", shorten eval_prompts" : "");
}

// A visit pays where it serves many steps, and where host memory is not the device's anyway.
#define WORTHWHILE_STEPS 8

static bool visits_pay(const struct train_run *run)
{
    enum vk_device_kind kind = vk_device_caps(run->device)->kind;
    return (kind == VK_KIND_DISCRETE || kind == VK_KIND_VIRTUAL) &&
           train_window_length(run) >= WORTHWHILE_STEPS;
}

static bool may_offload(const struct train_plan_needs *n, bool offload)
{
    if (!n->reference || n->homeless) return !offload;
    if (n->ref_offload == TRAIN_OFFLOAD_AUTO) return !offload || n->visits_pay;
    return offload == (n->ref_offload == TRAIN_OFFLOAD_ON);
}

static bool may_recompute(const struct train_plan_needs *n, bool recompute)
{
    if (n->gradient_checkpointing == TRAIN_CHECKPOINTING_AUTO) return !recompute || n->kept;
    return recompute == (n->gradient_checkpointing == TRAIN_CHECKPOINTING_ON);
}

// The reference goes first: a visit that pays moves some 8 bytes a weight in 8 steps or more, while
// checkpointing computes most of a forward pass again in every step, 2 flops a weight and token. A
// GPU does some 2,000 flops while its bus moves a byte, so with visits a step of 1,000 tokens or
// more is the faster one, and such is every step that fills a GPU. Visits even save time where rows
// come again.
struct train_plan_choice train_plan_choose(const struct train_plan_needs *n)
{
    static const struct train_plan_choice by_cost[] = {
        {false, false}, {true, false}, {false, true}, {true, true}};
    struct train_plan_choice choice = {false, false};
    for (size_t i = 0; i < sizeof by_cost / sizeof *by_cost; i++) {
        if (!may_offload(n, by_cost[i].offloaded) || !may_recompute(n, by_cost[i].recompute))
            continue;
        choice = by_cost[i];
        uint64_t less = (choice.offloaded ? n->reference : 0) + (choice.recompute ? n->kept : 0);
        if (n->total - less <= n->available) break;
    }
    return choice;
}

// Sizes without and with checkpointing.
static bool measure(struct train_run *run, struct train_stepper_sizes sizes[2])
{
    struct train_stepper_params params = train_run_stepper_params(run);
    for (int i = 0; i < 2; i++) {
        params.recompute = i;
        if (!train_stepper_bytes(&params, &sizes[i])) return false;
    }
    return true;
}

static uint64_t sum(const struct entry *entries, size_t count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += entries[i].bytes;
    return total;
}

static void tell(const struct train_run *run, uint64_t weights, uint64_t kept,
                 const struct train_stepper_sizes *sizes)
{
    char bytes[32], apart[32];
    log_info("activations that are not wanted at the same time share memory: %s, which each in its "
             "own place would be %s",
             str_bytes(bytes, sizes->activations), str_bytes(apart, sizes->apart));
    if (run->recompute)
        log_info("gradient checkpointing: only what enters each layer is kept, which saves %s; "
                 "backward computes the rest again",
                 str_bytes(bytes, kept));
    if (run->offloaded)
        log_info("the reference (%s) stays in host memory and visits the device, where it needs no "
                 "room of its own; it stands still for %lld step%s at a time",
                 str_bytes(bytes, weights), (long long)train_window_length(run),
                 train_window_length(run) == 1 ? "" : "s");
}

// Entries of the plan that grow with the model alone: the first ones.
#define OF_WEIGHTS 4

bool train_plan_check(struct train_run *run)
{
    const struct train_precision *p = &run->precision;
    uint64_t weights = model_weights_bytes(&run->layout, p->weights);
    uint64_t moment = model_weights_bytes(&run->layout, MODEL_F32);
    uint64_t generation;
    struct train_stepper_sizes sizes[2];
    if (!measure(run, sizes) ||
        !train_generation_bytes(&run->generation, &run->layout, run->device, &generation))
        return false;
    uint64_t moments =
        run->config->optim == TRAIN_ADAMW_8BIT ? train_codes_bytes(&run->layout) : 2 * moment;
    struct entry entries[] = {
        {"policy", weights},
        {"gradient", model_weights_bytes(&run->layout, p->gradient)},
        {"AdamW moments", moments},
        {"reference", run->has_ref ? weights : 0},
        {"activations", sizes[0].activations},
        {"generation", generation},
        {"step data and staging", sizes[0].step_data + TRAIN_STAGING_BYTES},
    };
    size_t count = sizeof entries / sizeof *entries;
    uint64_t kept = sizes[0].activations > sizes[1].activations
                        ? sizes[0].activations - sizes[1].activations
                        : 0;
    uint64_t available = vk_device_caps(run->device)->memory_free_bytes;
    struct train_plan_choice choice = train_plan_choose(&(struct train_plan_needs){
        .total = sum(entries, count),
        .reference = entries[3].bytes,
        .homeless = p->gradient != MODEL_F32,
        .kept = kept,
        .available = available,
        .ref_offload = run->config->ref_offload,
        .gradient_checkpointing = run->config->gradient_checkpointing,
        .visits_pay = visits_pay(run),
    });
    run->offloaded = choice.offloaded;
    run->recompute = choice.recompute;
    if (run->offloaded) entries[3].bytes = 0;
    if (run->recompute) entries[4].bytes = sizes[1].activations;
    uint64_t total = sum(entries, count);
    struct str line = {0};
    for (size_t i = 0; i < count; i++) {
        char bytes[32];
        if (entries[i].bytes)
            str_appendf(&line, "%s%s %s", line.len ? ", " : "", entries[i].name,
                        str_bytes(bytes, entries[i].bytes));
    }
    char all[32], free_bytes[32];
    struct str precision = {0};
    train_precision_text(p, &precision);
    log_info("memory: %s of %s: %s; %.2f bytes a parameter before activations (%s)",
             str_bytes(all, total), str_bytes(free_bytes, available), str_text(&line),
             (double)sum(entries, OF_WEIGHTS) / (double)run->layout.parameters,
             str_text(&precision));
    str_finish(&precision);
    str_finish(&line);
    tell(run, weights, kept, &sizes[run->recompute]);
    return total <= available || refuse(run, total, available, entries[4].bytes);
}
