// Metrics of training and evaluation under TRL's names, and the file they go to.
#ifndef TRDPO_TRAIN_METRICS_H
#define TRDPO_TRAIN_METRICS_H

#include "base/str.h"
#include "train/stepper.h"

#include <cjson/cJSON.h>

// Sums over steps since the last logged line. Each step (or evaluation) adds its own means, so that
// the line holds the mean of the steps' values, as TRL logs them. All are doubles, in the order of
// train_metric_names, which leads to the saved state too.
enum train_metric {
    METRIC_LOSS,
    METRIC_ENTROPY,
    METRIC_TOKEN_ACCURACY,
    METRIC_REWARDS_CHOSEN,
    METRIC_REWARDS_REJECTED,
    METRIC_REWARDS_ACCURACIES,
    METRIC_REWARDS_MARGINS,
    METRIC_LOGPS_CHOSEN,
    METRIC_LOGPS_REJECTED,
    METRIC_LOGPS_REF_CHOSEN,
    METRIC_LOGPS_REF_REJECTED,
    METRIC_KL_REFERENCE, // mean of log policy - log reference over the completions of the data
    METRIC_KL_SFT,       // the same against the frozen start
    METRIC_SFT_MARGINS,  // margins of rewards measured from the frozen start
    METRIC_COUNT,
};
extern const char *const train_metric_names[METRIC_COUNT];

struct train_metrics {
    double sums[METRIC_COUNT];
    double steps;
};

// Adds the means of `count` pairs. start[2 i] and start[2 i + 1] are the log-probs of pair i under
// the frozen start. Returns false (without an error) if a row's loss is not finite; *bad is its
// index.
bool train_metrics_add_pairs(struct train_metrics *m, const union train_row_metrics *rows,
                             uint32_t count, const float *start, double beta, uint32_t *bad);

// The same for next-token rows.
bool train_metrics_add_sequences(struct train_metrics *m, const union train_row_metrics *rows,
                                 uint32_t count, uint32_t *bad);

double train_metrics_mean(const struct train_metrics *m, enum train_metric which);

// Appends `"PREFIXname": mean` members, a comma before each, of what the method has (pairs or not).
void train_metrics_print(const struct train_metrics *m, bool pairs, const char *prefix,
                         struct str *out);

// State for checkpoints, exact.
cJSON *train_metrics_save(const struct train_metrics *m);
bool train_metrics_load(struct train_metrics *m, const cJSON *state);

#endif
