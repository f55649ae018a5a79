#include "train/evaluate.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"
#include "train/run.h"

// What a row weighs in the mean of a metric: its scored tokens, or 1.
static double weight(bool pairs, const union train_row_metrics *row, int metric)
{
    switch (metric) {
    case METRIC_LOSS:
        return pairs ? 1 : (double)row->sequence.tokens;
    case METRIC_ENTROPY:
        return pairs ? (double)row->pair.tokens : (double)row->sequence.tokens;
    case METRIC_TOKEN_ACCURACY:
        return pairs ? (double)row->pair.chosen_tokens : (double)row->sequence.tokens;
    default:
        return 1;
    }
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

// Weighted sums, row by row, so that the means do not depend on how rows are grouped.
static bool add_rows(const struct train_evaluation *e, struct train_metrics *metrics,
                     double weights[METRIC_COUNT], const union train_row_metrics *rows,
                     uint32_t count, uint32_t first)
{
    for (uint32_t i = 0; i < count; i++) {
        struct train_metrics one = {0};
        const struct data_row *row = &e->set->rows.items[first + i];
        if (!one_row(e, first + i, &rows[i], &one))
            return err_user("evaluation: the loss of line %u of %s is not a number", row->line,
                            e->set->files[row->file]);
        for (int k = 0; k < METRIC_COUNT; k++) {
            double w = weight(e->pairs, &rows[i], k);
            metrics->sums[k] += one.sums[k] * w;
            weights[k] += w;
        }
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
    double weights[METRIC_COUNT] = {0};
    bool ok = true;
    for (uint32_t first = 0; ok && first < total; first += step) {
        uint32_t n = total - first < step ? total - first : step;
        if (e->stopped && sys_stop_signal()) {
            *e->stopped = true;
            break;
        }
        log_progress("evaluating: %u of %u rows", first, total);
        ok = train_stepper_evaluate(e->stepper, e->set, order + first, n, rows) &&
             add_rows(e, metrics, weights, rows, n, first);
    }
    metrics->steps = 1;
    for (int k = 0; k < METRIC_COUNT; k++)
        if (weights[k] > 0) metrics->sums[k] /= weights[k];
    mem_free(rows);
    mem_free(order);
    return ok;
}

bool train_run_evaluate(struct train_run *run, struct train_metrics *metrics, bool *stopped)
{
    return train_evaluate(&(struct train_evaluation){.stepper = run->stepper,
                                                     .set = &run->eval,
                                                     .pairs = run->config->method == TRAIN_DPO,
                                                     .beta = run->config->beta,
                                                     .start = &run->start_eval,
                                                     .rows_at_once = run->rows_per_step,
                                                     .stopped = stopped},
                          metrics);
}
