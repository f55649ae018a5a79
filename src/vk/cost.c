// Estimates of the time that commands take, by which sequences are cut into submissions.
//
// The model is additive: a launch, its arithmetic, its memory traffic. It need not be right, only
// not wrong by much more than two: what it gives for a sequence is corrected by what the pieces of
// that sequence took (sequence.c). The device's rates are the start for sequences not yet measured.
#include "vk/internal.h"

#define DEFAULT_BUDGET 0.25

struct vk_rates vk_rates_guess(enum vk_device_kind kind)
{
    // Low guesses: too many submissions cost little, one that is too long may cost the device.
    switch (kind) {
    case VK_KIND_DISCRETE:
        return (struct vk_rates){1e12, 50e9, 10e-6, DEFAULT_BUDGET};
    case VK_KIND_CPU:
        return (struct vk_rates){10e9, 4e9, 50e-6, DEFAULT_BUDGET};
    default:
        return (struct vk_rates){100e9, 10e9, 20e-6, DEFAULT_BUDGET};
    }
}

double vk_rates_seconds(const struct vk_rates *rates, const struct vk_cost_sum *cost)
{
    return cost->launches * rates->launch + cost->flops / rates->flops + cost->bytes / rates->bytes;
}

void vk_rates_learn(struct vk_rates *rates, const struct vk_cost_sum *cost, double seconds)
{
    double launches = cost->launches * rates->launch, flops = cost->flops / rates->flops,
           bytes = cost->bytes / rates->bytes;
    double estimate = launches + flops + bytes;
    if (!(seconds > 0) || !(estimate > 0)) return;
    // Too hopeful estimates are corrected at once, too careful ones half way.
    double ratio = seconds / estimate, factor = ratio > 1 ? ratio : (ratio + 1) / 2;
    if (factor > 16) factor = 16;
    if (flops >= bytes && flops >= launches)
        rates->flops /= factor;
    else if (bytes >= launches)
        rates->bytes /= factor;
    else
        rates->launch *= factor;
}

void vk_set_submission_budget(struct vk_device *device, double seconds)
{
    device->rates.budget = seconds > 0 ? seconds : DEFAULT_BUDGET;
}
