// A trial: optimiser steps over all rows of a fixture, step by step.
#ifndef TEST_TRIAL_H
#define TEST_TRIAL_H

#include "../common/fixture.h"

#include "train/schedule.h"
#include "train/stepper.h"

#define TRIAL_ROWS 16
#define TRIAL_STEPS 6

struct trial {
    struct fixture f;
    struct train_config config;
    struct model_weights policy, ref, grad, m, v;
    struct train_stepper *stepper;
    struct train_schedule_plan schedule;
    union train_row_metrics rows[TRIAL_ROWS]; // of the step last done
    struct step_results results;
};

// What to try; zero means default.
struct trial_params {
    const char *name;            // of the fixture
    const char *ref;             // suffix of the reference: "-ref", or NULL for the model itself
    const char *alpha, *every;   // reference updates; NULL: none
    const char *max_grad_norm;   // NULL: the default of training
    const char *label_smoothing; // NULL: none
    uint32_t tokens;             // of a pass; 0: all rows in one
    uint64_t max_span_bytes;     // of the weight arenas; 0: one span
};
void trial_open(struct trial *t, struct vk_device *device, const struct trial_params *params);
void trial_close(struct trial *t);

// Does step `number` (from 1).
void trial_step(struct trial *t, int64_t number);

// All elements of an arena in the order of its layout; the caller frees them.
float *trial_values(const struct model_weights *w);

// True if two arenas hold the same bits, tensor by tensor (their layouts may differ in spans).
bool trial_same_bits(const struct model_weights *a, const struct model_weights *b);

#endif
