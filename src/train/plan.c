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
        "lower max_length (%lld)%s%s%s, or choose a smaller model or another --device",
        str_bytes(need, total), vk_device_caps(run->device)->name, str_bytes(have, available),
        str_bytes(act, activations), (long long)run->config->max_length,
        run->config->token_budget ? " or token_budget" : "",
        run->has_ref && !run->offloaded ? ", set ref_offload: on" : "",
        run->generation.prompts.ids.count ? ", shorten eval_prompts" : "");
}

// A visit pays where it serves many steps, and where host memory is not the device's anyway.
#define WORTHWHILE_STEPS 8

static bool offload_saves(const struct train_run *run)
{
    enum vk_device_kind kind = vk_device_caps(run->device)->kind;
    return (kind == VK_KIND_DISCRETE || kind == VK_KIND_VIRTUAL) &&
           train_window_length(run) >= WORTHWHILE_STEPS;
}

static bool choose_offload(struct train_run *run, uint64_t total, uint64_t available)
{
    int64_t wish = run->config->ref_offload;
    if (!run->has_ref || wish == TRAIN_OFFLOAD_OFF) return false;
    return wish == TRAIN_OFFLOAD_ON || (total > available && offload_saves(run));
}

bool train_plan_check(struct train_run *run)
{
    uint64_t weights = model_weights_bytes(&run->layout), activations, step_data, generation;
    struct train_stepper_params params = train_run_stepper_params(run);
    if (!train_stepper_bytes(&params, &activations, &step_data) ||
        !train_generation_bytes(&run->generation, &run->layout, run->device, &generation))
        return false;
    struct entry entries[] = {
        {"policy", weights},
        {"gradient", weights},
        {"AdamW moments", 2 * weights},
        {"reference", run->has_ref ? weights : 0},
        {"activations", activations},
        {"generation", generation},
        {"step data and staging", step_data + ((uint64_t)64 << 20)},
    };
    uint64_t total = 0, available = vk_device_caps(run->device)->memory_free_bytes;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        total += entries[i].bytes;
    run->offloaded = choose_offload(run, total, available);
    if (run->offloaded) total -= weights, entries[3].bytes = 0;
    struct str line = {0};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        char bytes[32];
        if (entries[i].bytes)
            str_appendf(&line, "%s%s %s", line.len ? ", " : "", entries[i].name,
                        str_bytes(bytes, entries[i].bytes));
    }
    char all[32], free_bytes[32];
    log_info("memory: %s of %s: %s", str_bytes(all, total), str_bytes(free_bytes, available),
             str_text(&line));
    str_finish(&line);
    if (run->offloaded)
        log_info("the reference (%s) stays in host memory and visits the device, where it needs no "
                 "room of its own; it stands still for %lld step%s at a time",
                 str_bytes(all, weights), (long long)train_window_length(run),
                 train_window_length(run) == 1 ? "" : "s");
    return total <= available || refuse(run, total, available, activations);
}
