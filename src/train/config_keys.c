// The table of keys.
#include "train/config_keys.h"

#include <string.h>

#define AT(field) offsetof(struct train_config, field)
#define NO_MAX TRAIN_NO_MAX
#define MAX_COUNT 1e9
#define TRL false
#define OURS true

#define FLAG(key, fallback, help, ours)                                                            \
    {                                                                                              \
#key, TRAIN_BOOL, AT(key), 0, fallback, 0, 0, NULL, help, ours                             \
    }
#define INT(key, fallback, min, max, help, ours)                                                   \
    {                                                                                              \
#key, TRAIN_INT, AT(key), 0, fallback, min, max, NULL, help, ours                          \
    }
#define NUMBER(key, fallback, min, max, help, ours)                                                \
    {                                                                                              \
#key, TRAIN_NUMBER, AT(key), 0, fallback, min, max, NULL, help, ours                       \
    }
#define STRING(key, fallback, help, ours)                                                          \
    {                                                                                              \
#key, TRAIN_STRING, AT(key), 0, fallback, 0, 0, NULL, help, ours                           \
    }
#define CHOICE(key, fallback, choices, help, ours)                                                 \
    {                                                                                              \
#key, TRAIN_CHOICE, AT(key), 0, fallback, 0, 0, choices, help, ours                        \
    }
#define CHOICES(key, count, choices, help, ours)                                                   \
    {                                                                                              \
#key, TRAIN_CHOICES, AT(key), AT(count), NULL, 0, 0, choices, help, ours                   \
    }
#define NUMBERS(key, count, min, max, help, ours)                                                  \
    {                                                                                              \
#key, TRAIN_NUMBERS, AT(key), AT(count), NULL, min, max, NULL, help, ours                  \
    }

// In the order of the loss types in shaders/args.h; alphapo is another name for simpo without a
// term for the likelihood.
#define LOSSES                                                                                     \
    "sigmoid|robust|hinge|ipo|ipo_sum|sigmoid_norm|exo_pair|nca_pair|bco_pair|sppo_hard|apo_zero|" \
    "apo_down|aot|aot_unpaired|discopop|sft|kto_pair|simpo|orpo|kto|apo_zero_unpaired|alphapo"
#define SCHEDULES                                                                                  \
    "linear|cosine|constant|constant_with_warmup|cosine_with_min_lr|warmup_stable_decay"
// In the order of enum train_optim; then other names, as in train_config_resolve().
#define OPTIMISERS "adamw|adamw_8bit|adamw_torch|adamw_torch_fused|adamw_bnb_8bit"
// In the order of enum train_dtype; then other names.
#define DTYPES "auto|fp32|bf16|fp16|float32|bfloat16|float16"
#define CURVES "linear|cosine|1-sqrt"

// One line a key.
// clang-format off
const struct train_key train_keys[] = {
    CHOICE(method, "dpo", "dpo|sft|kto|cpo", "what to train: pairs with a reference, texts, judged completions, pairs without a reference", OURS),
    CHOICES(loss_type, loss_types, LOSSES, "loss, or a list of losses to add up (default sigmoid; kto for method kto)", TRL),
    NUMBERS(loss_weights, loss_weights_given, 0, 1e6, "weight of each loss in the list (default 1 each)", TRL),
    NUMBER(beta, "0.1", 1e-6, 1e6, "strength of the pull to the reference", TRL),
    NUMBER(label_smoothing, "0", 0, 0.499999, "probability that a label is wrong: sigmoid, robust, exo_pair, aot, aot_unpaired, simpo", TRL),
    NUMBER(ld_alpha, "1", 0, 1, "weight of a completion's tokens beyond the shorter one's length", TRL),
    CHOICE(f_divergence_type, "reverse_kl", "reverse_kl|forward_kl|js_divergence|alpha_divergence", "divergence from the reference that is held down", TRL),
    NUMBER(f_alpha_divergence_coef, "0.5", -100, 100, "alpha of alpha_divergence", TRL),
    FLAG(use_weighting, "false", "weigh pairs by the policy's own probability of them (WPO)", TRL),
    NUMBER(discopop_tau, "0.05", 1e-6, 1e6, "temperature of discopop", TRL),
    NUMBER(simpo_gamma, "0.5", 0, 1e6, "margin that simpo aims at", TRL),
    NUMBER(cpo_alpha, "1", 0, 1e6, "method cpo: weight of the chosen completion's likelihood", TRL),
    NUMBER(alpha, "0", -100, 100, "method cpo: shape of the reward (AlphaPO); 0: the log-prob", TRL),
    NUMBER(desirable_weight, "1", 0, 1e6, "method kto: weight of desirable completions", TRL),
    NUMBER(undesirable_weight, "1", 0, 1e6, "method kto: weight of undesirable completions", TRL),
    STRING(ref_model_name_or_path, NULL, "folder of the reference (default: the starting model)", TRL),
    FLAG(sync_ref_model, "true", "let the reference follow the policy (TR-DPO)", TRL),
    NUMBER(ref_model_mixup_alpha, "0.6", 0, 1, "weight of the policy in a reference update", TRL),
    INT(ref_model_sync_steps, "512", 1, MAX_COUNT, "optimiser steps between reference updates", TRL),
    CHOICE(ref_offload, "auto", "auto|on|off", "score the reference ahead while it stands still, so that it need not be in device memory", OURS),
    FLAG(precompute_ref_log_probs, "false", "TRL's name for ref_offload: on", TRL),
    STRING(model_name_or_path, NULL, "folder of the starting model", TRL),
    STRING(dataset_name, NULL, "JSON lines file, plain or gzip, or a folder of them", TRL),
    STRING(output_dir, NULL, "folder for the trained model, checkpoints and logs", TRL),
    INT(max_length, "1024", 2, 1 << 20, "tokens of prompt and completion together", TRL),
    CHOICE(truncation_mode, "keep_start", "keep_start", "which end of a long row stays", TRL),
    FLAG(completion_only, "true", "SFT: score completions only, not prompts", OURS),
    NUMBER(num_train_epochs, "1", 0, 1e6, "passes over the dataset", TRL),
    INT(max_steps, "-1", -1, MAX_COUNT, "optimiser steps; -1: by epochs", TRL),
    INT(per_device_train_batch_size, "8", 1, 65536, "rows (pairs) of a batch", TRL),
    INT(gradient_accumulation_steps, "1", 1, 65536, "batches of an optimiser step", TRL),
    INT(token_budget, "0", 0, 1 << 22, "token slots of a pass over the model; 0: chosen from the data", OURS),
    CHOICE(gradient_checkpointing, "auto", "auto|on|off", "keep only what enters each layer and compute the rest again for the gradient, with the same bits; auto: where memory is short", TRL),
    INT(seed, "42", 0, 9007199254740991.0, "seed of all randomness", TRL),
    NUMBER(learning_rate, "1e-6", 0, 10, "peak learning rate", TRL),
    CHOICE(lr_scheduler_type, "linear", SCHEDULES, "course of the learning rate", TRL),
    NUMBER(warmup_steps, "0", 0, MAX_COUNT, "steps of warm-up; below 1: a share of all steps", TRL),
    NUMBER(warmup_ratio, "0", 0, 1, "warm-up as a share of all steps (older name)", TRL),
    NUMBER(min_lr, NULL, 0, 10, "cosine_with_min_lr: the rate it ends at", TRL),
    NUMBER(min_lr_rate, NULL, 0, 1, "cosine_with_min_lr: the same as a share of learning_rate", TRL),
    INT(num_decay_steps, NULL, 0, MAX_COUNT, "warmup_stable_decay: steps of decay", TRL),
    INT(num_stable_steps, NULL, 0, MAX_COUNT, "warmup_stable_decay: steps at the peak (default: what warm-up and decay leave)", TRL),
    CHOICE(warmup_type, "linear", CURVES, "warmup_stable_decay: course of the warm-up", TRL),
    CHOICE(decay_type, "cosine", CURVES, "warmup_stable_decay: course of the decay", TRL),
    NUMBER(min_lr_ratio, "0", 0, 1, "warmup_stable_decay: lowest rate as a share of learning_rate", TRL),
    NUMBER(num_cycles, "0.5", 0, 1e6, "cosine schedules: waves; 0.5 goes down once", TRL),
    CHOICE(dtype, "auto", DTYPES, "fp32; bf16: forward and backward read weights in bf16, the rest of an fp32 is kept apart for the optimiser, and products run on matrix units where those are fast (of bf16, else of fp16); fp16: the same, on those of fp16 in any case; auto: bf16 where they are fast, else fp32", TRL),
    CHOICE(gradient_dtype, "fp32", "fp32|bf16", "gradient in memory; bf16 goes with dtype: bf16 or fp16", OURS),
    FLAG(bf16, "false", "TRL's name for dtype: bf16", TRL),
    FLAG(fp16, "false", "TRL's name for dtype: fp16", TRL),
    FLAG(freeze_head, "false", "leave the head (lm_head) as it is, which saves a good part of its work; not where it is the embedding", OURS),
    CHOICE(optim, "adamw", OPTIMISERS, "AdamW with its moments in fp32, or in 8 bits; the longer names are others' for these", TRL),
    NUMBER(adam_beta1, "0.9", 0, 0.9999999, "decay of AdamW's first moment", TRL),
    NUMBER(adam_beta2, "0.999", 0, 0.9999999, "decay of AdamW's second moment", TRL),
    NUMBER(adam_epsilon, "1e-8", 1e-20, 1, "AdamW's epsilon", TRL),
    NUMBER(weight_decay, "0", 0, 10, "AdamW's decay, on matrices (not on norms and biases)", TRL),
    NUMBER(max_grad_norm, "1", 0, NO_MAX, "gradient norm to clip to; 0: no clipping", TRL),
    STRING(eval_dataset_name, NULL, "dataset to evaluate on", OURS),
    CHOICE(eval_strategy, "auto", "auto|no|steps|epoch", "auto: by eval_steps; steps: every eval_steps, or else logging_steps", TRL),
    INT(eval_steps, "0", 0, MAX_COUNT, "steps between evaluations; 0: at the end only", TRL),
    FLAG(eval_on_start, "false", "evaluate before the first step too", TRL),
    INT(per_device_eval_batch_size, "8", 1, 65536, "rows of a batch in evaluation", TRL),
    FLAG(load_best_model_at_end, "false", "end with the model of the best evaluation", TRL),
    STRING(metric_for_best_model, "loss", "metric of evaluation that says which model is best", TRL),
    CHOICE(greater_is_better, "auto", "auto|true|false", "whether more of it is better; auto: unless its name ends in loss", TRL),
    INT(early_stopping_patience, "0", 0, MAX_COUNT, "stop after so many evaluations without a better one; 0: never", TRL),
    NUMBER(early_stopping_threshold, "0", 0, NO_MAX, "what an evaluation must gain to count as better", TRL),
    STRING(eval_prompts, NULL, "file of prompts to answer in each evaluation", OURS),
    INT(eval_max_new_tokens, "64", 1, 1 << 20, "tokens of such an answer at most", OURS),
    NUMBER(eval_temperature, "0", 0, 100, "temperature of such an answer; 0: the likeliest tokens", OURS),
    INT(logging_steps, "10", 1, MAX_COUNT, "steps between lines of metrics", TRL),
    INT(save_steps, "500", 0, MAX_COUNT, "steps between checkpoints; 0: at the end only", TRL),
    INT(save_total_limit, "0", 0, MAX_COUNT, "checkpoints to keep; 0: all", TRL),
    STRING(resume_from_checkpoint, NULL, "true: the newest in output_dir; or a checkpoint's folder", TRL),
    FLAG(overwrite_output_dir, "false", "delete what an earlier run left in output_dir", TRL),
};
// clang-format on
const size_t train_key_count = sizeof train_keys / sizeof *train_keys;

#define NOTHING "null|none|None"

static const struct {
    const char *first, *heading;
} groups[] = {
    {"method", "Method and loss"},
    {"ref_model_name_or_path", "Reference"},
    {"model_name_or_path", "Model and data"},
    {"num_train_epochs", "Steps and batches"},
    {"learning_rate", "Learning rate"},
    {"dtype", "Precision and optimiser"},
    {"eval_dataset_name", "Evaluation"},
    {"logging_steps", "Logging and checkpoints"},
};

const char *train_key_heading(const struct train_key *key)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strcmp(groups[i].first, key->name) == 0) return groups[i].heading;
    return NULL;
}

// Keys a TRL user may carry along: accepted at a value that asks for what this program does anyway
// ("*": at any, as they say how to do what another key, refused here, would ask for).
static const struct train_foreign_key foreign_keys[] = {
    {"torch_dtype", "auto", "give dtype"},
    {"use_peft", "false", "this version trains all weights"},
    {"lora_r", "*", NULL},
    {"lora_alpha", "*", NULL},
    {"lora_target_modules", "*", NULL},
    {"use_rslora", "*", NULL},
    {"report_to", "none", "metrics go to metrics.jsonl in output_dir"},
    {"save_strategy", "steps", "give save_steps (0: at the end only)"},
    {"logging_strategy", "steps", "give logging_steps"},
    {"logging_first_step", "false", "lines come every logging_steps"},
    {"train_sampling_strategy", "random", "rows are shuffled in each epoch"},
    {"group_by_length", "false", "rows are packed, not padded"},
    {"disable_dropout", "true", "there is no dropout"},
    {"activation_offloading", "false", "activations stay on the device"},
    {"trust_remote_code", "false", "models are of the families the program knows"},
    {"push_to_hub", "false", "the model stays in output_dir"},
    {"generate_during_eval", "false", "give eval_prompts, a file of prompts"},
    {"rpo_alpha", NOTHING, "give loss_type: [sigmoid, sft] and loss_weights: [1, ALPHA]"},
    {"reference_free", "false", "set method: cpo, which has no reference"},
    {"max_prompt_length", NOTHING, "max_length is for prompt and completion together"},
    {"max_completion_length", NOTHING, "max_length is for prompt and completion together"},
    {"padding_free", "*", NULL}, // packing is
    {"pad_to_multiple_of", "*", NULL},
    {"precompute_ref_batch_size", "*", NULL},
    {"dataset_num_proc", "*", NULL},
    {"dataloader_num_workers", "*", NULL},
    {"remove_unused_columns", "*", NULL},
    {"run_name", "*", NULL},
    {"full_determinism", "*", NULL}, // each run is
    {"use_liger_kernel", "*", NULL},
    {"torch_compile", "*", NULL},
    {"attn_implementation", "*", NULL},
};

const struct train_foreign_key *train_foreign_key_find(const char *name)
{
    for (size_t i = 0; i < sizeof foreign_keys / sizeof *foreign_keys; i++)
        if (strcmp(foreign_keys[i].name, name) == 0) return &foreign_keys[i];
    return NULL;
}

bool train_key_is_foreign(const char *name)
{
    return strcmp(name, TRAIN_SCHEDULE_KWARGS) == 0 || train_foreign_key_find(name);
}

static const char *const schedule_keys[] = {"min_lr",           "min_lr_rate", "num_decay_steps",
                                            "num_stable_steps", "warmup_type", "decay_type",
                                            "min_lr_ratio",     "num_cycles"};

bool train_key_is_of_schedule(const char *name)
{
    for (size_t i = 0; i < sizeof schedule_keys / sizeof *schedule_keys; i++)
        if (strcmp(schedule_keys[i], name) == 0) return true;
    return false;
}

const struct train_key *train_key_find(const char *name)
{
    for (size_t i = 0; i < train_key_count; i++)
        if (strcmp(train_keys[i].name, name) == 0) return &train_keys[i];
    return NULL;
}

const char *train_key_nearest(const char *name)
{
    const char *names[sizeof train_keys / sizeof *train_keys];
    for (size_t i = 0; i < train_key_count; i++)
        names[i] = train_keys[i].name;
    return str_nearest(name, names, train_key_count);
}

int64_t train_choice_index(const char *choices, const char *value)
{
    size_t len = strlen(value);
    int64_t index = 0;
    for (const char *at = choices; at; index++) {
        const char *end = strchr(at, '|');
        size_t n = end ? (size_t)(end - at) : strlen(at);
        if (n == len && memcmp(at, value, n) == 0) return index;
        at = end ? end + 1 : NULL;
    }
    return -1;
}

void train_choice_append(const char *choices, int64_t index, struct str *out)
{
    while (index-- > 0)
        choices = strchr(choices, '|') + 1;
    const char *end = strchr(choices, '|');
    str_append_bytes(out, choices, end ? (size_t)(end - choices) : strlen(choices));
}
