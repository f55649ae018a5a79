// Evaluations between steps: metrics and texts.
#include "train/run.h"

#include "base/system.h"
#include "train/evaluate.h"
#include "train/report.h"

static bool due(const struct train_run *run, int64_t step)
{
    int64_t every = run->config->eval_steps;
    if (step == 0) return run->config->eval_on_start;
    return step == run->total_steps || (every > 0 && step % every == 0);
}

// One that a stop signal cut short, or that had to wait for a resumed run, is still due.
bool train_evaluation_due(const struct train_run *run, int64_t step)
{
    return run->eval.rows.count && run->config->eval_strategy != TRAIN_EVAL_NO &&
           run->state.eval_step != step && due(run, step);
}

static uint32_t batch_rows(const struct train_run *run)
{
    uint64_t rows = run->eval.rows.count, batch = (uint64_t)run->config->per_device_eval_batch_size;
    return (uint32_t)(rows < batch ? rows : batch);
}

// Metrics, then texts. A stop signal sets run->stopped; what there was is then dropped.
static bool measure(struct train_run *run, struct train_metrics *metrics, struct str *texts)
{
    struct train_evaluation e = {.stepper = run->stepper,
                                 .set = &run->eval,
                                 .rules = run->rules,
                                 .start = &run->start_eval,
                                 .rows_at_once = batch_rows(run),
                                 .stopped = &run->stopped};
    return train_evaluate(&e, metrics) &&
           (run->stopped ||
            train_generation_run(&run->generation, run->state.step, texts, &run->stopped));
}

bool train_run_evaluate(struct train_run *run, bool *improved)
{
    struct train_state *s = &run->state;
    struct train_metrics metrics;
    struct str texts = {0};
    *improved = false;
    double start = sys_seconds();
    bool ok = measure(run, &metrics, &texts);
    double took = sys_seconds() - start;
    run->started += took; // not training time
    run->time_at_log += took;
    if (ok && !run->stopped) {
        s->eval_step = s->step;
        ok = train_report_evaluation(run, &metrics);
        train_generation_show(&run->generation);
        ok = ok && (!texts.len || train_dir_append(run, "generations.jsonl", str_text(&texts)));
        // As in transformers the start is no candidate.
        if (ok && s->step > 0) *improved = train_best_take(run, &metrics);
    }
    str_finish(&texts);
    return ok;
}
