// Checkpoints: everything that an exact resume needs, in a folder that appears whole or not at all.
#include "train/run.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "hf/folder.h"

#include <math.h>
#include <string.h>
#include <zlib.h>

#define FORMAT 2

static uint32_t dataset_checksum(const struct data_set *set)
{
    uLong crc = crc32(0, NULL, 0);
    crc = crc32_z(crc, (const Bytef *)set->ids.items, set->ids.count * sizeof *set->ids.items);
    return (uint32_t)crc32_z(crc, (const Bytef *)set->rows.items,
                             set->rows.count * sizeof *set->rows.items);
}

// transformers' names. Null where evaluations are not compared, or none has been yet.
static void write_best(const struct train_run *run, cJSON *root)
{
    const struct train_best *best = &run->state.best;
    cJSON_AddItemToObject(root, "best_metric",
                          best->known ? cJSON_CreateNumber(best->metric) : cJSON_CreateNull());
    cJSON_AddItemToObject(root, "best_global_step",
                          best->known ? cJSON_CreateNumber((double)best->step)
                                      : cJSON_CreateNull());
    cJSON_AddItemToObject(root, "best_model_checkpoint",
                          run->best_dir ? cJSON_CreateString(run->best_dir) : cJSON_CreateNull());
    cJSON_AddNumberToObject(root, "early_stopping_patience_counter", (double)best->waiting);
}

static bool write_state(const struct train_run *run, const char *path)
{
    const struct train_state *s = &run->state;
    cJSON *root = cJSON_CreateObject(), *config = cJSON_AddObjectToObject(root, "config");
    cJSON_AddNumberToObject(root, "format", FORMAT);
    cJSON_AddNumberToObject(root, "global_step", (double)s->step);
    cJSON_AddNumberToObject(root, "max_steps", (double)run->total_steps);
    cJSON_AddNumberToObject(root, "epoch", (double)s->step / (double)run->steps_per_epoch);
    cJSON_AddNumberToObject(root, "num_tokens", (double)s->num_tokens);
    cJSON_AddNumberToObject(root, "ref_updates", (double)s->ref_updates);
    cJSON_AddNumberToObject(root, "loss_scale", s->grad_scale);
    cJSON_AddNumberToObject(root, "loss_scale_steady", (double)s->steady);
    cJSON_AddNumberToObject(root, "skipped_steps", (double)s->skipped);
    cJSON_AddNumberToObject(root, "eval_step", (double)s->eval_step);
    write_best(run, root);
    cJSON_AddNumberToObject(root, "dataset_rows", (double)run->train.rows.count);
    cJSON_AddNumberToObject(root, "dataset_checksum", dataset_checksum(&run->train));
    cJSON_AddNumberToObject(root, "eval_dataset_rows", (double)run->eval.rows.count);
    cJSON_AddNumberToObject(root, "eval_dataset_checksum", dataset_checksum(&run->eval));
    cJSON_AddItemToObject(root, "window", train_metrics_save(&s->window));
    for (size_t i = 0; i < train_key_count; i++) {
        struct str value = {0};
        train_config_value(run->config, &train_keys[i], &value);
        cJSON_AddStringToObject(config, train_keys[i].name, str_text(&value));
        str_finish(&value);
    }
    char *text = json_print(root, true);
    bool ok = file_write_whole(path, text, strlen(text));
    mem_free(text);
    cJSON_Delete(root);
    return ok;
}

static bool write_weights(struct train_run *run, const char *dir)
{
    char *optimizer = file_join(dir, "optimizer.safetensors");
    char *reference = file_join(dir, "reference.safetensors");
    char *scores = file_join(dir, "start_logps.safetensors");
    const struct model_weights_part moments[] = {{&run->m, "exp_avg."}, {&run->v, "exp_avg_sq."}};
    bool ok = run->config->optim == TRAIN_ADAMW_8BIT
                  ? train_codes_save(&run->codes, optimizer)
                  : model_weights_save(moments, 2, optimizer, DTYPE_F32, NULL);
    if (ok && run->has_ref) {
        const struct model_weights_part ref = {train_run_reference(run), ""};
        ok = ref.weights && model_weights_save(&ref, 1, reference, DTYPE_F32, NULL);
    }
    if (run->start_train.values)
        ok = ok && train_scores_save(&run->start_train, &run->start_eval, scores);
    mem_free(optimizer);
    mem_free(reference);
    mem_free(scores);
    return ok;
}

bool train_save_model(struct train_run *run, const char *dir)
{
    static const char *const metadata[] = {"format", "pt", NULL}; // transformers asks for it
    char *path = file_join(dir, "model.safetensors");
    const struct model_weights_part policy = {&run->policy, ""};
    bool ok = hf_folder_copy(run->config->model_name_or_path, dir, DTYPE_F32) &&
              model_weights_save(&policy, 1, path, DTYPE_F32, metadata);
    mem_free(path);
    return ok;
}

static bool is_best(const struct train_run *run, int64_t step)
{
    if (!run->best_dir || step != run->state.best.step) return false;
    char *path = str_format("%s/checkpoint-%lld", run->config->output_dir, (long long)step);
    bool same = file_same(path, run->best_dir);
    mem_free(path);
    return same;
}

// Of more than save_total_limit the oldest go, but never the newest nor the best.
static bool remove_old(const struct train_run *run)
{
    int64_t *steps;
    size_t count, limit = (size_t)run->config->save_total_limit;
    if (!limit) return true;
    if (!train_dir_checkpoints(run->config->output_dir, &steps, &count)) return false;
    bool ok = true;
    size_t left = count;
    for (size_t i = 0; ok && i + 1 < count && left > limit; i++) {
        if (is_best(run, steps[i])) continue;
        ok = train_dir_remove_checkpoint(run->config->output_dir, steps[i]);
        left--;
    }
    mem_free(steps);
    return ok;
}

bool train_checkpoint_save(struct train_run *run)
{
    char *dir =
        str_format("%s/checkpoint-%lld", run->config->output_dir, (long long)run->state.step);
    char *temp = str_format("%s/.checkpoint-%lld.unfinished", run->config->output_dir,
                            (long long)run->state.step);
    char *state = file_join(temp, "trainer_state.json");
    char *config = file_join(temp, "resolved_config.yaml");
    struct str text = {0};
    train_config_print(run->config, false, &text);
    log_progress("saving checkpoint-%lld", (long long)run->state.step);
    bool ok = file_remove_tree(temp) && file_make_dirs(temp) && train_save_model(run, temp) &&
              write_weights(run, temp) && file_write_whole(config, str_text(&text), text.len) &&
              write_state(run, state) && file_sync_dir(temp) && file_replace_tree(temp, dir) &&
              remove_old(run);
    if (!ok && file_is_dir(temp)) {
        // The reason for the failure stays in the log while the remains are cleared away.
        enum err_kind kind = err_current();
        char *why = mem_strdup(err_message());
        file_remove_tree(temp);
        err_set(kind, "%s", why);
        mem_free(why);
    }
    str_finish(&text);
    mem_free(dir);
    mem_free(temp);
    mem_free(state);
    mem_free(config);
    return ok;
}

// ---- loading ----

static bool check_dataset(const cJSON *root, const struct data_set *set, const char *prefix,
                          const char *path)
{
    int64_t rows = -1, checksum = -1;
    char *rows_key = str_format("%sdataset_rows", prefix);
    char *checksum_key = str_format("%sdataset_checksum", prefix);
    bool ok = json_get_int(root, rows_key, &rows) && json_get_int(root, checksum_key, &checksum);
    mem_free(rows_key);
    mem_free(checksum_key);
    if (!ok) return false;
    if (rows == (int64_t)set->rows.count && checksum == dataset_checksum(set)) return true;
    return err_user("%sdataset_name: %s is not the dataset that the run began with (or max_length "
                    "or the tokenizer changed)",
                    prefix, path ? path : "none");
}

// A resumed run equals an uninterrupted one only under the same settings.
static void warn_changes(const struct train_run *run, const cJSON *config)
{
    static const char *const harmless[] = {"resume_from_checkpoint",
                                           "overwrite_output_dir",
                                           "output_dir",
                                           "save_steps",
                                           "save_total_limit",
                                           "ref_offload",
                                           "gradient_checkpointing"};
    for (size_t i = 0; config && i < train_key_count; i++) {
        const char *before = NULL, *name = train_keys[i].name;
        bool skip = false;
        for (size_t k = 0; k < sizeof harmless / sizeof *harmless; k++)
            skip = skip || strcmp(harmless[k], name) == 0;
        if (skip || !json_get_string(config, name, &before) || !before) continue;
        struct str now = {0};
        train_config_value(run->config, &train_keys[i], &now);
        if (strcmp(before, str_text(&now)) != 0)
            log_warn("%s was %s when the run began and is %s now", name, before, str_text(&now));
        str_finish(&now);
    }
}

// The moments of a head that was trained would move it on.
static bool check_frozen(const struct train_config *c, const cJSON *before)
{
    const char *frozen = NULL;
    if (!c->freeze_head) return true;
    if (before && !json_get_string(before, "freeze_head", &frozen)) return false;
    if (frozen && strcmp(frozen, "true") == 0) return true;
    return err_user("freeze_head: the head was trained before, and its optimiser would move it on: "
                    "resume with freeze_head: false, or begin a new run from this model");
}

static bool read_best(struct train_run *run, const cJSON *root)
{
    struct train_best *best = &run->state.best;
    const char *dir = NULL;
    if (!json_get_double(root, "best_metric", &best->metric) ||
        !json_get_int(root, "best_global_step", &best->step) ||
        !json_get_string(root, "best_model_checkpoint", &dir) ||
        !json_get_int(root, "early_stopping_patience_counter", &best->waiting))
        return false;
    best->known = json_get(root, "best_metric") != NULL;
    if (best->waiting < 0 || (best->known && (best->step < 1 || best->step > run->state.step)))
        return err_user("best_global_step or early_stopping_patience_counter is out of range");
    return train_best_find(run, dir);
}

static bool read_state(struct train_run *run, const cJSON *root)
{
    struct train_state *s = &run->state;
    int64_t format = 0;
    s->step = s->num_tokens = s->ref_updates = -1;
    s->eval_step = -2; // -1 says that there has been none
    if (!json_get_int(root, "format", &format) || !json_get_int(root, "global_step", &s->step) ||
        !json_get_int(root, "num_tokens", &s->num_tokens) ||
        !json_get_int(root, "ref_updates", &s->ref_updates) ||
        !json_get_double(root, "loss_scale", &s->grad_scale) ||
        !json_get_int(root, "loss_scale_steady", &s->steady) ||
        !json_get_int(root, "skipped_steps", &s->skipped) ||
        !json_get_int(root, "eval_step", &s->eval_step))
        return false;
    if (format != FORMAT)
        return err_user("format %lld is not the one this version reads (%d)", (long long)format,
                        FORMAT);
    if (s->step < 0 || s->num_tokens < 0 || s->ref_updates < 0 || s->ref_updates > UINT32_MAX ||
        s->eval_step < -1)
        return err_user(
            "global_step, num_tokens, ref_updates or eval_step is missing or out of range");
    int exponent;
    if (s->grad_scale < 0 || s->grad_scale > (double)LOSS_SCALE_MOST ||
        (s->grad_scale > 0 && (s->grad_scale < 1 || frexp(s->grad_scale, &exponent) != 0.5)) ||
        s->steady < 0 || s->steady >= (int64_t)LOSS_SCALE_GROWTH || s->skipped < 0 ||
        s->skipped > s->step)
        return err_user("loss_scale, loss_scale_steady or skipped_steps is out of range");
    const struct train_config *c = run->config;
    if (!check_dataset(root, &run->train, "", c->dataset_name) ||
        !check_dataset(root, &run->eval, "eval_", c->eval_dataset_name) ||
        !train_metrics_load(&s->window, json_get(root, "window")))
        return false;
    const cJSON *before = json_get(root, "config");
    warn_changes(run, before);
    return check_frozen(c, before) && read_best(run, root);
}

static bool load_weights(struct train_run *run, const char *dir)
{
    char *optimizer = file_join(dir, "optimizer.safetensors");
    char *reference = file_join(dir, "reference.safetensors");
    char *scores = file_join(dir, "start_logps.safetensors");
    bool coded = run->config->optim == TRAIN_ADAMW_8BIT;
    bool ok = train_codes_check_kind(&run->layout, optimizer, coded) &&
              model_weights_load(&run->policy, dir, "") &&
              (coded ? train_codes_load(&run->codes, optimizer)
                     : model_weights_load(&run->m, optimizer, "exp_avg.") &&
                           model_weights_load(&run->v, optimizer, "exp_avg_sq."));
    if (run->has_ref)
        ok =
            ok &&
            model_weights_load(run->offloaded ? &run->offload.visitor : &run->ref, reference, "") &&
            (!run->offloaded || train_offload_keep(&run->offload));
    if (run->config->method != TRAIN_SFT)
        ok = ok && train_scores_load(&run->start_train, run->train.rows.count, &run->start_eval,
                                     run->eval.rows.count, scores);
    mem_free(optimizer);
    mem_free(reference);
    mem_free(scores);
    return ok;
}

bool train_checkpoint_load(struct train_run *run)
{
    char *path = file_join(run->resume_dir, "trainer_state.json");
    cJSON *root = json_parse_file(path, 0);
    bool ok = root && (read_state(run, root) || err_context("%s", path));
    cJSON_Delete(root);
    mem_free(path);
    ok = ok && load_weights(run, run->resume_dir) &&
         train_stepper_set_counts(
             run->stepper, &(struct step_results){.ref_updates = (uint32_t)run->state.ref_updates,
                                                  .grad_scale = (float)run->state.grad_scale,
                                                  .steady = (uint32_t)run->state.steady,
                                                  .skipped = (uint32_t)run->state.skipped});
    return ok;
}
