#include "train/run.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

// Sums row by row, so that the means do not depend on how rows are grouped.
static bool add_rows(const struct train_run *run, struct train_metrics *metrics,
                     const union train_row_metrics *rows, uint32_t count, uint32_t first,
                     double *tokens)
{
    for (uint32_t i = 0; i < count; i++) {
        struct train_metrics one = {0};
        uint32_t bad;
        bool pairs = run->config->method == TRAIN_DPO;
        double weight = pairs ? rows[i].pair.tokens : rows[i].sequence.tokens;
        bool ok = pairs ? train_metrics_add_pairs(&one, &rows[i], 1,
                                                  run->start_eval.values + 2 * (size_t)(first + i),
                                                  run->config->beta, &bad)
                        : train_metrics_add_sequences(&one, &rows[i], 1, &bad);
        if (!ok)
            return err_user("evaluation: the loss of line %u of %s is not a number",
                            run->eval.rows.items[first + i].line,
                            run->eval.files[run->eval.rows.items[first + i].file]);
        for (int k = 0; k < METRIC_COUNT; k++) {
            bool by_token =
                k == METRIC_ENTROPY || k == METRIC_TOKEN_ACCURACY || (!pairs && k == METRIC_LOSS);
            metrics->sums[k] += one.sums[k] * (by_token ? weight : 1);
        }
        metrics->steps++;
        *tokens += weight;
    }
    return true;
}

bool train_run_evaluate(struct train_run *run, struct train_metrics *metrics)
{
    *metrics = (struct train_metrics){0};
    uint32_t total = (uint32_t)run->eval.rows.count;
    uint32_t *order = MEM_ARRAY(uint32_t, total);
    for (uint32_t i = 0; i < total; i++)
        order[i] = i;
    union train_row_metrics *rows = MEM_ARRAY(union train_row_metrics, run->rows_per_step);
    double tokens = 0;
    bool ok = true;
    for (uint32_t first = 0; ok && first < total; first += run->rows_per_step) {
        uint32_t n = total - first < run->rows_per_step ? total - first : run->rows_per_step;
        log_progress("evaluating: %u of %u rows", first, total);
        ok = train_stepper_evaluate(run->stepper, &run->eval, order + first, n, rows) &&
             add_rows(run, metrics, rows, n, first, &tokens);
    }
    // Means by token keep their sums per token: scale them so that sums / steps is the mean.
    bool pairs = run->config->method == TRAIN_DPO;
    for (int k = 0; ok && tokens > 0 && k < METRIC_COUNT; k++)
        if (k == METRIC_ENTROPY || k == METRIC_TOKEN_ACCURACY || (!pairs && k == METRIC_LOSS))
            metrics->sums[k] *= metrics->steps / tokens;
    mem_free(rows);
    mem_free(order);
    return ok;
}
