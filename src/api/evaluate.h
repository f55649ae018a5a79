// Metrics of a model on a dataset, under the loss of any method.
#ifndef TRDPO_API_EVALUATE_H
#define TRDPO_API_EVALUATE_H

#include "base/str.h"
#include "vk/device.h"

// Keys of a configuration that have a part in an evaluation, ended by NULL: method, loss_type and
// the like.
extern const char *const api_evaluation_keys[];

struct api_evaluation {
    const char *model, *dataset;
    const char *ref_model; // NULL: the model itself, so that rewards are 0
    const char *per_row;   // JSON lines file, written whole or not at all; NULL: none
    double beta;           // 0: 0.1
    uint32_t max_length;   // 0: 1024
    uint32_t batch_size;   // rows that a loss of a whole batch sees; 0: 8
    // Keys of api_evaluation_keys, each with its value behind it, ended by NULL. NULL: all
    // defaults.
    const char *const *options;
    // Called once, after all input files have been found to be in order; returns the device, owned
    // by the caller, or NULL.
    struct vk_device *(*open_device)(void *ctx);
    void *ctx;
};

// Appends one JSON object to `out`: eval_rows (rows judged), eval_dropped (rows of the file that
// could not be), then the metrics under TRL's names with "eval_" in front. err_user if the options
// contradict each other.
bool api_evaluate(const struct api_evaluation *e, struct str *out);

#endif
