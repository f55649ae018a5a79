// A whole training run: what `trdpo-vk train` does.
#ifndef TRDPO_TRAIN_TRAINER_H
#define TRDPO_TRAIN_TRAINER_H

#include "train/config.h"
#include "vk/device.h"

enum train_outcome {
    TRAIN_FAILED, // the reason is in the error log
    TRAIN_FINISHED,
    TRAIN_STOPPED, // a stop signal came: a checkpoint was saved
};

// Runs training as configured (train_config_check() has passed). `open_device` is called once,
// after all input files have been found to be in order; it returns the device, owned by the caller,
// or NULL.
enum train_outcome train_run_all(const struct train_config *config,
                                 struct vk_device *(*open_device)(void *ctx), void *ctx);

#endif
