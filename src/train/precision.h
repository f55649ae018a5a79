// What numbers a run keeps, by its keys and its device.
#ifndef TRDPO_TRAIN_PRECISION_H
#define TRDPO_TRAIN_PRECISION_H

#include "model/weights.h"
#include "train/config.h"

struct train_precision {
    enum model_storage weights; // of policy and reference
    enum model_storage gradient;
};

// Settles dtype and gradient_dtype for a device. err_user if it cannot do what they ask for.
bool train_precision_choose(const struct train_config *c, const struct vk_device *device,
                            struct train_precision *out);

// "bf16 with fp32 masters, gradient fp32": for the plan.
const char *train_precision_text(const struct train_precision *p);

#endif
