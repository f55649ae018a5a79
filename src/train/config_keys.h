// The table of keys from inside: what config*.c share.
#ifndef TRDPO_TRAIN_CONFIG_KEYS_H
#define TRDPO_TRAIN_CONFIG_KEYS_H

#include "train/config.h"

#define TRAIN_NO_MAX 1e38 // of float: "at least" alone is told to the user
#define TRAIN_SCHEDULE_KWARGS "lr_scheduler_kwargs"
// Place of `alphapo` among loss_type's choices, behind the types of shaders/args.h: another name
// for simpo with cpo_alpha 0.
#define TRAIN_ALPHAPO 21

// The same of `optim`, behind enum train_optim: names that transformers has for the two.
#define TRAIN_ADAMW_TORCH 2
#define TRAIN_ADAMW_TORCH_FUSED 3
#define TRAIN_ADAMW_BNB_8BIT 4

// The same of `dtype`, behind enum train_dtype.
#define TRAIN_DTYPE_FLOAT32 4
#define TRAIN_DTYPE_BFLOAT16 5
#define TRAIN_DTYPE_FLOAT16 6

struct train_foreign_key {
    const char *name;
    const char *accepted; // "a|b", or "*"
    const char *reason;   // why another value is refused
};
const struct train_foreign_key *train_foreign_key_find(const char *name); // or NULL

// True for the keys that may stand in lr_scheduler_kwargs.
bool train_key_is_of_schedule(const char *name);

// The key with the most similar name, or NULL.
const char *train_key_nearest(const char *name);

// Position of `value` among "a|b|c", or -1; the text at a position, appended to `out`.
int64_t train_choice_index(const char *choices, const char *value);
void train_choice_append(const char *choices, int64_t index, struct str *out);

// Parts of train_config_check(), of a resolved configuration: refusals, then what has no effect.
bool train_config_check_loss(const struct train_config *c);
void train_config_warn_loss(const struct train_config *c);

#endif
