#include "train/schedule.h"

#include <math.h>

struct train_schedule_plan train_schedule_make(const struct train_config *c, int64_t total_steps)
{
    double warmup = c->warmup_steps;
    if (warmup > 0 && warmup < 1) warmup = ceil(warmup * (double)total_steps);
    return (struct train_schedule_plan){
        .type = (enum train_schedule)c->lr_scheduler_type,
        .peak = c->learning_rate,
        .warmup = c->lr_scheduler_type == TRAIN_CONSTANT ? 0 : (int64_t)warmup,
        .total = total_steps,
    };
}

double train_schedule_rate(const struct train_schedule_plan *p, int64_t step)
{
    if (step < p->warmup) return p->peak * (double)step / (double)p->warmup;
    // From the end of warm-up to the end of the run; past it the rate stays where it ended.
    double length = p->total > p->warmup ? (double)(p->total - p->warmup) : 1;
    double left = step < p->total ? (double)(p->total - step) : 0;
    switch (p->type) {
    case TRAIN_LINEAR:
        return p->peak * (left / length);
    case TRAIN_COSINE:
        return p->peak * 0.5 * (1 + cos(3.14159265358979323846 * (1 - left / length)));
    case TRAIN_CONSTANT:
    case TRAIN_CONSTANT_WITH_WARMUP:
        break;
    }
    return p->peak;
}
