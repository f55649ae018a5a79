// Metrics of a policy on a dataset, without training.
#ifndef TRDPO_TRAIN_EVALUATE_H
#define TRDPO_TRAIN_EVALUATE_H

#include "data/dataset.h"
#include "train/metrics.h"
#include "train/scores.h"
#include "train/stepper.h"

struct train_evaluation {
    struct train_stepper *stepper;
    const struct data_set *set;
    struct train_metric_rules rules;
    const struct train_scores *start; // of the frozen start; NULL: the reference takes its place
    uint32_t rows_at_once; // at most the stepper's: what losses of a whole batch see as the batch
    // Set where a stop signal ended the evaluation before its end, which is no failure; `metrics`
    // is then without meaning. NULL: signals are not looked at.
    bool *stopped;
    // Called for each row, in the order of the dataset; `row` is its index. False stops with the
    // error that it left. May be NULL.
    bool (*on_row)(void *ctx, size_t row, const union train_row_metrics *metrics);
    void *ctx;
};

// Means over all rows, as train_metrics_pool() takes them. Where neither the loss nor a metric is
// of a whole batch they do not depend on rows_at_once. err_user naming the row if a loss is not a
// number.
bool train_evaluate(const struct train_evaluation *e, struct train_metrics *metrics);

#endif
