// What a run says of itself in the log and in metrics.jsonl.
#ifndef TRDPO_TRAIN_REPORT_H
#define TRDPO_TRAIN_REPORT_H

#include "train/run.h"

// After step run->state.step: one line, and every logging_steps, or after the last step, an object
// in metrics.jsonl, with which the window begins anew.
bool train_report_step(struct train_run *run, double learning_rate, float grad_norm);

// The evaluation at run->state.step.
bool train_report_evaluation(struct train_run *run, const struct train_metrics *metrics);

// The end of a run that early stopping ends (`resumed`: had ended before); that was asked to stop;
// that is done.
void train_report_early_end(const struct train_run *run, bool resumed);
void train_report_stop(const struct train_run *run);
void train_report_end(const struct train_run *run);

#endif
