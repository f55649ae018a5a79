#include "train/schedule.h"

#include "base/log.h"

#include <math.h>

#define PI 3.14159265358979323846

static int64_t warmup_of(const struct train_config *c, int64_t total_steps)
{
    if (c->lr_scheduler_type == TRAIN_CONSTANT) return 0;
    if (c->warmup_ratio > 0) return (int64_t)ceil((double)total_steps * c->warmup_ratio);
    if (c->warmup_steps < 1) return (int64_t)ceil((double)total_steps * c->warmup_steps);
    return (int64_t)c->warmup_steps;
}

struct train_schedule_plan train_schedule_make(const struct train_config *c, int64_t total_steps)
{
    struct train_schedule_plan p = {
        .type = (enum train_schedule)c->lr_scheduler_type,
        .peak = c->learning_rate,
        .warmup = warmup_of(c, total_steps),
        .total = total_steps,
        .cycles = c->num_cycles,
    };
    if (p.type == TRAIN_COSINE_WITH_MIN_LR) {
        p.lowest = isnan(c->min_lr) ? c->min_lr_rate : c->min_lr / c->learning_rate;
        if (isnan(p.lowest)) p.lowest = 0; // not given; or a rate of 0, of which there is no share
    }
    if (p.type == TRAIN_WARMUP_STABLE_DECAY) {
        p.lowest = c->min_lr_ratio;
        p.warmup_curve = (enum train_curve)c->warmup_type;
        p.decay_curve = (enum train_curve)c->decay_type;
        p.decay = c->num_decay_steps == TRAIN_UNSET ? 0 : c->num_decay_steps;
        p.stable = c->num_stable_steps == TRAIN_UNSET ? total_steps - p.warmup - p.decay
                                                      : c->num_stable_steps;
    }
    return p;
}

// From 0 to 1 in the course of the warm-up.
static double rising(enum train_curve curve, double progress)
{
    switch (curve) {
    case TRAIN_CURVE_LINEAR:
        break;
    case TRAIN_CURVE_COSINE:
        return 0.5 * (1 - cos(PI * progress));
    case TRAIN_CURVE_SQRT:
        return 1 - sqrt(1 - progress);
    }
    return progress;
}

// From 1 to 0 in the course of the decay.
static double falling(enum train_curve curve, double progress, double cycles)
{
    switch (curve) {
    case TRAIN_CURVE_LINEAR:
        break;
    case TRAIN_CURVE_COSINE:
        return 0.5 * (1 + cos(PI * cycles * 2 * progress));
    case TRAIN_CURVE_SQRT:
        return 1 - sqrt(progress);
    }
    return 1 - progress;
}

static double between(double lowest, double factor)
{
    return fmax(0, factor * (1 - lowest) + lowest);
}

// As a share of the peak.
static double warmup_stable_decay(const struct train_schedule_plan *p, int64_t step)
{
    if (step < p->warmup)
        return between(p->lowest, rising(p->warmup_curve, (double)step / (double)p->warmup));
    int64_t begin = p->warmup + p->stable;
    if (step < begin) return 1;
    if (step >= begin + p->decay) return p->lowest;
    double progress = (double)(step - begin) / (double)p->decay;
    return between(p->lowest, falling(p->decay_curve, progress, p->cycles));
}

double train_schedule_rate(const struct train_schedule_plan *p, int64_t step)
{
    if (p->type == TRAIN_WARMUP_STABLE_DECAY) return p->peak * warmup_stable_decay(p, step);
    if (step < p->warmup) return p->peak * ((double)step / (double)p->warmup);
    // From the end of warm-up to the end of the run; past it the rate stays where it ended.
    double length = p->total > p->warmup ? (double)(p->total - p->warmup) : 1;
    int64_t at = step < p->total ? step : p->total;
    double progress = at > p->warmup ? (double)(at - p->warmup) / length : 0;
    switch (p->type) {
    case TRAIN_LINEAR:
        return p->peak * (at < p->total ? (double)(p->total - at) / length : 0);
    case TRAIN_COSINE:
    case TRAIN_COSINE_WITH_MIN_LR:
        return p->peak * between(p->lowest, falling(TRAIN_CURVE_COSINE, progress, p->cycles));
    case TRAIN_CONSTANT:
    case TRAIN_CONSTANT_WITH_WARMUP:
    case TRAIN_WARMUP_STABLE_DECAY:
        break;
    }
    return p->peak;
}

void train_schedule_warn(const struct train_schedule_plan *p)
{
    long long warmup = (long long)p->warmup, total = (long long)p->total;
    if (p->warmup > 0 && p->warmup >= p->total) {
        log_warn("warm-up takes %lld steps and the run has %lld: it never trains at learning_rate",
                 warmup, total);
        return;
    }
    if (p->type != TRAIN_WARMUP_STABLE_DECAY) return;
    long long stable = (long long)p->stable, decay = (long long)p->decay;
    if (stable < 0)
        log_warn(
            "warm-up (%lld steps) and num_decay_steps (%lld) are more than the run's %lld: the "
            "rate falls from the warm-up into the middle of the decay",
            warmup, decay, total);
    else if (warmup + stable + decay > total)
        log_warn("warm-up, num_stable_steps and num_decay_steps make %lld steps and the run has "
                 "%lld: it ends before the decay does",
                 warmup + stable + decay, total);
    else if (warmup + stable + decay < total)
        log_warn("warm-up, num_stable_steps and num_decay_steps make %lld steps and the run has "
                 "%lld: the last %lld train at %g of learning_rate (min_lr_ratio)",
                 warmup + stable + decay, total, total - warmup - stable - decay, p->lowest);
}
