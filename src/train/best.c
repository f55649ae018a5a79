#include "train/best.h"

#include <math.h>

bool train_best_is_tracked(const struct train_config *c)
{
    return c->load_best_model_at_end || c->early_stopping_patience > 0;
}

bool train_best_judge(struct train_best *best, const struct train_config *c, double value,
                      int64_t step)
{
    bool greater = train_config_greater_is_better(c);
    bool better = !best->known || (greater ? value > best->metric : value < best->metric);
    bool gained =
        !best->known || (better && fabs(value - best->metric) > c->early_stopping_threshold);
    best->waiting = gained ? 0 : best->waiting + 1;
    if (!better) return false;
    best->known = true;
    best->metric = value;
    best->step = step;
    return true;
}

bool train_best_is_exhausted(const struct train_best *best, const struct train_config *c)
{
    return c->early_stopping_patience > 0 && best->waiting >= c->early_stopping_patience;
}
