#include "ops/variants.h"

#include "ops/linear.h"

bool op_on_cpu(struct vk_seq *s)
{
    const struct vk_device *device = vk_seq_device(s);
    const struct vk_caps *caps = vk_device_caps(device);
    return caps->kind == VK_KIND_CPU && caps->int64 && caps->fp16 &&
           op_linear_tier(device) == VK_TIER_DIRECT;
}
