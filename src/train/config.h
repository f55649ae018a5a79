// The configuration of a run: flat keys with the names and defaults that TRL users know.
#ifndef TRDPO_TRAIN_CONFIG_H
#define TRDPO_TRAIN_CONFIG_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum train_method { TRAIN_DPO, TRAIN_SFT };
enum train_schedule { TRAIN_LINEAR, TRAIN_COSINE, TRAIN_CONSTANT, TRAIN_CONSTANT_WITH_WARMUP };

// Strings are heap-allocated and owned by the config; NULL where not given.
struct train_config {
    int64_t method;    // enum train_method
    int64_t loss_type; // 0: sigmoid
    double beta, label_smoothing;
    bool sync_ref_model;
    double ref_model_mixup_alpha;
    int64_t ref_model_sync_steps;
    char *model_name_or_path, *ref_model_name_or_path, *dataset_name, *eval_dataset_name,
        *output_dir;
    bool completion_only;
    double learning_rate;
    int64_t lr_scheduler_type; // enum train_schedule
    double warmup_steps;
    double num_train_epochs;
    int64_t max_steps, per_device_train_batch_size, gradient_accumulation_steps;
    double adam_beta1, adam_beta2, adam_epsilon, weight_decay, max_grad_norm;
    int64_t max_length;
    int64_t truncation_mode; // enum data_truncation
    int64_t token_budget;
    int64_t seed, logging_steps, eval_steps, save_steps, save_total_limit;
    char *resume_from_checkpoint; // "true", "false" or a path
    bool overwrite_output_dir;
};

// ---- the table of keys ----

enum train_key_type { TRAIN_BOOL, TRAIN_INT, TRAIN_NUMBER, TRAIN_STRING, TRAIN_CHOICE };

struct train_key {
    const char *name;
    enum train_key_type type;
    size_t offset;        // in struct train_config
    const char *fallback; // default, as written; NULL: none (strings)
    double min, max;      // allowed range of numbers, inclusive
    const char *choices;  // "dpo|sft"; the value is the position
    const char *help;
    bool ours; // not a TRL name
};
extern const struct train_key train_keys[];
extern const size_t train_key_count;
const struct train_key *train_key_find(const char *name); // or NULL
// True for keys of TRL that this program lacks and train_config_set() knows all the same.
bool train_key_is_foreign(const char *name);

// ---- life ----

// All defaults. Release with train_config_finish().
void train_config_init(struct train_config *c);
void train_config_finish(struct train_config *c);

// Sets one key from its text. `where` begins the message on failure ("demo.yaml: line 7",
// "--beta"). Unknown names suggest the nearest key; keys of TRL that this program does not have yet
// are accepted at the value that asks for nothing, and refused with a reason otherwise.
bool train_config_set(struct train_config *c, const char *name, const char *value,
                      const char *where);

// Reads a YAML (or JSON) file of flat keys. A key given twice, nested or of the wrong type, and
// YAML that does not parse are err_user with file and line.
bool train_config_read(struct train_config *c, const char *path);

// Checks what one key cannot know: required keys, keys that contradict each other.
bool train_config_check(const struct train_config *c);

// The value of a key as it would be written in a file, appended to `out`.
void train_config_value(const struct train_config *c, const struct train_key *key, struct str *out);

// True if the key has another value than its default.
bool train_config_changed(const struct train_config *c, const struct train_key *key);

// YAML of all keys, those at other than default values marked with a comment. `changed_only`
// leaves the rest out. Appended to `out`.
void train_config_print(const struct train_config *c, bool changed_only, struct str *out);

#endif
