// Learning rates by step, as transformers' get_scheduler.
#ifndef TRDPO_TRAIN_SCHEDULE_H
#define TRDPO_TRAIN_SCHEDULE_H

#include "train/config.h"

#include <stdint.h>

struct train_schedule_plan {
    enum train_schedule type;
    double peak;                          // learning rate
    int64_t warmup, stable, decay, total; // optimiser steps
    double lowest;                        // where it ends, as a share of the peak
    double cycles;                        // waves of a cosine
    enum train_curve warmup_curve, decay_curve;
};

struct train_schedule_plan train_schedule_make(const struct train_config *c, int64_t total_steps);

// The rate of optimiser step `step`, counted from 0.
double train_schedule_rate(const struct train_schedule_plan *p, int64_t step);

// Says where the parts of the schedule do not fit the run's steps: a run that ends in its warm-up,
// before its decay or after it.
void train_schedule_warn(const struct train_schedule_plan *p);

#endif
