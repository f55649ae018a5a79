// Checks across keys.
#include "train/config_keys.h"

#include "base/error.h"
#include "base/file.h"

#include <string.h>

static bool require(const char *value, const char *key)
{
    if (value) return true;
    return err_user("%s is not set: give it in the configuration file or as --%s", key, key);
}

// What the keys ask for and the program does not do yet: the values that it does. Lines go as the
// program learns.
static const struct {
    const char *key, *available;
} not_yet_wired[] = {
    {"method", "dpo|sft"},
    {"loss_type", "null|sigmoid"},
    {"loss_weights", "null"},
    {"ld_alpha", "1"},
    {"f_divergence_type", "reverse_kl"},
    {"use_weighting", "false"},
    {"ref_offload", "auto|off"},
    {"precompute_ref_log_probs", "false"},
    {"per_device_eval_batch_size", "8"},
    {"eval_on_start", "false"},
    {"load_best_model_at_end", "false"},
    {"early_stopping_patience", "0"},
    {"eval_prompts", "null"},
};

static bool check_wired(const struct train_config *c)
{
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof not_yet_wired / sizeof *not_yet_wired; i++) {
        const char *name = not_yet_wired[i].key;
        struct str value = {0};
        train_config_value(c, train_key_find(name), &value);
        if (train_choice_index(not_yet_wired[i].available, str_text(&value)) < 0)
            ok = err_user("%s: %s is not available in this version", name, str_text(&value));
        str_finish(&value);
    }
    return ok;
}

const char *train_config_best_metric(const struct train_config *c)
{
    const char *name = c->metric_for_best_model ? c->metric_for_best_model : "loss";
    return str_starts_with(name, "eval_") ? name + 5 : name;
}

bool train_config_greater_is_better(const struct train_config *c)
{
    if (c->greater_is_better != TRAIN_AUTO) return c->greater_is_better == TRAIN_TRUE;
    return !str_ends_with(train_config_best_metric(c), "loss");
}

bool train_config_check(struct train_config *c)
{
    train_config_resolve(c);
    if (!check_wired(c)) return false;
    if (!require(c->model_name_or_path, "model_name_or_path") ||
        !require(c->dataset_name, "dataset_name") || !require(c->output_dir, "output_dir"))
        return false;
    if (!file_is_dir(c->model_name_or_path))
        return err_user("model_name_or_path: %s is not a folder with a model (config.json, "
                        "model.safetensors, tokenizer.json)",
                        c->model_name_or_path);
    if (c->ref_model_name_or_path && !file_is_dir(c->ref_model_name_or_path))
        return err_user("ref_model_name_or_path: %s is not a folder with a model",
                        c->ref_model_name_or_path);
    if (!file_exists(c->dataset_name))
        return err_user("dataset_name: %s does not exist", c->dataset_name);
    if (c->eval_dataset_name && !file_exists(c->eval_dataset_name))
        return err_user("eval_dataset_name: %s does not exist", c->eval_dataset_name);
    if (c->method == TRAIN_SFT && c->ref_model_name_or_path)
        return err_user("ref_model_name_or_path: method: sft has no reference");
    if (c->max_steps < 0 && c->num_train_epochs <= 0)
        return err_user("num_train_epochs: must be above 0 where max_steps is not set");
    if (c->max_steps == 0)
        return err_user("max_steps: 0 steps train nothing: give 1 or more, or -1");
    if (c->eval_steps && !c->eval_dataset_name)
        return err_user("eval_steps is set, but eval_dataset_name is not");
    return true;
}
