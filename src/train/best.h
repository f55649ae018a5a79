// Which evaluation was the best, and when to stop for want of a better one: the rules of
// transformers' trainer and of its EarlyStoppingCallback.
#ifndef TRDPO_TRAIN_BEST_H
#define TRDPO_TRAIN_BEST_H

#include "train/config.h"

struct train_best {
    bool known; // some evaluation was compared
    double metric;
    int64_t step;    // of the best evaluation
    int64_t waiting; // evaluations in a row that did not gain enough
};

// True if evaluations are compared at all: a key asks for the best model or for early stopping.
bool train_best_is_tracked(const struct train_config *c);

// Takes the evaluation of `step` into account; true if it is the best so far. An evaluation that
// is better, but by no more than early_stopping_threshold, becomes the best and still counts as
// waiting.
bool train_best_judge(struct train_best *best, const struct train_config *c, double value,
                      int64_t step);

// True if the run is to end: early_stopping_patience evaluations in a row did not gain.
bool train_best_is_exhausted(const struct train_best *best, const struct train_config *c);

#endif
