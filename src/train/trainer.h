// A whole training run: what `trdpo-vk train` does.
#ifndef TRDPO_TRAIN_TRAINER_H
#define TRDPO_TRAIN_TRAINER_H

#include "train/config.h"
#include "vk/device.h"

enum train_outcome {
    TRAIN_FAILED, // the reason is in the error log
    TRAIN_FINISHED,
    // A stop signal came, or a hook asked: what was done is in a checkpoint. A program ends with
    // 128 + the signal's number then (130 after SIGINT, 143 after SIGTERM), as shells report it.
    TRAIN_STOPPED,
};

// What the caller of a run supplies.
struct train_hooks {
    // Called once, after all input files have been found to be in order; returns the device, owned
    // by the caller, or NULL.
    struct vk_device *(*open_device)(void *ctx);
    // Told each line of metrics.jsonl, without its newline. False: save a checkpoint and stop, as a
    // stop signal does; it is not called again. May be NULL.
    bool (*on_metrics)(void *ctx, const char *json);
    void *ctx;
};

// Runs training as configured (train_config_check() has passed). Does not touch the handling of
// signals, but obeys sys_stop_signal().
enum train_outcome train_run_with(const struct train_config *config,
                                  const struct train_hooks *hooks);

// The same for a program of its own: catches stop signals, and has no other hook.
enum train_outcome train_run_all(const struct train_config *config,
                                 struct vk_device *(*open_device)(void *ctx), void *ctx);

#endif
