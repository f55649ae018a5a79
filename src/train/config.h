// The configuration of a run: flat keys with the names and defaults that TRL users know.
#ifndef TRDPO_TRAIN_CONFIG_H
#define TRDPO_TRAIN_CONFIG_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum train_method { TRAIN_DPO, TRAIN_SFT, TRAIN_KTO, TRAIN_CPO };
enum train_schedule {
    TRAIN_LINEAR,
    TRAIN_COSINE,
    TRAIN_CONSTANT,
    TRAIN_CONSTANT_WITH_WARMUP,
    TRAIN_COSINE_WITH_MIN_LR,
    TRAIN_WARMUP_STABLE_DECAY
};
// The course of warm-up and decay in warmup_stable_decay.
enum train_curve { TRAIN_CURVE_LINEAR, TRAIN_CURVE_COSINE, TRAIN_CURVE_SQRT };
enum train_offload { TRAIN_OFFLOAD_AUTO, TRAIN_OFFLOAD_ON, TRAIN_OFFLOAD_OFF };
enum train_checkpointing {
    TRAIN_CHECKPOINTING_AUTO,
    TRAIN_CHECKPOINTING_ON,
    TRAIN_CHECKPOINTING_OFF
};
enum train_eval_strategy {
    TRAIN_EVAL_AUTO,
    TRAIN_EVAL_NO,
    TRAIN_EVAL_STEPS,
    TRAIN_EVAL_EPOCH
};                                                  // _AUTO: as eval_steps says
enum train_optim { TRAIN_ADAMW, TRAIN_ADAMW_8BIT }; // of a resolved configuration
enum train_dtype {
    TRAIN_DTYPE_AUTO,
    TRAIN_DTYPE_FP32,
    TRAIN_DTYPE_BF16,
    TRAIN_DTYPE_FP16
}; // of a resolved configuration
enum train_gradient_dtype { TRAIN_GRADIENT_FP32, TRAIN_GRADIENT_BF16 };
enum train_choice { TRAIN_AUTO, TRAIN_TRUE, TRAIN_FALSE };

#define TRAIN_MAX_LOSSES 8
#define TRAIN_UNSET INT64_MIN // an optional whole number that is not given; numbers: NaN

// Strings are heap-allocated and owned by the config; NULL where not given.
struct train_config {
    int64_t method; // enum train_method
    // The losses, as types of shaders/args.h: those of `method` until loss_types says otherwise (0:
    // not given, which train_config_resolve() settles; method sft has none).
    int64_t loss_type[TRAIN_MAX_LOSSES];
    size_t loss_types;
    double loss_weights[TRAIN_MAX_LOSSES]; // 1 where not given
    size_t loss_weights_given;
    double beta, label_smoothing, ld_alpha;
    int64_t f_divergence_type; // DIVERGENCE_ of shaders/args.h
    double f_alpha_divergence_coef;
    bool use_weighting;
    double discopop_tau, simpo_gamma, cpo_alpha, alpha, desirable_weight, undesirable_weight;
    bool sync_ref_model;
    bool sync_ref_model_given; // not by default
    double ref_model_mixup_alpha;
    int64_t ref_model_sync_steps;
    int64_t ref_offload; // enum train_offload
    bool precompute_ref_log_probs;
    char *model_name_or_path, *ref_model_name_or_path, *dataset_name, *eval_dataset_name,
        *output_dir;
    bool completion_only;
    double learning_rate;
    int64_t lr_scheduler_type; // enum train_schedule
    double warmup_steps, warmup_ratio;
    double min_lr, min_lr_rate;                // NaN: not given
    int64_t num_decay_steps, num_stable_steps; // or TRAIN_UNSET
    int64_t warmup_type, decay_type;           // enum train_curve
    double min_lr_ratio, num_cycles;
    double num_train_epochs;
    int64_t max_steps, per_device_train_batch_size, gradient_accumulation_steps;
    int64_t dtype;          // enum train_dtype
    int64_t gradient_dtype; // enum train_gradient_dtype
    bool freeze_head;       // the head stays as it is
    bool bf16, fp16;
    int64_t optim; // enum train_optim
    double adam_beta1, adam_beta2, adam_epsilon, weight_decay, max_grad_norm;
    int64_t max_length;
    int64_t truncation_mode; // enum data_truncation
    int64_t token_budget;
    int64_t gradient_checkpointing; // enum train_checkpointing
    int64_t seed, logging_steps, save_steps, save_total_limit;
    int64_t eval_strategy; // enum train_eval_strategy
    int64_t eval_steps, per_device_eval_batch_size;
    bool eval_on_start, load_best_model_at_end;
    char *metric_for_best_model;
    int64_t greater_is_better;       // enum train_choice
    int64_t early_stopping_patience; // 0: off
    double early_stopping_threshold;
    char *eval_prompts;
    int64_t eval_max_new_tokens;
    double eval_temperature;
    char *resume_from_checkpoint; // "true", "false" or a path
    bool overwrite_output_dir;
};

// ---- the table of keys ----

enum train_key_type {
    TRAIN_BOOL,
    TRAIN_INT,
    TRAIN_NUMBER,
    TRAIN_STRING,
    TRAIN_CHOICE,
    TRAIN_CHOICES, // list of choices, none twice; at most TRAIN_MAX_LOSSES
    TRAIN_NUMBERS  // list of numbers; at most TRAIN_MAX_LOSSES
};

struct train_key {
    const char *name;
    enum train_key_type type;
    size_t offset;        // in struct train_config
    size_t count;         // lists: offset of the number of entries
    const char *fallback; // default, as written; NULL: none
    double min, max;      // allowed range of numbers, inclusive
    const char *choices;  // "dpo|sft"; the value is the position
    const char *help;
    bool ours; // not a TRL name
};
extern const struct train_key train_keys[];
extern const size_t train_key_count;
const struct train_key *train_key_find(const char *name); // or NULL
// The heading of the group of keys that begins with this one, or NULL.
const char *train_key_heading(const struct train_key *key);
// True for names that are no keys and that train_config_set() knows all the same: keys of TRL that
// this program lacks, and lr_scheduler_kwargs, a group of keys.
bool train_key_is_foreign(const char *name);

// ---- life ----

// All defaults. Release with train_config_finish().
void train_config_init(struct train_config *c);
void train_config_finish(struct train_config *c);

// Sets one key from its text; lists are written a,b or [a, b], and null or none puts a number or a
// list back to its default. `where` begins the message on failure ("demo.yaml: line 7",
// "--beta"). Unknown names suggest the nearest key; keys of TRL that this program does not have yet
// are accepted at the value that asks for nothing, and refused with a reason otherwise.
bool train_config_set(struct train_config *c, const char *name, const char *value,
                      const char *where);

// Reads a YAML (or JSON) file of flat keys. A key given twice, nested or of the wrong type, and
// YAML that does not parse are err_user with file and line.
bool train_config_read(struct train_config *c, const char *path);

// Reads a mapping of keys of the schedule, as `lr_scheduler_kwargs: {min_lr: 1e-7}`. `text` is YAML
// or JSON.
bool train_config_read_schedule(struct train_config *c, const char *text, const char *where);

// Settles what is left to other keys: loss_type by method, and what goes with having no reference.
// Says nothing, and does the same when called again.
void train_config_resolve(struct train_config *c);

// Resolves, then checks what one key cannot know: required keys, keys that contradict each other.
bool train_config_check(struct train_config *c);

// Resolves, then checks the keys of method and loss alone, for use without a training.
bool train_config_check_judging(struct train_config *c);

// ---- what follows from the keys ----

// True if the loss compares with a reference: not sft, not cpo, nor simpo, orpo and sft alone.
bool train_config_has_reference(const struct train_config *c);

// The settings that the loss kernels of pairs take (methods dpo and cpo). Resolves by itself.
struct pref_settings;
void train_config_pref_settings(const struct train_config *config, struct pref_settings *out);

// The metric that says which model is best, without "eval_"; and whether more of it is better.
const char *train_config_best_metric(const struct train_config *c);
bool train_config_greater_is_better(const struct train_config *c);

// ---- printing ----

// The value of a key as it would be written in a file, appended to `out`.
void train_config_value(const struct train_config *c, const struct train_key *key, struct str *out);

// True if the key has another value than its default.
bool train_config_changed(const struct train_config *c, const struct train_key *key);

// YAML of all keys, those at other than default values marked with a comment. `changed_only`
// leaves the rest out. Appended to `out`.
void train_config_print(const struct train_config *c, bool changed_only, struct str *out);

#endif
