#include "running.h"

#include "../common/scratch.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static void set(struct train_config *c, const char *key, const char *value)
{
    REQUIRE(train_config_set(c, key, value, "test"));
}

void running_config(struct train_config *c, const char *output_dir, ...)
{
    train_config_init(c);
    set(c, "model_name_or_path", TEST_FIXTURES "/tiny-gqa");
    set(c, "dataset_name", TEST_FIXTURES "/prefs.jsonl");
    set(c, "output_dir", output_dir);
    set(c, "learning_rate", "1e-3");
    set(c, "logging_steps", "1");
    va_list pairs;
    va_start(pairs, output_dir);
    for (const char *key; (key = va_arg(pairs, const char *));)
        set(c, key, va_arg(pairs, const char *));
    va_end(pairs);
    REQUIRE(train_config_check(c));
}

struct watch {
    struct vk_device *device;
    int64_t stop_at;
};

static struct vk_device *give_device(void *ctx)
{
    return ((struct watch *)ctx)->device;
}

static bool watch_metrics(void *ctx, const char *line)
{
    const struct watch *w = ctx;
    int64_t step = -1;
    cJSON *json = json_parse(line, strlen(line), "metrics");
    REQUIRE(json && json_get_int(json, "step", &step));
    cJSON_Delete(json);
    return !w->stop_at || step < w->stop_at;
}

enum train_outcome running_go(const struct train_config *c, struct vk_device *device,
                              int64_t stop_at)
{
    struct watch w = {device, stop_at};
    return train_run_with(
        c,
        &(struct train_hooks){.open_device = give_device, .on_metrics = watch_metrics, .ctx = &w});
}

cJSON *running_metrics(const char *output_dir, int index)
{
    struct file_lines lines;
    const char *line;
    size_t len;
    char *path = file_join(output_dir, "metrics.jsonl");
    REQUIRE(file_lines_open(&lines, path));
    do
        REQUIRE(file_lines_next(&lines, &line, &len));
    while (line && index-- > 0);
    cJSON *json = line ? json_parse(line, len, path) : NULL;
    if (line) REQUIRE(json);
    file_lines_close(&lines);
    mem_free(path);
    return json;
}

void running_same_metrics(const char *a, const char *b)
{
    for (int i = 0;; i++) {
        cJSON *x = running_metrics(a, i), *y = running_metrics(b, i);
        if (!x && !y) {
            assert_true(i > 0);
            return;
        }
        if (!x || !y) fail_msg("%s has only %d lines of metrics", x ? b : a, i);
        cJSON_DeleteItemFromObject(x, "tokens_per_second");
        cJSON_DeleteItemFromObject(y, "tokens_per_second");
        char *p = json_print(x, false), *q = json_print(y, false);
        if (strcmp(p, q) != 0) fail_msg("metrics differ:\n%s: %s\n%s: %s", a, p, b, q);
        mem_free(p);
        mem_free(q);
        cJSON_Delete(x);
        cJSON_Delete(y);
    }
}

static char *state_without_settings(const char *dir, int64_t step)
{
    char *path = str_format("%s/checkpoint-%lld/trainer_state.json", dir, (long long)step);
    cJSON *json = json_parse_file(path, 0);
    REQUIRE(json);
    cJSON_DeleteItemFromObject(json, "config");
    // Of the best model's folder only the name: runs are compared that stand in two folders.
    cJSON *best = cJSON_GetObjectItem(json, "best_model_checkpoint");
    if (cJSON_IsString(best)) {
        char *name = mem_strdup(strrchr(best->valuestring, '/') + 1);
        cJSON_SetValuestring(best, name);
        mem_free(name);
    }
    char *text = json_print(json, true);
    cJSON_Delete(json);
    mem_free(path);
    return text;
}

void running_same_checkpoint(const char *a, const char *b, int64_t step)
{
    static const char *const files[] = {"model.safetensors",     "optimizer.safetensors",
                                        "reference.safetensors", "start_logps.safetensors",
                                        "config.json",           "tokenizer.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *x = str_format("%s/checkpoint-%lld/%s", a, (long long)step, files[i]);
        char *y = str_format("%s/checkpoint-%lld/%s", b, (long long)step, files[i]);
        assert_int_equal(file_exists(x), file_exists(y)); // SFT has no reference
        if (file_exists(x)) expect_same_file(x, y);
        mem_free(x);
        mem_free(y);
    }
    char *x = state_without_settings(a, step), *y = state_without_settings(b, step);
    assert_string_equal(x, y);
    mem_free(x);
    mem_free(y);
}

static void copy_tree(const char *from, const char *to)
{
    char **names = NULL;
    size_t count = 0;
    REQUIRE(file_make_dirs(to) && file_list(from, &names, &count));
    for (size_t i = 0; i < count; i++) {
        char *x = file_join(from, names[i]), *y = file_join(to, names[i]);
        if (file_is_dir(x))
            copy_tree(x, y);
        else
            REQUIRE(file_copy(x, y));
        mem_free(x);
        mem_free(y);
    }
    file_list_free(names, count);
}

void running_copy(const char *from, const char *to)
{
    REQUIRE(file_remove_tree(to));
    copy_tree(from, to);
}
