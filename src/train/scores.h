// Log-probs of the data under the frozen start, kept for kl/sft and rewards/sft_margins.
#ifndef TRDPO_TRAIN_SCORES_H
#define TRDPO_TRAIN_SCORES_H

#include "data/dataset.h"
#include "train/stepper.h"

// Sums for each row of a dataset: values[2 i], values[2 i + 1] are chosen and rejected of row i, or
// its one completion and 0.
struct train_scores {
    float *values;
    size_t rows;
};

// Scores the rows listed (others stay 0) with the stepper's policy. `name` is for the progress
// line. *stopped is set, and the rest not scored, when a stop signal comes: no failure.
bool train_scores_make(struct train_scores *s, struct train_stepper *st, const struct data_set *set,
                       const uint32_t *order, size_t count, uint32_t rows_at_once, const char *name,
                       bool *stopped);
void train_scores_finish(struct train_scores *s);

// One file for both datasets ("train" [rows, 2] and "eval" [rows, 2]); eval may be empty.
bool train_scores_save(const struct train_scores *train, const struct train_scores *eval,
                       const char *path);
// err_user if the file does not fit datasets of these sizes.
bool train_scores_load(struct train_scores *train, size_t train_rows, struct train_scores *eval,
                       size_t eval_rows, const char *path);

#endif
