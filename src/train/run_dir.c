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

static bool holds_run(const char *dir)
{
    char *metrics = file_join(dir, "metrics.jsonl"), *model = file_join(dir, "model.safetensors");
    bool found = file_exists(metrics) || file_exists(model);
    mem_free(metrics);
    mem_free(model);
    int64_t *steps;
    size_t count;
    if (train_dir_checkpoints(dir, &steps, &count)) {
        found = found || count > 0;
        mem_free(steps);
    }
    return found;
}

static bool find_newest(struct train_run *run)
{
    int64_t *steps;
    size_t count;
    const char *dir = run->config->output_dir;
    if (!train_dir_checkpoints(dir, &steps, &count)) return false;
    if (count)
        run->resume_dir =
            str_format("%s/%s%lld", dir, checkpoint_prefix, (long long)steps[count - 1]);
    mem_free(steps);
    if (count) return true;
    if (holds_run(dir))
        return err_user("resume_from_checkpoint: %s holds no checkpoint to go on from; use "
                        "--overwrite_output_dir to start again",
                        dir);
    log_info("resume_from_checkpoint: %s holds no run yet: starting from the beginning", dir);
    return true;
}

// Removes what a run leaves behind, and only that: the folder may hold the user's own files.
static bool clear_run(const char *dir)
{
    static const char *const files[] = {"metrics.jsonl", "train.log", "resolved_config.yaml",
                                        "model.safetensors", "config.json"};
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
    for (size_t i = 0; ok && i < count; i++) {
        char *path = str_format("%s/%s%lld", dir, checkpoint_prefix, (long long)steps[i]);
        ok = file_remove_tree(path);
        mem_free(path);
    }
    mem_free(steps);
    return ok;
}

bool train_dir_prepare(struct train_run *run)
{
    const struct train_config *c = run->config;
    const char *resume = c->resume_from_checkpoint;
    if (resume && strcmp(resume, "false") == 0) resume = NULL;
    if (file_same(c->output_dir, c->model_name_or_path))
        return err_user(
            "output_dir: %s is the folder of the starting model, which would be written over",
            c->output_dir);
    if (file_exists(c->output_dir) && !file_is_dir(c->output_dir))
        return err_user("output_dir: %s is a file", c->output_dir);
    if (resume && c->overwrite_output_dir)
        return err_user("resume_from_checkpoint and overwrite_output_dir contradict each other");
    if (resume && strcmp(resume, "true") == 0) {
        if (!find_newest(run)) return false;
    } else if (resume) {
        char *state = file_join(resume, "trainer_state.json");
        bool found = file_exists(state);
        mem_free(state);
        if (!found)
            return err_user(
                "resume_from_checkpoint: %s is not a checkpoint (no trainer_state.json in it)",
                resume);
        run->resume_dir = mem_strdup(resume);
    } else if (holds_run(c->output_dir)) {
        if (!c->overwrite_output_dir)
            return err_user(
                "output_dir: %s already holds a run: go on with it by "
                "--resume_from_checkpoint true, replace it by --overwrite_output_dir true, "
                "or choose another folder",
                c->output_dir);
        if (!clear_run(c->output_dir)) return false;
    }
    return true;
}

// Keeps the lines of metrics.jsonl up to `step`, so that a resumed run's file ends up like that of
// an uninterrupted one.
static bool trim_metrics(const char *path, int64_t step)
{
    if (!file_exists(path)) return true;
    struct file_lines lines;
    struct str kept = {0};
    const char *line;
    size_t len;
    if (!file_lines_open(&lines, path)) return false;
    bool ok;
    while ((ok = file_lines_next(&lines, &line, &len)) && line) {
        cJSON *object = json_parse(line, len, path);
        int64_t at = -1;
        bool good = object && json_get_int(object, "step", &at) && at >= 0;
        cJSON_Delete(object);
        if (!good) break; // a line cut short by the kill, and whatever follows it
        if (at > step) continue;
        str_append_bytes(&kept, line, len);
        str_append_char(&kept, '\n');
    }
    file_lines_close(&lines);
    err_clear();
    ok = file_write_whole(path, str_text(&kept), kept.len);
    str_finish(&kept);
    return ok;
}

bool train_dir_open(struct train_run *run)
{
    const char *dir = run->config->output_dir;
    if (!file_make_dirs(dir)) return false;
    char *log = file_join(dir, "train.log"), *config = file_join(dir, "resolved_config.yaml");
    char *metrics = file_join(dir, "metrics.jsonl");
    struct str text = {0};
    train_config_print(run->config, false, &text);
    bool ok = log_open_file(log) && file_write_whole(config, str_text(&text), text.len);
    if (ok && run->resume_dir) {
        // "checkpoint-500": the step is in the name; the state in it is checked when it is loaded.
        const char *name = strrchr(run->resume_dir, '/');
        int64_t step = checkpoint_step(name ? name + 1 : run->resume_dir);
        if (step >= 0) ok = trim_metrics(metrics, step);
    }
    str_finish(&text);
    mem_free(log);
    mem_free(config);
    mem_free(metrics);
    return ok;
}

bool train_dir_append_metrics(const struct train_run *run, const char *line)
{
    char *path = file_join(run->config->output_dir, "metrics.jsonl");
    FILE *f = fopen(path, "a");
    bool ok = f && fputs(line, f) >= 0 && fputc('\n', f) != EOF;
    if (f && fclose(f) != 0) ok = false;
    if (!ok) err_device("%s: cannot be written: is the disk full?", path);
    mem_free(path);
    return ok;
}
