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
        "lower max_length (%lld)%s, or choose a smaller model or another --device",
        str_bytes(need, total), vk_device_caps(run->device)->name, str_bytes(have, available),
        str_bytes(act, activations), (long long)run->config->max_length,
        run->config->token_budget ? " or token_budget" : "");
}

bool train_plan_check(const struct train_run *run)
{
    uint64_t weights = model_weights_bytes(&run->layout), activations, step_data;
    struct model_weights present;
    if (!train_stepper_bytes(&(struct train_stepper_params){.device = run->device,
                                                            .config = run->config,
                                                            .layout = &run->layout,
                                                            .ref = run->has_ref ? &present : NULL,
                                                            .grad = &present,
                                                            .tokens = run->token_budget,
                                                            .rows = run->rows_per_step},
                             &activations, &step_data))
        return false;
    const struct entry entries[] = {
        {"policy", weights},
        {"gradient", weights},
        {"AdamW moments", 2 * weights},
        {"reference", run->has_ref ? weights : 0},
        {"activations", activations},
        {"step data and staging", step_data + ((uint64_t)64 << 20)},
    };
    uint64_t total = 0;
    struct str line = {0};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        char bytes[32];
        if (!entries[i].bytes) continue;
        total += entries[i].bytes;
        str_appendf(&line, "%s%s %s", line.len ? ", " : "", entries[i].name,
                    str_bytes(bytes, entries[i].bytes));
    }
    char all[32], free_bytes[32];
    uint64_t available = vk_device_caps(run->device)->memory_free_bytes;
    log_info("memory: %s of %s: %s", str_bytes(all, total), str_bytes(free_bytes, available),
             str_text(&line));
    str_finish(&line);
    return total <= available || refuse(run, total, available, activations);
}
