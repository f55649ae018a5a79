#include "train/precision.h"

#include "base/error.h"

bool train_precision_choose(const struct train_config *c, const struct vk_device *device,
                            struct train_precision *out)
{
    const struct vk_caps *caps = vk_device_caps(device);
    bool halves = c->dtype == TRAIN_DTYPE_BF16;
    *out = (struct train_precision){.weights = halves ? MODEL_MASTER : MODEL_F32,
                                    .gradient = MODEL_F32};
    if (!halves) return true;
    if (!caps->storage16)
        return err_user("dtype: bf16 needs a device with 16-bit storage, which %s lacks: set "
                        "dtype: fp32, or choose another --device",
                        caps->name);
    if (c->gradient_dtype == TRAIN_GRADIENT_BF16) out->gradient = MODEL_BF16;
    return true;
}

const char *train_precision_text(const struct train_precision *p)
{
    if (p->weights == MODEL_F32) return "weights and gradient fp32";
    return p->gradient == MODEL_F32 ? "weights bf16 with fp32 masters, gradient fp32"
                                    : "weights bf16 with fp32 masters, gradient bf16";
}
