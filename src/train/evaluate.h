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
    bool pairs;
    double beta;
    const struct train_scores *start; // of the frozen start; NULL: the reference takes its place
    uint32_t rows_at_once;            // at most the stepper's
    // Set where a stop signal ended the evaluation before its end, which is no failure; `metrics`
    // is then without meaning. NULL: signals are not looked at.
    bool *stopped;
    // Called for each row, in the order of the dataset; `row` is its index. False stops with the
    // error that it left. May be NULL.
    bool (*on_row)(void *ctx, size_t row, const union train_row_metrics *metrics);
    void *ctx;
};

// Means over all rows (over all scored tokens: entropy, the loss of SFT; over those of the chosen
// completions: the token accuracy of pairs). They do
// not depend on how rows are grouped. err_user naming the row if a loss is not a number.
bool train_evaluate(const struct train_evaluation *e, struct train_metrics *metrics);

#endif
