#include "train/trainer.h"

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"
#include "train/report.h"
#include "train/run.h"
#include "train/self_check.h"
#include "vk/profile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// A step that the device works on while the host prepares the next.
struct pending {
    bool active;
    int64_t step; // from 1
    double learning_rate;
    uint32_t count;
    uint32_t *rows;
};

// ---- one step ----

static bool name_bad_row(const struct train_run *run, const struct pending *p, uint32_t bad)
{
    const struct data_row *row = &run->train.rows.items[p->rows[bad]];
    return err_user(
        "step %lld: the loss of line %u of %s is not a number: lower learning_rate, or look at "
        "that row (the last checkpoint is good)",
        (long long)p->step, row->line, run->train.files[row->file]);
}

static bool stop_on_bad_gradient(const struct train_run *run, const struct pending *p,
                                 uint32_t nonfinite)
{
    struct str lines = {0};
    for (uint32_t i = 0; i < p->count && i < 16; i++)
        str_appendf(&lines, "%s%u", i ? ", " : "", run->train.rows.items[p->rows[i]].line);
    err_user(
        "step %lld: %u elements of the gradient are not numbers (rows of lines %s%s): lower "
        "learning_rate, or look at those rows; the weights were left as they were before the step",
        (long long)p->step, nonfinite, str_text(&lines), p->count > 16 ? ", ..." : "");
    str_finish(&lines);
    return false;
}

// A scale falls from its largest value to 1 in fewer: what overflows then does so without a scale.
#define SKIPS_MOST 25

// With a loss scale a step that overflows is left out, and the scale is halved.
static bool goes_on_without(struct train_run *run, const struct pending *p,
                            const struct step_results *results)
{
    if (!(results->grad_scale > 0) || ++run->skipped_in_row > SKIPS_MOST) return false;
    log_info("step %lld left out: its gradient overflowed fp16; the loss scale is now %g",
             (long long)p->step, (double)results->grad_scale);
    return true;
}

static bool collect(struct train_run *run, struct pending *p, union train_row_metrics *rows)
{
    if (!p->active) return true;
    p->active = false;
    struct step_results results;
    struct train_state *s = &run->state;
    const struct train_config *c = run->config;
    if (!train_stepper_collect(run->stepper, rows, &results)) return false;
    uint32_t bad = 0;
    bool ok;
    float *start = run->start_train.values ? MEM_ARRAY(float, 2 * (size_t)p->count) : NULL;
    for (uint32_t i = 0; start && i < p->count; i++)
        memcpy(start + 2 * (size_t)i, run->start_train.values + 2 * (size_t)p->rows[i],
               2 * sizeof(float));
    ok = train_metrics_add(&s->window, &run->rules, rows, p->count, start, &bad);
    mem_free(start);
    if (!ok) return name_bad_row(run, p, bad);
    if (results.nonfinite && !goes_on_without(run, p, &results))
        return stop_on_bad_gradient(run, p, results.nonfinite);
    if (!results.nonfinite) run->skipped_in_row = 0;
    if (p->step == 1 && run->ref_is_start && !train_self_check(c, rows, p->count)) return false;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct data_row *row = &run->train.rows.items[p->rows[i]];
        s->num_tokens += row->completion[0] + row->completion[1] +
                         (c->method == TRAIN_DPO ? 2 : 1) * (int64_t)row->prompt;
    }
    s->step = p->step;
    s->ref_updates = results.ref_updates;
    s->grad_scale = (double)results.grad_scale;
    s->steady = results.steady;
    s->skipped = results.skipped;
    return train_report_step(run, p->learning_rate, results.grad_norm);
}

static bool queue(struct train_run *run, struct pending *p, int64_t index)
{
    const struct train_config *c = run->config;
    const uint32_t *rows;
    if (!train_window_fill(run, index)) return false;
    p->count = train_run_rows(run, index, &rows);
    memcpy(p->rows, rows, p->count * sizeof *rows);
    p->step = index + 1;
    p->learning_rate = train_schedule_rate(&run->schedule, index);
    p->active = true;
    return train_stepper_step(
        run->stepper, &run->train, rows, p->count,
        &(struct train_step){.number = p->step,
                             .learning_rate = p->learning_rate,
                             .update_reference = run->has_ref && c->sync_ref_model &&
                                                 p->step % c->ref_model_sync_steps == 0});
}

// ---- between steps ----

static bool due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

static bool wants_to_stop(const struct train_run *run)
{
    return sys_stop_signal() != 0 || run->stop;
}

// Early stopping has ended the run.
static bool has_ended(const struct train_run *run)
{
    return run->state.step < run->total_steps &&
           train_best_is_exhausted(&run->state.best, run->config);
}

// Evaluates if it is time; a stop signal in between sets run->stopped. *save: what came of it calls
// for a checkpoint.
static bool evaluate(struct train_run *run, bool *save)
{
    bool improved = false;
    if (!train_evaluation_due(run, run->state.step)) return true;
    if (!train_run_evaluate(run, &improved)) return false;
    if (improved || has_ended(run)) *save = true;
    return true;
}

// Before the first step of this run: the evaluation that eval_on_start asks for, or one that the
// run that is resumed could not finish. That may be the best yet, or the last that was waited for.
static bool begin(struct train_run *run)
{
    bool save = false;
    if (has_ended(run)) return true;
    return evaluate(run, &save) && (!save || train_checkpoint_save(run));
}

// Runs the remaining steps. Sets run->stopped where it was asked to end early.
static bool run_steps(struct train_run *run, struct pending p[2], union train_row_metrics *rows)
{
    const struct train_config *c = run->config;
    bool had_ended = has_ended(run);
    if (!begin(run)) return false;
    for (int64_t i = run->state.step; i < run->total_steps && !run->stopped && !has_ended(run);
         i++) {
        struct pending *now = &p[i % 2], *before = &p[(i + 1) % 2];
        if (!queue(run, now, i) || !collect(run, before, rows)) return false;
        bool last = i + 1 == run->total_steps;
        run->stopped = wants_to_stop(run) && !last;
        bool save = last || due(c->save_steps, i + 1) || run->stopped;
        if (!save && !train_evaluation_due(run, i + 1)) continue;
        if (!collect(run, now, rows)) return false;
        if (!run->stopped && !evaluate(run, &save)) return false;
        if ((save || run->stopped) && !train_checkpoint_save(run)) return false;
    }
    if (has_ended(run) && !run->stopped) train_report_early_end(run, had_ended);
    return true;
}

static bool finish(struct train_run *run)
{
    train_window_report(run);
    if (!train_best_load(run) || !train_save_model(run, run->config->output_dir)) return false;
    train_report_end(run);
    return true;
}

static enum train_outcome drive(struct train_run *run)
{
    struct pending p[2] = {0};
    for (int i = 0; i < 2; i++)
        p[i].rows = MEM_ARRAY(uint32_t, run->rows_per_step);
    union train_row_metrics *rows = MEM_ARRAY(union train_row_metrics, run->rows_per_step);
    run->started = run->time_at_log = sys_seconds();
    run->first_step = run->state.step;
    run->tokens_at_start = run->tokens_at_log = run->state.num_tokens;
    run->stopped = run->stopped || sys_stop_signal() != 0;
    if (!run->state.step && !run->stopped) train_show_example(run);
    vk_profile_reset(run->device); // what is told of is the steps
    bool ok = run->stopped || run_steps(run, p, rows);
    for (int i = 0; i < 2; i++)
        mem_free(p[i].rows);
    mem_free(rows);
    if (!ok) return TRAIN_FAILED;
    if (run->stopped) return train_report_stop(run), TRAIN_STOPPED;
    return finish(run) ? TRAIN_FINISHED : TRAIN_FAILED;
}

enum train_outcome train_run_with(const struct train_config *config,
                                  const struct train_hooks *hooks)
{
    struct train_run run;
    enum train_outcome outcome = TRAIN_FAILED;
    if (train_run_init(&run, config, hooks)) outcome = drive(&run);
    train_run_finish(&run);
    return outcome;
}

enum train_outcome train_run_all(const struct train_config *config,
                                 struct vk_device *(*open_device)(void *ctx), void *ctx)
{
    sys_catch_stop_signals();
    return train_run_with(config, &(struct train_hooks){.open_device = open_device, .ctx = ctx});
}
