// A training run of the study by its settings, and what sampling shares.
#ifndef TRDPO_CLI_STUDY_TRAIN_H
#define TRDPO_CLI_STUDY_TRAIN_H

#include "cli/study/study.h"

#define STUDY_MAX_TOKENS 48 // of an answer: 15 things

// Trains by keys and values as in a configuration file, up to a key NULL; the run's own messages go
// to its train.log. What the output folder held before is replaced; checkpoints are removed.
bool study_train_with(struct study *s, const char *const (*settings)[2]);

#endif
