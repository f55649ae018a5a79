// Checks across keys.
#include "train/config.h"

#include "base/error.h"
#include "base/file.h"

#include <string.h>

static bool require(const char *value, const char *key)
{
    if (value) return true;
    return err_user("%s is not set: give it in the configuration file or as --%s", key, key);
}

bool train_config_check(const struct train_config *c)
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
