#include "train/evaluate.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"

// Log-probs of the start for `count` rows from `first` on: known, or those of the reference
// (written to `room`), or NULL where there is neither.
static const float *start_of(const struct train_evaluation *e, const union train_row_metrics *rows,
                             uint32_t count, uint32_t first, float *room)
{
    if (e->start && e->start->rows) return e->start->values + 2 * (size_t)first;
    if (!e->rules.reference) return NULL;
    bool pairs = e->rules.rows == METRICS_PAIRS;
    for (uint32_t i = 0; i < count; i++) {
        room[2 * i] = pairs ? rows[i].pair.ref_logp_chosen : rows[i].unpaired.ref_logp;
        room[2 * i + 1] = pairs ? rows[i].pair.ref_logp_rejected : 0;
    }
    return room;
}

static bool add_rows(const struct train_evaluation *e, struct train_metrics *metrics,
                     const union train_row_metrics *rows, uint32_t count, uint32_t first,
                     float *room)
{
    uint32_t bad;
    if (!train_metrics_pool(metrics, &e->rules, rows, count, start_of(e, rows, count, first, room),
                            &bad)) {
        const struct data_row *row = &e->set->rows.items[first + bad];
        return err_user("evaluation: the loss of line %u of %s is not a number", row->line,
                        e->set->files[row->file]);
    }
    for (uint32_t i = 0; e->on_row && i < count; i++)
        if (!e->on_row(e->ctx, first + i, &rows[i])) return false;
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
    float *room = MEM_ARRAY(float, 2 * (size_t)step);
    bool ok = true;
    for (uint32_t first = 0; ok && first < total; first += step) {
        uint32_t n = total - first < step ? total - first : step;
        if (e->stopped && sys_stop_signal()) {
            *e->stopped = true;
            break;
        }
        log_progress("evaluating: %u of %u rows", first, total);
        ok = train_stepper_evaluate(e->stepper, e->set, order + first, n, rows) &&
             add_rows(e, metrics, rows, n, first, room);
    }
    train_metrics_pool_end(metrics, &e->rules);
    mem_free(room);
    mem_free(rows);
    mem_free(order);
    return ok;
}
