#include "train/config.h"

#include "base/error.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct train_config, field)
#define NO_MAX 1e38 // of float: "at least" alone is told to the user
#define MAX_COUNT 1e9

// One line a key.
// clang-format off
const struct train_key train_keys[] = {
    {"method", TRAIN_CHOICE, AT(method), "dpo", 0, 0, "dpo|sft", "what to train: preferences or next tokens", true},
    {"loss_type", TRAIN_CHOICE, AT(loss_type), "sigmoid", 0, 0, "sigmoid", "preference loss", false},
    {"beta", TRAIN_NUMBER, AT(beta), "0.1", 1e-6, 1e6, NULL, "strength of the pull to the reference", false},
    {"label_smoothing", TRAIN_NUMBER, AT(label_smoothing), "0", 0, 0.499999, NULL, "probability that a label is wrong (conservative DPO)", false},
    {"sync_ref_model", TRAIN_BOOL, AT(sync_ref_model), "true", 0, 0, NULL, "let the reference follow the policy (TR-DPO)", false},
    {"ref_model_mixup_alpha", TRAIN_NUMBER, AT(ref_model_mixup_alpha), "0.6", 0, 1, NULL, "weight of the policy in a reference update", false},
    {"ref_model_sync_steps", TRAIN_INT, AT(ref_model_sync_steps), "512", 1, MAX_COUNT, NULL, "optimiser steps between reference updates", false},
    {"model_name_or_path", TRAIN_STRING, AT(model_name_or_path), NULL, 0, 0, NULL, "folder of the starting model", false},
    {"ref_model_name_or_path", TRAIN_STRING, AT(ref_model_name_or_path), NULL, 0, 0, NULL, "folder of the reference (default: the starting model)", false},
    {"dataset_name", TRAIN_STRING, AT(dataset_name), NULL, 0, 0, NULL, "JSON lines file, plain or gzip, or a folder of them", false},
    {"eval_dataset_name", TRAIN_STRING, AT(eval_dataset_name), NULL, 0, 0, NULL, "dataset to evaluate on", true},
    {"output_dir", TRAIN_STRING, AT(output_dir), NULL, 0, 0, NULL, "folder for the trained model, checkpoints and logs", false},
    {"completion_only", TRAIN_BOOL, AT(completion_only), "true", 0, 0, NULL, "SFT: score completions only, not prompts", true},
    {"learning_rate", TRAIN_NUMBER, AT(learning_rate), "1e-6", 0, 10, NULL, "peak learning rate", false},
    {"lr_scheduler_type", TRAIN_CHOICE, AT(lr_scheduler_type), "linear", 0, 0, "linear|cosine|constant|constant_with_warmup", "course of the learning rate", false},
    {"warmup_steps", TRAIN_NUMBER, AT(warmup_steps), "0", 0, MAX_COUNT, NULL, "steps of linear warm-up; below 1: a share of all steps", false},
    {"num_train_epochs", TRAIN_NUMBER, AT(num_train_epochs), "1", 0, 1e6, NULL, "passes over the dataset", false},
    {"max_steps", TRAIN_INT, AT(max_steps), "-1", -1, MAX_COUNT, NULL, "optimiser steps; -1: by epochs", false},
    {"per_device_train_batch_size", TRAIN_INT, AT(per_device_train_batch_size), "8", 1, 65536, NULL, "rows (pairs) of a batch", false},
    {"gradient_accumulation_steps", TRAIN_INT, AT(gradient_accumulation_steps), "1", 1, 65536, NULL, "batches of an optimiser step", false},
    {"adam_beta1", TRAIN_NUMBER, AT(adam_beta1), "0.9", 0, 0.9999999, NULL, "decay of AdamW's first moment", false},
    {"adam_beta2", TRAIN_NUMBER, AT(adam_beta2), "0.999", 0, 0.9999999, NULL, "decay of AdamW's second moment", false},
    {"adam_epsilon", TRAIN_NUMBER, AT(adam_epsilon), "1e-8", 1e-20, 1, NULL, "AdamW's epsilon", false},
    {"weight_decay", TRAIN_NUMBER, AT(weight_decay), "0", 0, 10, NULL, "AdamW's decay, on matrices (not on norms and biases)", false},
    {"max_grad_norm", TRAIN_NUMBER, AT(max_grad_norm), "1", 0, NO_MAX, NULL, "gradient norm to clip to; 0: no clipping", false},
    {"max_length", TRAIN_INT, AT(max_length), "1024", 2, 1 << 20, NULL, "tokens of prompt and completion together", false},
    {"truncation_mode", TRAIN_CHOICE, AT(truncation_mode), "keep_start", 0, 0, "keep_start", "which end of a long row stays", false},
    {"token_budget", TRAIN_INT, AT(token_budget), "0", 0, 1 << 22, NULL, "token slots of a pass over the model; 0: chosen from the data", true},
    {"seed", TRAIN_INT, AT(seed), "42", 0, 9007199254740991.0, NULL, "seed of all randomness", false},
    {"logging_steps", TRAIN_INT, AT(logging_steps), "10", 1, MAX_COUNT, NULL, "steps between lines of metrics", false},
    {"eval_steps", TRAIN_INT, AT(eval_steps), "0", 0, MAX_COUNT, NULL, "steps between evaluations; 0: at the end only", false},
    {"save_steps", TRAIN_INT, AT(save_steps), "500", 0, MAX_COUNT, NULL, "steps between checkpoints; 0: at the end only", false},
    {"save_total_limit", TRAIN_INT, AT(save_total_limit), "0", 0, MAX_COUNT, NULL, "checkpoints to keep; 0: all", false},
    {"resume_from_checkpoint", TRAIN_STRING, AT(resume_from_checkpoint), NULL, 0, 0, NULL, "true: the newest in output_dir; or a checkpoint's folder", false},
    {"overwrite_output_dir", TRAIN_BOOL, AT(overwrite_output_dir), "false", 0, 0, NULL, "delete what an earlier run left in output_dir", false},
};
// clang-format on
const size_t train_key_count = sizeof train_keys / sizeof *train_keys;

// Keys a TRL user may carry along: accepted at a value that asks for what this program does anyway
// ("*": at any, as they say how to do what another key, refused here, would ask for).
static const struct {
    const char *name, *accepted, *reason;
} foreign_keys[] = {
    {"dtype", "auto|fp32|float32", "this version trains in fp32"},
    {"torch_dtype", "auto|fp32|float32", "this version trains in fp32"},
    {"bf16", "false", "this version trains in fp32"},
    {"fp16", "false", "this version trains in fp32"},
    {"gradient_checkpointing", "auto|off|false", "this version keeps all activations"},
    {"use_peft", "false", "this version trains all weights"},
    {"lora_r", "*", NULL},
    {"lora_alpha", "*", NULL},
    {"lora_target_modules", "*", NULL},
    {"use_rslora", "*", NULL},
    {"metric_for_best_model", "*", NULL},
    {"load_best_model_at_end", "false", "this version keeps the last model"},
    {"optim", "adamw|adamw_torch|adamw_torch_fused", "the optimiser is AdamW"},
    {"f_divergence_type", "reverse_kl", "this version has the reverse KL divergence only"},
    {"f_alpha_divergence_coef", "*", NULL},
    {"discopop_tau", "*", NULL},
    {"simpo_gamma", "*", NULL},
    {"desirable_weight", "*", NULL},
    {"undesirable_weight", "*", NULL},
    {"use_weighting", "false", "this version does not weight pairs (WPO)"},
    {"ld_alpha", "1|1.0", "this version gives all tokens the same weight"},
    {"loss_weights", "1|1.0", "this version has one loss"},
    {"precompute_ref_log_probs", "false",
     "the reference moves, so its log-probs are computed in each step"},
    {"remove_unused_columns", "*", NULL},
    {"report_to", "none", "metrics go to metrics.jsonl in output_dir"},
};

const struct train_key *train_key_find(const char *name)
{
    for (size_t i = 0; i < train_key_count; i++)
        if (strcmp(train_keys[i].name, name) == 0) return &train_keys[i];
    return NULL;
}

bool train_key_is_foreign(const char *name)
{
    for (size_t i = 0; i < sizeof foreign_keys / sizeof *foreign_keys; i++)
        if (strcmp(foreign_keys[i].name, name) == 0) return true;
    return false;
}

// Position of `value` among "a|b|c", or -1.
static int64_t choice_index(const char *choices, const char *value)
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

static void append_choice(const char *choices, int64_t index, struct str *out)
{
    while (index-- > 0)
        choices = strchr(choices, '|') + 1;
    const char *end = strchr(choices, '|');
    str_append_bytes(out, choices, end ? (size_t)(end - choices) : strlen(choices));
}

static bool unknown_key(const char *name, const char *value, const char *where)
{
    for (size_t i = 0; i < sizeof foreign_keys / sizeof *foreign_keys; i++) {
        if (strcmp(foreign_keys[i].name, name) != 0) continue;
        const char *accepted = foreign_keys[i].accepted;
        if (strcmp(accepted, "*") == 0 || choice_index(accepted, value) >= 0) return true;
        return err_user("%s: %s: %s is not available: %s", where, name, value,
                        foreign_keys[i].reason);
    }
    const char *names[sizeof train_keys / sizeof *train_keys];
    for (size_t i = 0; i < train_key_count; i++)
        names[i] = train_keys[i].name;
    const char *nearest = str_nearest(name, names, train_key_count);
    if (nearest) return err_user("%s: unknown key '%s': did you mean '%s'?", where, name, nearest);
    return err_user("%s: unknown key '%s' ('trdpo-vk train --help' lists the keys)", where, name);
}

static bool parse_bool(const char *value, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "on", "1"};
    static const char *const no[] = {"false", "False", "FALSE", "no", "off", "0"};
    for (size_t i = 0; i < 6; i++) {
        if (strcmp(value, yes[i]) == 0) return *out = true, true;
        if (strcmp(value, no[i]) == 0) return *out = false, true;
    }
    return false;
}

static bool set_number(void *field, const struct train_key *key, const char *value,
                       const char *where)
{
    char *end;
    errno = 0;
    double number = strtod(value, &end);
    if (!*value || *end || !isfinite(number))
        return err_user("%s: %s: expected a number, not '%s'", where, key->name, value);
    if (key->type == TRAIN_INT && number != floor(number))
        return err_user("%s: %s: expected a whole number, not '%s'", where, key->name, value);
    if (number < key->min || number > key->max) {
        if (key->max >= NO_MAX)
            return err_user("%s: %s: %s is out of range: at least %g", where, key->name, value,
                            key->min);
        return err_user("%s: %s: %s is out of range: from %.10g to %.10g", where, key->name, value,
                        key->min, key->max);
    }
    if (key->type == TRAIN_INT)
        *(int64_t *)field = (int64_t)number;
    else
        *(double *)field = number;
    return true;
}

bool train_config_set(struct train_config *c, const char *name, const char *value,
                      const char *where)
{
    const struct train_key *key = train_key_find(name);
    if (!key) return unknown_key(name, value, where);
    void *field = (char *)c + key->offset;
    switch (key->type) {
    case TRAIN_BOOL:
        if (parse_bool(value, field)) return true;
        return err_user("%s: %s: expected true or false, not '%s'", where, name, value);
    case TRAIN_INT:
    case TRAIN_NUMBER:
        return set_number(field, key, value, where);
    case TRAIN_CHOICE: {
        int64_t index = choice_index(key->choices, value);
        if (index < 0)
            return err_user("%s: %s: '%s' is not one of %s", where, name, value, key->choices);
        *(int64_t *)field = index;
        return true;
    }
    case TRAIN_STRING:
        mem_free(*(char **)field);
        *(char **)field = *value ? mem_strdup(value) : NULL;
        return true;
    }
    return true;
}

void train_config_init(struct train_config *c)
{
    *c = (struct train_config){0};
    for (size_t i = 0; i < train_key_count; i++)
        if (train_keys[i].fallback)
            CHECK(train_config_set(c, train_keys[i].name, train_keys[i].fallback, "default"));
}

void train_config_finish(struct train_config *c)
{
    for (size_t i = 0; i < train_key_count; i++)
        if (train_keys[i].type == TRAIN_STRING)
            mem_free(*(char **)(void *)((char *)c + train_keys[i].offset));
    *c = (struct train_config){0};
}

static void append_quoted(struct str *out, const char *text)
{
    str_append_char(out, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\') str_append_char(out, '\\');
        if (*p == '\n')
            str_append(out, "\\n");
        else
            str_append_char(out, *p);
    }
    str_append_char(out, '"');
}

void train_config_value(const struct train_config *c, const struct train_key *key, struct str *out)
{
    const void *field = (const char *)c + key->offset;
    switch (key->type) {
    case TRAIN_BOOL:
        str_append(out, *(const bool *)field ? "true" : "false");
        break;
    case TRAIN_INT:
        str_appendf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case TRAIN_NUMBER: {
        double value = *(const double *)field;
        char text[40];
        for (int digits = 1; digits <= 17; digits++) { // the shortest text that reads back the same
            snprintf(text, sizeof text, "%.*g", digits, value);
            if (strtod(text, NULL) == value) break;
        }
        str_append(out, text);
        break;
    }
    case TRAIN_CHOICE:
        append_choice(key->choices, *(const int64_t *)field, out);
        break;
    case TRAIN_STRING: {
        const char *text = *(char *const *)field;
        if (text)
            append_quoted(out, text);
        else
            str_append(out, "null");
        break;
    }
    }
}

bool train_config_changed(const struct train_config *c, const struct train_key *key)
{
    struct train_config defaults;
    struct str mine = {0}, standard = {0};
    train_config_init(&defaults);
    train_config_value(c, key, &mine);
    train_config_value(&defaults, key, &standard);
    bool changed = strcmp(str_text(&mine), str_text(&standard)) != 0;
    str_finish(&mine);
    str_finish(&standard);
    train_config_finish(&defaults);
    return changed;
}

void train_config_print(const struct train_config *c, bool changed_only, struct str *out)
{
    for (size_t i = 0; i < train_key_count; i++) {
        const struct train_key *key = &train_keys[i];
        bool changed = train_config_changed(c, key);
        if (changed_only && !changed) continue;
        size_t start = out->len;
        str_appendf(out, "%s: ", key->name);
        train_config_value(c, key, out);
        if (changed && !changed_only) {
            while (out->len - start < 44)
                str_append_char(out, ' ');
            str_append(out, " # not the default");
        }
        str_append_char(out, '\n');
    }
}
