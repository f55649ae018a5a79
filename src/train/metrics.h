// Metrics of training and evaluation under TRL's names, and the file they go to.
#ifndef TRDPO_TRAIN_METRICS_H
#define TRDPO_TRAIN_METRICS_H

#include "base/str.h"
#include "train/stepper.h"

#include <cjson/cJSON.h>

// In the order of train_metric_names, which leads to the saved state too.
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
    METRIC_KL,           // of KTO: the batch's estimate from mismatched pairs
    METRIC_NLL,          // minus the mean log-prob of the chosen completions' tokens
    METRIC_KL_REFERENCE, // mean of log policy - log reference over the completions of the data
    METRIC_KL_SFT,       // the same against the frozen start
    METRIC_SFT_MARGINS,  // margins of rewards measured from the frozen start
    METRIC_COUNT,
};
extern const char *const train_metric_names[METRIC_COUNT];

enum train_metric_rows { METRICS_PAIRS, METRICS_TEXTS, METRICS_UNPAIRED };

// What a run measures, and how.
struct train_metric_rules {
    enum train_metric_rows rows;
    double beta;
    bool reference;    // there is one
    bool mean_rewards; // rewards are of the mean log-prob of a token
    bool nll;          // the loss has a next-token part, or its method reports one as TRL does
    uint32_t batch;    // METRICS_UNPAIRED: rows of a batch
};
struct train_metric_rules train_metric_rules_of(const struct train_config *c);

// True if evaluations under these rules can have the metric (a batch may lack what it needs).
bool train_metric_offered(const struct train_metric_rules *rules, enum train_metric which);

// The metric of a name with or without "eval_" in front; METRIC_COUNT if there is none.
enum train_metric train_metric_find(const char *name);

// Means are sums by what each is divided by: a metric that some steps or batches lack counts those
// that have it.
struct train_metrics {
    double sums[METRIC_COUNT], counts[METRIC_COUNT];
};

// Adds a step: its own means count once each, so that a logged line holds the mean of its steps'
// values, as TRL logs them. Of unpaired rows the metrics of one class (rewards, logps, margins) and
// kl are means of a batch, in batches that have rows of the class, and count once for each batch,
// as TRL's.
//
// start[2 i] and start[2 i + 1] are the log-probs of row i under the frozen start (of unpaired rows
// the second has no meaning); NULL: they are not known. Returns false (without an error) if a
// row's loss is not finite; *bad is its index.
bool train_metrics_add(struct train_metrics *m, const struct train_metric_rules *rules,
                       const union train_row_metrics *rows, uint32_t count, const float *start,
                       uint32_t *bad);

// Adds rows of an evaluation, where rows count alike (tokens alike: entropy, the loss of texts, of
// pairs' chosen completions the token accuracy) however they are grouped. The second is due when
// all rows are in: margins of unpaired rows are between the means of the two classes.
bool train_metrics_pool(struct train_metrics *m, const struct train_metric_rules *rules,
                        const union train_row_metrics *rows, uint32_t count, const float *start,
                        uint32_t *bad);
void train_metrics_pool_end(struct train_metrics *m, const struct train_metric_rules *rules);

double train_metrics_mean(const struct train_metrics *m, enum train_metric which); // 0 if none
bool train_metrics_has(const struct train_metrics *m, enum train_metric which);

// Appends `"PREFIXname": mean` members, a comma before each, of what there is.
void train_metrics_print(const struct train_metrics *m, const char *prefix, struct str *out);

// State for checkpoints, exact.
cJSON *train_metrics_save(const struct train_metrics *m);
bool train_metrics_load(struct train_metrics *m, const cJSON *state);

#endif
