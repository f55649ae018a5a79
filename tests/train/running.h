// Whole runs on the fixtures, and comparisons of what they leave.
#ifndef TEST_RUNNING_H
#define TEST_RUNNING_H

#include "train/config.h"
#include "train/trainer.h"

#include <cjson/cJSON.h>

// A configuration: the model tiny-gqa, the fixtures' rows, and keys with values up to a NULL.
// Release with train_config_finish().
void running_config(struct train_config *c, const char *output_dir, ...);
#define RUNNING_CONFIG(c, output_dir, ...)                                                         \
    running_config((c), (output_dir), __VA_ARGS__, (const char *)0)

// Runs it on the device; stops it by the hook as soon as a line of metrics for a step >= stop_at is
// told (0: never).
enum train_outcome running_go(const struct train_config *c, struct vk_device *device,
                              int64_t stop_at);

// Line `index` (from 0) of a run's metrics.jsonl as JSON, or NULL behind the last. cJSON_Delete().
cJSON *running_metrics(const char *output_dir, int index);

// Asserts that two runs have the same lines of metrics (but for tokens_per_second).
void running_same_metrics(const char *a, const char *b);

// Asserts that two runs have the same checkpoint of a step: weights, reference, both moments,
// scores of the start and the state (but for the settings in it).
void running_same_checkpoint(const char *a, const char *b, int64_t step);

// Copies a run's folder; `to` is replaced.
void running_copy(const char *from, const char *to);

#endif
