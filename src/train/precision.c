#include "train/precision.h"

#include "base/error.h"

static enum train_dtype settle(const struct train_config *c, const struct vk_device *device)
{
    if (c->dtype != TRAIN_DTYPE_AUTO) return (enum train_dtype)c->dtype;
    bool units = op_linear_best_units(device) != OP_UNITS_FP32;
    return units && vk_device_caps(device)->storage16 ? TRAIN_DTYPE_BF16 : TRAIN_DTYPE_FP32;
}

bool train_precision_choose(const struct train_config *c, const struct vk_device *device,
                            struct train_precision *out)
{
    const struct vk_caps *caps = vk_device_caps(device);
    enum train_dtype dtype = settle(c, device);
    *out = (struct train_precision){0};
    if (dtype == TRAIN_DTYPE_FP32) return true;
    if (!caps->storage16)
        return err_user(
            "dtype needs a device with 16-bit storage, which %s lacks: set dtype: fp32, "
            "or choose another --device",
            caps->name);
    if (dtype == TRAIN_DTYPE_FP16 && !op_units_matrix(device, OP_UNITS_FP16))
        return err_user(
            "dtype: fp16 computes on fp16 matrix units, which %s lacks, or this build has "
            "no kernels for (trdpo-vk devices): set dtype: bf16, or choose another "
            "--device",
            caps->name);
    out->weights = MODEL_MASTER;
    out->gradient = c->gradient_dtype == TRAIN_GRADIENT_BF16 ? MODEL_BF16 : MODEL_F32;
    out->units = dtype == TRAIN_DTYPE_FP16 ? OP_UNITS_FP16 : op_linear_best_units(device);
    out->loss_scale = out->units == OP_UNITS_FP16;
    return true;
}

void train_precision_text(const struct train_precision *p, struct str *out)
{
    if (p->weights == MODEL_F32) {
        str_append(out, "weights and gradient fp32");
        return;
    }
    str_appendf(out, "weights bf16 with fp32 masters, gradient %s",
                p->gradient == MODEL_F32 ? "fp32" : "bf16");
    if (p->units != OP_UNITS_FP32)
        str_appendf(out, ", products on %s matrix units%s", op_units_name(p->units),
                    p->loss_scale ? " with a loss scale" : "");
}
