// A trial: optimiser steps over all rows of a fixture, step by step. Rows are prefs.jsonl's, or
// with method: kto those of losses/unpaired.jsonl.
#ifndef TEST_TRIAL_H
#define TEST_TRIAL_H

#include "../common/fixture.h"

#include "train/precision.h"
#include "train/schedule.h"
#include "train/stepper_state.h"

#define TRIAL_ROWS 16
#define TRIAL_STEPS 6

struct trial {
    struct fixture f;
    struct train_config config;
    struct model_weights policy, ref, grad;
    struct model_weights m, v; // with optim: adamw_8bit empty
    struct train_codes codes;  // of optim: adamw_8bit
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
    const cJSON *settings[3];    // objects of keys, set after the above; NULL: none more
    uint32_t tokens;             // of a pass; 0: all rows in one
    uint64_t max_span_bytes;     // of the weight arenas; 0: one span
    bool loss_scale;             // with one, whatever the precision asks for
};
void trial_open(struct trial *t, struct vk_device *device, const struct trial_params *params);
void trial_close(struct trial *t);

// Sets a key of the configuration from a number, string, boolean or list.
void trial_set(struct train_config *config, const char *key, const cJSON *value);

// Does step `number` (from 1), whose gradient is finite; or whatever it is.
void trial_step(struct trial *t, int64_t number);
void trial_try_step(struct trial *t, int64_t number);

// Derivatives of the step's loss by the log-prob of each scored position of the pass done last, in
// the order of t->stepper->pack; the caller frees them.
float *trial_dlogp(const struct trial *t);

// All elements of an arena in the order of its layout; the caller frees them.
float *trial_values(const struct model_weights *w);

// Norm of the difference between `got` and the tensors named PREFIX + name of `end`, as a share of
// the norm of the change from the weights of `start` to those.
double trial_change_off(const struct model_weights *got, const struct hf_tensors *start,
                        const struct hf_tensors *end, const char *prefix);

// True if two arenas hold the same bits, tensor by tensor (their layouts may differ in spans).
bool trial_same_bits(const struct model_weights *a, const struct model_weights *b);

#endif
