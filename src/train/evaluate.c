#include "train/evaluate.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/run.h"

static bool is_by_token(bool pairs, int metric)
{
    return metric == METRIC_ENTROPY || metric == METRIC_TOKEN_ACCURACY ||
           (!pairs && metric == METRIC_LOSS);
}

static bool one_row(const struct train_evaluation *e, size_t index,
                    const union train_row_metrics *row, struct train_metrics *one)
{
    uint32_t bad;
    if (!e->pairs) return train_metrics_add_sequences(one, row, 1, &bad);
    float reference[2] = {row->pair.ref_logp_chosen, row->pair.ref_logp_rejected};
    const float *start = e->start ? e->start->values + 2 * index : reference;
    return train_metrics_add_pairs(one, row, 1, start, e->beta, &bad);
}

// Sums row by row, so that the means do not depend on how rows are grouped.
static bool add_rows(const struct train_evaluation *e, struct train_metrics *metrics,
                     const union train_row_metrics *rows, uint32_t count, uint32_t first,
                     double *tokens)
{
    for (uint32_t i = 0; i < count; i++) {
        struct train_metrics one = {0};
        double weight = e->pairs ? (double)rows[i].pair.tokens : (double)rows[i].sequence.tokens;
        const struct data_row *row = &e->set->rows.items[first + i];
        if (!one_row(e, first + i, &rows[i], &one))
            return err_user("evaluation: the loss of line %u of %s is not a number", row->line,
                            e->set->files[row->file]);
        for (int k = 0; k < METRIC_COUNT; k++)
            metrics->sums[k] += one.sums[k] * (is_by_token(e->pairs, k) ? weight : 1);
        metrics->steps++;
        *tokens += weight;
        if (e->on_row && !e->on_row(e->ctx, first + i, &rows[i])) return false;
    }
    return true;
}

bool train_evaluate(const struct train_evaluation *e, struct train_metrics *metrics)
{
    *metrics = (struct train_metrics){0};
    uint32_t total = (uint32_t)e->set->rows.count, step = e->rows_at_once;
    uint32_t *order = MEM_ARRAY(uint32_t, total);
    for (uint32_t i = 0; i < total; i++)
        order[i] = i;
    union train_row_metrics *rows = MEM_ARRAY(union train_row_metrics, step);
    double tokens = 0;
    bool ok = true;
    for (uint32_t first = 0; ok && first < total; first += step) {
        uint32_t n = total - first < step ? total - first : step;
        log_progress("evaluating: %u of %u rows", first, total);
        ok = train_stepper_evaluate(e->stepper, e->set, order + first, n, rows) &&
             add_rows(e, metrics, rows, n, first, &tokens);
    }
    // Means by token keep their sums per token: scale them so that sums / steps is the mean.
    for (int k = 0; ok && tokens > 0 && k < METRIC_COUNT; k++)
        if (is_by_token(e->pairs, k)) metrics->sums[k] *= metrics->steps / tokens;
    mem_free(rows);
    mem_free(order);
    return ok;
}

bool train_run_evaluate(struct train_run *run, struct train_metrics *metrics)
{
    return train_evaluate(&(struct train_evaluation){.stepper = run->stepper,
                                                     .set = &run->eval,
                                                     .pairs = run->config->method == TRAIN_DPO,
                                                     .beta = run->config->beta,
                                                     .start = &run->start_eval,
                                                     .rows_at_once = run->rows_per_step},
                          metrics);
}
