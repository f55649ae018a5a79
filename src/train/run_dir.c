// The output folder: whose it is, its logs, its checkpoints.
#include "train/run.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char checkpoint_prefix[] = "checkpoint-";

// The step of "checkpoint-500", or -1 for any other name (unfinished folders among them).
static int64_t checkpoint_step(const char *name)
{
    if (!str_starts_with(name, checkpoint_prefix)) return -1;
    const char *digits = name + sizeof checkpoint_prefix - 1;
    char *end;
    long long step = strtoll(digits, &end, 10);
    return *digits >= '0' && *digits <= '9' && !*end ? step : -1;
}

static int compare_steps(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

bool train_dir_checkpoints(const char *output_dir, int64_t **steps, size_t *count)
{
    *steps = NULL;
    *count = 0;
    if (!file_is_dir(output_dir)) return true;
    char **names;
    size_t n;
    if (!file_list(output_dir, &names, &n)) return false;
    *steps = MEM_ARRAY(int64_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        int64_t step = checkpoint_step(names[i]);
        if (step >= 0) (*steps)[(*count)++] = step;
    }
    file_list_free(names, n);
    qsort(*steps, *count, sizeof **steps, compare_steps);
    return true;
}

static char *checkpoint_path(const char *dir, int64_t step)
{
    return str_format("%s/%s%lld", dir, checkpoint_prefix, (long long)step);
}

static bool has_file(const char *dir, const char *name)
{
    char *path = file_join(dir, name);
    bool found = file_exists(path);
    mem_free(path);
    return found;
}

// What stands in an output folder.
struct contents {
    int64_t *steps; // of its checkpoints, ascending
    size_t count;
    bool metrics, model;
};

static bool look(const char *dir, struct contents *c)
{
    *c = (struct contents){.metrics = has_file(dir, "metrics.jsonl"),
                           .model = has_file(dir, "model.safetensors")};
    return train_dir_checkpoints(dir, &c->steps, &c->count);
}

static bool holds_run(const struct contents *c)
{
    return c->count || c->metrics || c->model;
}

// ---- which run the folder is for ----

static bool refuse_run(const char *dir)
{
    return err_user("output_dir: %s already holds a run: go on with it by "
                    "--resume_from_checkpoint true, replace it by --overwrite_output_dir true, or "
                    "choose another folder",
                    dir);
}

static bool resume_newest(struct train_run *run, const struct contents *c)
{
    const char *dir = run->config->output_dir;
    if (c->count) {
        run->resume_dir = checkpoint_path(dir, c->steps[c->count - 1]);
        return true;
    }
    if (c->model)
        return err_user(
            "resume_from_checkpoint: %s holds a model, but no checkpoint to go on from: "
            "use --overwrite_output_dir true to start again, or choose another folder",
            dir);
    log_info("resume_from_checkpoint: %s holds no checkpoint yet: starting from the beginning",
             dir);
    return true;
}

static bool resume_from(struct train_run *run, const struct contents *c, const char *path)
{
    const char *dir = run->config->output_dir;
    if (!has_file(path, "trainer_state.json"))
        return err_user("resume_from_checkpoint: %s is not a checkpoint (no trainer_state.json in "
                        "it)",
                        path);
    size_t at = 0;
    for (bool same = false; at < c->count; at++) {
        char *own = checkpoint_path(dir, c->steps[at]);
        same = file_same(own, path);
        mem_free(own);
        if (same) break;
    }
    if (at == c->count && holds_run(c)) return refuse_run(dir);
    if (at + 1 < c->count)
        return err_user("resume_from_checkpoint: %s also holds later checkpoints, up to %s%lld, "
                        "which this run would write over: move them away, or choose another "
                        "output_dir",
                        dir, checkpoint_prefix, (long long)c->steps[c->count - 1]);
    run->resume_dir = mem_strdup(path);
    return true;
}

// The model to start from must not be among what is written over or removed.
static bool check_source(const struct contents *c, const char *key, const char *dir,
                         const char *path, bool overwrite)
{
    if (!path) return true;
    if (file_same(dir, path))
        return err_user("output_dir: %s is the folder of %s, which would be written over", dir,
                        key);
    for (size_t i = 0; overwrite && i < c->count; i++) {
        char *own = checkpoint_path(dir, c->steps[i]);
        bool same = file_same(own, path);
        mem_free(own);
        if (same)
            return err_user("overwrite_output_dir would remove %s, which is %s: choose another "
                            "output_dir",
                            path, key);
    }
    return true;
}

bool train_dir_prepare(struct train_run *run)
{
    const struct train_config *c = run->config;
    const char *dir = c->output_dir, *resume = c->resume_from_checkpoint;
    if (resume && strcmp(resume, "false") == 0) resume = NULL;
    if (file_exists(dir) && !file_is_dir(dir)) return err_user("output_dir: %s is a file", dir);
    if (resume && c->overwrite_output_dir)
        return err_user("resume_from_checkpoint and overwrite_output_dir contradict each other");
    struct contents found;
    if (!look(dir, &found)) return false;
    bool ok = check_source(&found, "model_name_or_path", dir, c->model_name_or_path,
                           c->overwrite_output_dir) &&
              check_source(&found, "ref_model_name_or_path", dir, c->ref_model_name_or_path,
                           c->overwrite_output_dir);
    if (ok && resume)
        ok = strcmp(resume, "true") == 0 ? resume_newest(run, &found)
                                         : resume_from(run, &found, resume);
    else if (ok && holds_run(&found) && !c->overwrite_output_dir)
        ok = refuse_run(dir);
    mem_free(found.steps);
    return ok;
}

// ---- opening it ----

// Removes what a run leaves behind, and only that: the folder may hold the user's own files.
static bool clear_run(const char *dir)
{
    static const char *const files[] = {"metrics.jsonl",
                                        "generations.jsonl",
                                        "train.log",
                                        "resolved_config.yaml",
                                        "model.safetensors",
                                        "config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "tokenizer.model",
                                        "chat_template.jinja"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = file_join(dir, files[i]);
        bool ok = file_remove(path);
        mem_free(path);
        if (!ok) return false;
    }
    int64_t *steps;
    size_t count;
    if (!train_dir_checkpoints(dir, &steps, &count)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = train_dir_remove_checkpoint(dir, steps[i]);
    mem_free(steps);
    return ok;
}

bool train_dir_remove_checkpoint(const char *output_dir, int64_t step)
{
    char *path = checkpoint_path(output_dir, step);
    char *removed =
        str_format("%s/.%s%lld.removed", output_dir, checkpoint_prefix, (long long)step);
    bool ok = !file_is_dir(path) || (file_remove_tree(removed) && file_rename(path, removed) &&
                                     file_remove_tree(removed));
    mem_free(removed);
    mem_free(path);
    return ok;
}

// Removes what a killed run left half written or half removed: .checkpoint-500.unfinished.
static bool clear_remains(const char *dir)
{
    char **names;
    size_t count;
    if (!file_list(dir, &names, &count)) return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        if (!str_starts_with(names[i], ".checkpoint-") ||
            !(str_ends_with(names[i], ".unfinished") || str_ends_with(names[i], ".removed")))
            continue;
        char *path = file_join(dir, names[i]);
        ok = file_remove_tree(path);
        mem_free(path);
    }
    file_list_free(names, count);
    return ok;
}

// True if a line of metrics.jsonl belongs to the steps done: an evaluation at the very step only if
// the state knows of it. *bad: the line is not whole. `of_evaluations`: all lines are of
// evaluations (generations.jsonl).
static bool is_done(const char *line, size_t len, const struct train_state *state,
                    bool of_evaluations, bool *bad)
{
    cJSON *object = json_parse(line, len, "line");
    int64_t at = -1;
    *bad = !object || !json_get_int(object, "step", &at) || at < 0;
    bool evaluation = of_evaluations || json_get(object, "eval_loss");
    cJSON_Delete(object);
    if (*bad) err_clear();
    return at < state->step || (at == state->step && (!evaluation || state->eval_step == at));
}

// Keeps the lines that lead up to the state, so that a resumed run's file ends up like that of an
// uninterrupted one.
static bool trim_lines(const char *path, const struct train_state *state, bool of_evaluations)
{
    if (!file_exists(path)) return true;
    struct file_lines lines;
    struct str kept = {0};
    const char *line;
    size_t len;
    if (!file_lines_open(&lines, path)) return false;
    bool ok;
    while ((ok = file_lines_next(&lines, &line, &len)) && line) {
        bool bad, done = is_done(line, len, state, of_evaluations, &bad);
        if (bad) break; // a line cut short by the kill, and whatever follows it
        if (!done) continue;
        str_append_bytes(&kept, line, len);
        str_append_char(&kept, '\n');
    }
    file_lines_close(&lines);
    ok = ok && file_write_whole(path, str_text(&kept), kept.len);
    str_finish(&kept);
    return ok;
}

bool train_dir_open(struct train_run *run)
{
    const char *dir = run->config->output_dir;
    if (!file_make_dirs(dir) || !clear_remains(dir)) return false;
    if (run->config->overwrite_output_dir && !clear_run(dir)) return false;
    char *log = file_join(dir, "train.log"), *config = file_join(dir, "resolved_config.yaml");
    char *metrics = file_join(dir, "metrics.jsonl"), *texts = file_join(dir, "generations.jsonl");
    struct str text = {0};
    train_config_print(run->config, false, &text);
    bool ok = log_open_file(log) && file_write_whole(config, str_text(&text), text.len) &&
              trim_lines(metrics, &run->state, false) && trim_lines(texts, &run->state, true);
    if (ok && run->resume_dir)
        log_info("resuming from %s: %lld of %lld steps done", run->resume_dir,
                 (long long)run->state.step, (long long)run->total_steps);
    str_finish(&text);
    mem_free(log);
    mem_free(config);
    mem_free(metrics);
    mem_free(texts);
    return ok;
}

bool train_dir_append(const struct train_run *run, const char *name, const char *text)
{
    char *path = file_join(run->config->output_dir, name);
    FILE *f = fopen(path, "a");
    bool ok = f && fputs(text, f) >= 0 && fputc('\n', f) != EOF;
    if (f && fclose(f) != 0) ok = false;
    if (!ok) err_device("%s: cannot be written: is the disk full?", path);
    mem_free(path);
    return ok;
}
