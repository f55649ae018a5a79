// Checks across keys.
#include "train/config_keys.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "train/metrics.h"

#include <math.h>
#include <string.h>

static bool require(const char *value, const char *key)
{
    if (value) return true;
    return err_user("%s is not set: give it in the configuration file or as --%s", key, key);
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

// ---- schedule ----

static bool changed(const struct train_config *c, const char *key)
{
    return train_config_changed(c, train_key_find(key));
}

// Settings of one schedule under another would be ignored in silence.
static bool check_schedule_keys(const struct train_config *c)
{
    enum { MIN_LR = 1, STABLE = 2, COSINES = 4 };
    static const unsigned takes[] = {[TRAIN_COSINE] = COSINES,
                                     [TRAIN_COSINE_WITH_MIN_LR] = COSINES | MIN_LR,
                                     [TRAIN_WARMUP_STABLE_DECAY] = COSINES | STABLE};
    static const struct {
        const char *key;
        unsigned of;
        const char *whose;
    } keys[] = {
        {"min_lr", MIN_LR, "cosine_with_min_lr"},
        {"min_lr_rate", MIN_LR, "cosine_with_min_lr"},
        {"num_decay_steps", STABLE, "warmup_stable_decay"},
        {"num_stable_steps", STABLE, "warmup_stable_decay"},
        {"warmup_type", STABLE, "warmup_stable_decay"},
        {"decay_type", STABLE, "warmup_stable_decay"},
        {"min_lr_ratio", STABLE, "warmup_stable_decay"},
        {"num_cycles", COSINES, "cosine, cosine_with_min_lr or warmup_stable_decay"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (takes[c->lr_scheduler_type] & keys[i].of || !changed(c, keys[i].key)) continue;
        struct str type = {0};
        train_config_value(c, train_key_find("lr_scheduler_type"), &type);
        err_user("%s: lr_scheduler_type %s has no such setting: it is of %s", keys[i].key,
                 str_text(&type), keys[i].whose);
        str_finish(&type);
        return false;
    }
    return true;
}

static bool check_schedule(const struct train_config *c)
{
    if (c->warmup_steps > 0 && c->warmup_ratio > 0)
        return err_user("warmup_steps and warmup_ratio are both set: leave one of them out");
    if (!check_schedule_keys(c)) return false;
    if (c->lr_scheduler_type == TRAIN_COSINE_WITH_MIN_LR) {
        if (!isnan(c->min_lr) && !isnan(c->min_lr_rate))
            return err_user("min_lr and min_lr_rate are both set: leave one of them out");
        if (isnan(c->min_lr) && isnan(c->min_lr_rate))
            return err_user("lr_scheduler_type cosine_with_min_lr needs min_lr or min_lr_rate");
        if (c->min_lr > c->learning_rate)
            return err_user("min_lr: %g is above learning_rate, %g", c->min_lr, c->learning_rate);
    }
    if (c->lr_scheduler_type == TRAIN_WARMUP_STABLE_DECAY && c->num_decay_steps == TRAIN_UNSET)
        return err_user("lr_scheduler_type warmup_stable_decay needs num_decay_steps");
    return true;
}

// ---- evaluation ----

static bool check_eval_strategy(const struct train_config *c)
{
    if (c->eval_strategy == TRAIN_EVAL_EPOCH)
        return err_user(
            "eval_strategy: epoch is not available: give eval_steps, the steps of an "
            "epoch (rows / (per_device_train_batch_size x gradient_accumulation_steps))");
    if (c->eval_strategy != TRAIN_EVAL_NO) return true;
    const char *against = c->eval_steps          ? "eval_steps"
                          : c->eval_on_start     ? "eval_on_start"
                          : c->eval_dataset_name ? "eval_dataset_name"
                                                 : NULL;
    if (against)
        return err_user("eval_strategy is no, but %s is set: leave one of them out", against);
    return true;
}

static bool check_best_metric(const struct train_config *c)
{
    const char *name = train_config_best_metric(c), *offered[METRIC_COUNT];
    enum train_metric metric = train_metric_find(name);
    struct train_metric_rules rules = train_metric_rules_of(c);
    if (metric < METRIC_COUNT && train_metric_offered(&rules, metric)) return true;
    size_t count = 0;
    struct str all = {0};
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (!train_metric_offered(&rules, (enum train_metric)i)) continue;
        str_appendf(&all, "%s%s", count ? ", " : "", train_metric_names[i]);
        offered[count++] = train_metric_names[i];
    }
    const char *nearest = str_nearest(name, offered, count);
    err_user("metric_for_best_model: evaluation has no '%s'%s%s%s; it has %s", name,
             nearest ? ": did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "",
             str_text(&all));
    str_finish(&all);
    return false;
}

static bool check_evaluation(const struct train_config *c)
{
    if (!check_eval_strategy(c)) return false;
    const char *needs = c->eval_strategy == TRAIN_EVAL_STEPS ? "eval_strategy"
                        : c->eval_steps                      ? "eval_steps"
                        : c->eval_on_start                   ? "eval_on_start"
                        : c->load_best_model_at_end          ? "load_best_model_at_end"
                        : c->early_stopping_patience         ? "early_stopping_patience"
                        : c->eval_prompts                    ? "eval_prompts"
                                                             : NULL;
    if (needs && !c->eval_dataset_name)
        return err_user("%s is set, but eval_dataset_name is not", needs);
    const char *often = c->load_best_model_at_end    ? "load_best_model_at_end"
                        : c->early_stopping_patience ? "early_stopping_patience"
                                                     : NULL;
    if (often && c->eval_steps == 0)
        return err_user("%s needs evaluations during the run: set eval_steps", often);
    return check_best_metric(c);
}

// ---- precision ----

static bool check_precision(const struct train_config *c)
{
    if (c->bf16 && c->fp16) return err_user("bf16 and fp16 are both true: leave one of them out");
    if ((c->bf16 && c->dtype != TRAIN_DTYPE_BF16) || (c->fp16 && c->dtype != TRAIN_DTYPE_FP16)) {
        const char *flag = c->bf16 ? "bf16" : "fp16";
        struct str dtype = {0};
        train_config_value(c, train_key_find("dtype"), &dtype);
        err_user("%s: true means dtype: %s, but dtype is %s: leave one of them out", flag, flag,
                 str_text(&dtype));
        str_finish(&dtype);
        return false;
    }
    if (c->gradient_dtype != TRAIN_GRADIENT_BF16) return true;
    if (c->dtype != TRAIN_DTYPE_BF16 && c->dtype != TRAIN_DTYPE_FP16)
        return err_user("gradient_dtype: bf16 goes with dtype: bf16 or fp16: set one of them, or "
                        "leave it out");
    if (c->ref_offload == TRAIN_OFFLOAD_ON)
        return err_user("gradient_dtype: bf16 leaves no room for the reference of ref_offload: on, "
                        "which stands in the gradient's place: leave one of them out");
    return true;
}

// ---- files ----

static bool check_files(const struct train_config *c)
{
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
    const struct {
        const char *key, *path;
    } files[] = {{"dataset_name", c->dataset_name},
                 {"eval_dataset_name", c->eval_dataset_name},
                 {"eval_prompts", c->eval_prompts}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i].path && !file_exists(files[i].path))
            return err_user("%s: %s does not exist", files[i].key, files[i].path);
    return true;
}

// What has no effect, said once the rest is well.
static void warn(const struct train_config *c)
{
    train_config_warn_loss(c);
    if (c->lr_scheduler_type == TRAIN_CONSTANT && (c->warmup_steps > 0 || c->warmup_ratio > 0))
        log_warn("lr_scheduler_type constant has no warm-up: constant_with_warmup has");
    if (!c->eval_prompts && (changed(c, "eval_max_new_tokens") || changed(c, "eval_temperature")))
        log_warn("eval_max_new_tokens and eval_temperature have no effect without eval_prompts");
    if (!c->early_stopping_patience && changed(c, "early_stopping_threshold"))
        log_warn("early_stopping_threshold has no effect without early_stopping_patience");
    if (c->early_stopping_patience && !c->load_best_model_at_end)
        log_warn("early_stopping_patience: the run ends with its last model, not its best: "
                 "load_best_model_at_end: true keeps that");
    if (!c->early_stopping_patience && !c->load_best_model_at_end &&
        (changed(c, "metric_for_best_model") || changed(c, "greater_is_better")))
        log_warn("metric_for_best_model and greater_is_better have no effect without "
                 "load_best_model_at_end or early_stopping_patience");
}

bool train_config_check_judging(struct train_config *c)
{
    train_config_resolve(c);
    if (!train_config_check_loss(c)) return false;
    train_config_warn_loss(c);
    return true;
}

bool train_config_check(struct train_config *c)
{
    train_config_resolve(c);
    if (c->max_steps < 0 && c->num_train_epochs <= 0)
        return err_user("num_train_epochs: must be above 0 where max_steps is not set");
    if (c->max_steps == 0)
        return err_user("max_steps: 0 steps train nothing: give 1 or more, or -1");
    if (!check_files(c) || !train_config_check_loss(c) || !check_precision(c) ||
        !check_schedule(c) || !check_evaluation(c))
        return false;
    warn(c);
    return true;
}
