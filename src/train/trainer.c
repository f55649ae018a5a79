#include "train/trainer.h"

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"
#include "train/run.h"

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

// ---- reporting ----

static void format_time(char out[32], double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, 32, "%ldh%02ldm", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(out, 32, "%ldm%02lds", s / 60, s % 60);
    else
        snprintf(out, 32, "%lds", s);
}

static double tokens_per_second(struct train_run *run)
{
    double now = sys_seconds(), elapsed = now - run->time_at_log;
    double rate = elapsed > 0 ? (double)(run->state.num_tokens - run->tokens_at_log) / elapsed : 0;
    run->time_at_log = now;
    run->tokens_at_log = run->state.num_tokens;
    return rate;
}

static void describe(const struct train_run *run, struct str *out)
{
    const struct train_state *s = &run->state;
    char left[32];
    double done = (double)(s->step - run->first_step);
    double rest = (sys_seconds() - run->started) / (done > 0 ? done : 1) *
                  (double)(run->total_steps - s->step);
    format_time(left, rest);
    str_appendf(out, "step %lld/%lld  loss %.4f", (long long)s->step, (long long)run->total_steps,
                train_metrics_mean(&s->window, METRIC_LOSS));
    if (run->config->method == TRAIN_DPO)
        str_appendf(out, "  margins %.4f  accuracy %.2f  kl/sft %.2f",
                    train_metrics_mean(&s->window, METRIC_REWARDS_MARGINS),
                    train_metrics_mean(&s->window, METRIC_REWARDS_ACCURACIES),
                    train_metrics_mean(&s->window, METRIC_KL_SFT));
    else
        str_appendf(out, "  token accuracy %.3f",
                    train_metrics_mean(&s->window, METRIC_TOKEN_ACCURACY));
    double elapsed = sys_seconds() - run->started;
    double tokens = (double)(s->num_tokens - run->tokens_at_start);
    str_appendf(out, "  %.0f tok/s  %s left", elapsed > 0 ? tokens / elapsed : 0, left);
}

static bool append_metrics(struct train_run *run, const char *line)
{
    const struct train_hooks *hooks = run->hooks;
    if (hooks->on_metrics && !run->stop && !hooks->on_metrics(hooks->ctx, line)) run->stop = true;
    return train_dir_append_metrics(run, line);
}

static bool log_step(struct train_run *run, const struct pending *p,
                     const struct step_results *results)
{
    struct train_state *s = &run->state;
    struct str line = {0}, text = {0};
    describe(run, &text);
    bool last = s->step == run->total_steps;
    if (s->step % run->config->logging_steps != 0 && !last) {
        log_progress("%s", str_text(&text));
        str_finish(&text);
        return true;
    }
    log_info("%s", str_text(&text));
    str_appendf(&line, "{\"step\": %lld, \"epoch\": ", (long long)s->step);
    json_append_double(&line, (double)s->step / (double)run->steps_per_epoch);
    train_metrics_print(&s->window, "", &line);
    str_append(&line, ", \"grad_norm\": ");
    json_append_float(&line, results->grad_norm);
    str_append(&line, ", \"learning_rate\": ");
    json_append_double(&line, p->learning_rate);
    str_appendf(&line, ", \"num_tokens\": %lld", (long long)s->num_tokens);
    if (run->has_ref) str_appendf(&line, ", \"ref_updates\": %lld", (long long)s->ref_updates);
    str_appendf(&line, ", \"tokens_per_second\": %.1f}", tokens_per_second(run));
    bool ok = append_metrics(run, str_text(&line));
    s->window = (struct train_metrics){0};
    str_finish(&line);
    str_finish(&text);
    return ok;
}

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

// Where policy and reference begin as the same model, the first step must find no difference
// between them: rewards 0, loss ln 2. Anything else is a fault of this program or of the device.
static bool check_first_step(const union train_row_metrics *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct pair_metrics *p = &rows[i].pair;
        if (fabsf(p->reward_chosen) <= 1e-6f && fabsf(p->reward_rejected) <= 1e-6f &&
            fabs((double)p->loss - log(2.0)) <= 1e-5)
            continue;
        return err_device(
            "self-check failed at step 1: policy and reference are the same model, but a "
            "pair has rewards %g and %g and loss %g instead of 0, 0 and ln 2 = 0.693147. "
            "The device computes wrongly: run 'trdpo-vk doctor'",
            (double)p->reward_chosen, (double)p->reward_rejected, (double)p->loss);
    }
    log_info("self-check passed: policy and reference agree, rewards 0, loss ln 2");
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
    if (results.nonfinite) return stop_on_bad_gradient(run, p, results.nonfinite);
    if (p->step == 1 && run->ref_is_start && !check_first_step(rows, p->count)) return false;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct data_row *row = &run->train.rows.items[p->rows[i]];
        s->num_tokens += row->completion[0] + row->completion[1] +
                         (c->method == TRAIN_DPO ? 2 : 1) * (int64_t)row->prompt;
    }
    s->step = p->step;
    s->ref_updates = results.ref_updates;
    return log_step(run, p, &results);
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

static bool report_evaluation(struct train_run *run, const struct train_metrics *metrics)
{
    bool pairs = run->config->method == TRAIN_DPO;
    struct str line = {0};
    str_appendf(&line, "{\"step\": %lld, \"epoch\": ", (long long)run->state.step);
    json_append_double(&line, (double)run->state.step / (double)run->steps_per_epoch);
    train_metrics_print(metrics, "eval_", &line);
    str_append_char(&line, '}');
    bool ok = append_metrics(run, str_text(&line));
    str_finish(&line);
    if (pairs)
        log_info("evaluation at step %lld: loss %.4f  margins %.4f  accuracy %.3f  kl/sft %.2f",
                 (long long)run->state.step, train_metrics_mean(metrics, METRIC_LOSS),
                 train_metrics_mean(metrics, METRIC_REWARDS_MARGINS),
                 train_metrics_mean(metrics, METRIC_REWARDS_ACCURACIES),
                 train_metrics_mean(metrics, METRIC_KL_SFT));
    else
        log_info("evaluation at step %lld: loss %.4f  token accuracy %.3f",
                 (long long)run->state.step, train_metrics_mean(metrics, METRIC_LOSS),
                 train_metrics_mean(metrics, METRIC_TOKEN_ACCURACY));
    return ok;
}

static bool due(int64_t every, int64_t step)
{
    return every > 0 && step % every == 0;
}

// An evaluation that a stop signal cut short, or that had to wait for a resumed run, is still due.
static bool evaluation_due(const struct train_run *run, int64_t step)
{
    return run->eval.rows.count && step > 0 && run->state.eval_step != step &&
           (step == run->total_steps || due(run->config->eval_steps, step));
}

static bool wants_to_stop(const struct train_run *run)
{
    return sys_stop_signal() != 0 || run->stop;
}

// Evaluates if it is time; a stop signal in between sets run->stopped.
static bool evaluate(struct train_run *run)
{
    struct train_metrics metrics;
    double start = sys_seconds();
    if (!evaluation_due(run, run->state.step)) return true;
    if (!train_run_evaluate(run, &metrics, &run->stopped)) return false;
    double took = sys_seconds() - start;
    run->started += took; // not training time
    run->time_at_log += took;
    if (run->stopped) return true;
    run->state.eval_step = run->state.step;
    return report_evaluation(run, &metrics);
}

// Runs the remaining steps. Sets run->stopped where it was asked to end early.
static bool run_steps(struct train_run *run, struct pending p[2], union train_row_metrics *rows)
{
    const struct train_config *c = run->config;
    if (!evaluate(run)) return false;
    for (int64_t i = run->state.step; i < run->total_steps && !run->stopped; i++) {
        struct pending *now = &p[i % 2], *before = &p[(i + 1) % 2];
        if (!queue(run, now, i) || !collect(run, before, rows)) return false;
        bool last = i + 1 == run->total_steps;
        run->stopped = wants_to_stop(run) && !last;
        bool save = last || due(c->save_steps, i + 1) || run->stopped;
        if (!save && !evaluation_due(run, i + 1)) continue;
        if (!collect(run, now, rows)) return false;
        if (!run->stopped && !evaluate(run)) return false;
        if ((save || run->stopped) && !train_checkpoint_save(run)) return false;
    }
    return true;
}

static void report_stop(const struct train_run *run)
{
    const struct train_config *c = run->config;
    long long step = run->state.step, total = run->total_steps;
    if (step == run->first_step && !run->resume_dir)
        log_info("stopped on request before the first step: there was nothing to save");
    else if (step == run->first_step)
        log_info("stopped on request before the next step: %s is as it was", run->resume_dir);
    else
        log_info("stopped on request at step %lld of %lld; saved %s/checkpoint-%lld. Go on with "
                 "--resume_from_checkpoint true",
                 step, total, c->output_dir, step);
}

static bool finish(struct train_run *run)
{
    char took[32];
    format_time(took, sys_seconds() - run->started);
    train_window_report(run);
    if (!train_save_model(run, run->config->output_dir)) return false;
    log_info("done: %lld steps in %s; the model is in %s",
             (long long)(run->state.step - run->first_step), took, run->config->output_dir);
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
    bool ok = run->stopped || run_steps(run, p, rows);
    for (int i = 0; i < 2; i++)
        mem_free(p[i].rows);
    mem_free(rows);
    if (!ok) return TRAIN_FAILED;
    if (run->stopped) return report_stop(run), TRAIN_STOPPED;
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
