// What numbers a run keeps, by its keys and its device.
#ifndef TRDPO_TRAIN_PRECISION_H
#define TRDPO_TRAIN_PRECISION_H

#include "model/weights.h"
#include "ops/linear.h"
#include "train/config.h"

struct train_precision {
    enum model_storage weights; // of policy and reference
    enum model_storage gradient;
    enum op_units units; // of products
    bool loss_scale;     // fp16 holds no small gradients: they are computed that much larger
};

// Settles dtype and gradient_dtype for a device. auto is bf16 where that has matrix units to
// compute with, else fp32. bf16 computes on the matrix units of bf16, or else of fp16, where the
// device has any that are worth it; fp16 asks for those of fp16. err_user if it cannot do what they
// ask for.
bool train_precision_choose(const struct train_config *c, const struct vk_device *device,
                            struct train_precision *out);

// "weights bf16 with fp32 masters, gradient fp32, products on bf16 matrix units": for the plan.
void train_precision_text(const struct train_precision *p, struct str *out);

#endif
