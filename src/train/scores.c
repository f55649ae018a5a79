#include "train/scores.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"
#include "hf/safetensors.h"

bool train_scores_make(struct train_scores *s, struct train_stepper *st, const struct data_set *set,
                       const uint32_t *order, size_t count, uint32_t rows_at_once, const char *name,
                       bool *stopped)
{
    *s = (struct train_scores){MEM_ARRAY(float, set->rows.count * 2), set->rows.count};
    float *sums = MEM_ARRAY(float, (size_t)rows_at_once * 2);
    uint32_t per_row = set->kind == DATA_PAIRS ? 2 : 1; // the second of a single one stays 0
    bool ok = true;
    for (size_t first = 0; ok && first < count; first += rows_at_once) {
        uint32_t n = (uint32_t)(count - first < rows_at_once ? count - first : rows_at_once);
        log_progress("scoring %s under the start: %zu of %zu", name, first, count);
        if (sys_stop_signal()) {
            *stopped = true;
            break;
        }
        ok = train_stepper_score(st, set, order + first, n, sums);
        for (uint32_t i = 0; ok && i < n; i++) {
            for (uint32_t j = 0; j < per_row; j++)
                s->values[2 * (size_t)order[first + i] + j] = sums[i * per_row + j];
        }
    }
    mem_free(sums);
    return ok;
}

void train_scores_finish(struct train_scores *s)
{
    mem_free(s->values);
    *s = (struct train_scores){0};
}

bool train_scores_save(const struct train_scores *train, const struct train_scores *eval,
                       const char *path)
{
    const struct hf_tensor_decl decls[] = {
        {.name = "train", .dtype = DTYPE_F32, .dims = 2, .shape = {(int64_t)train->rows, 2}},
        {.name = "eval", .dtype = DTYPE_F32, .dims = 2, .shape = {(int64_t)eval->rows, 2}},
    };
    struct hf_writer *w = hf_writer_create(path, decls, eval->rows ? 2 : 1, NULL);
    if (!w) return false;
    if (!hf_writer_put(w, train->values, train->rows * 2) ||
        (eval->rows && !hf_writer_put(w, eval->values, eval->rows * 2))) {
        hf_writer_abort(w);
        return false;
    }
    return hf_writer_commit(w);
}

static bool load_one(struct train_scores *s, const struct hf_tensors *file, const char *name,
                     size_t rows)
{
    *s = (struct train_scores){NULL, rows};
    if (!rows) return true;
    const struct hf_tensor *t = hf_tensors_find(file, name);
    if (!t || t->dims != 2 || t->shape[0] != (int64_t)rows || t->shape[1] != 2)
        return err_user("%s: '%s' does not hold %zu rows: the dataset is not the one that the run "
                        "began with",
                        hf_tensors_path(file), name, rows);
    s->values = MEM_ARRAY(float, rows * 2);
    dtype_decode(s->values, t->data, t->dtype, t->count);
    return true;
}

bool train_scores_load(struct train_scores *train, size_t train_rows, struct train_scores *eval,
                       size_t eval_rows, const char *path)
{
    *train = *eval = (struct train_scores){0};
    struct hf_tensors *file = hf_tensors_open(path);
    if (!file) return false;
    bool ok = load_one(train, file, "train", train_rows) && load_one(eval, file, "eval", eval_rows);
    hf_tensors_close(file);
    return ok;
}
