#include "train/report.h"

#include "base/json.h"
#include "base/log.h"
#include "base/system.h"

#include <stdio.h>

// ---- rates and times ----

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

// ---- lines ----

// What the log shows of metrics, as far as there are any.
static void append_summary(const struct train_metrics *m, int accuracy_digits, struct str *out)
{
    const struct {
        enum train_metric which;
        const char *name;
        int digits;
    } shown[] = {
        {METRIC_REWARDS_MARGINS, "margins", 4},
        {METRIC_REWARDS_ACCURACIES, "accuracy", accuracy_digits},
        {METRIC_KL, "kl", 2},
        {METRIC_KL_SFT, "kl/sft", 2},
    };
    str_appendf(out, "loss %.4f", train_metrics_mean(m, METRIC_LOSS));
    bool preferences =
        train_metrics_has(m, METRIC_LOGPS_CHOSEN) || train_metrics_has(m, METRIC_LOGPS_REJECTED);
    if (!preferences)
        str_appendf(out, "  token accuracy %.3f", train_metrics_mean(m, METRIC_TOKEN_ACCURACY));
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (train_metrics_has(m, shown[i].which))
            str_appendf(out, "  %s %.*f", shown[i].name, shown[i].digits,
                        train_metrics_mean(m, shown[i].which));
}

static void describe(const struct train_run *run, struct str *out)
{
    const struct train_state *s = &run->state;
    char left[32];
    double elapsed = sys_seconds() - run->started, done = (double)(s->step - run->first_step);
    double tokens = (double)(s->num_tokens - run->tokens_at_start);
    format_time(left, elapsed / (done > 0 ? done : 1) * (double)(run->total_steps - s->step));
    str_appendf(out, "step %lld/%lld  ", (long long)s->step, (long long)run->total_steps);
    append_summary(&s->window, 2, out);
    str_appendf(out, "  %.0f tok/s  %s left", elapsed > 0 ? tokens / elapsed : 0, left);
}

// One object of metrics.jsonl, told to the hook too.
static bool append_metrics(struct train_run *run, const char *line)
{
    const struct train_hooks *hooks = run->hooks;
    if (hooks->on_metrics && !run->stop && !hooks->on_metrics(hooks->ctx, line)) run->stop = true;
    return train_dir_append(run, "metrics.jsonl", line);
}

static void begin_object(const struct train_run *run, struct str *line)
{
    str_appendf(line, "{\"step\": %lld, \"epoch\": ", (long long)run->state.step);
    json_append_double(line, (double)run->state.step / (double)run->steps_per_epoch);
}

bool train_report_step(struct train_run *run, double learning_rate, float grad_norm)
{
    struct train_state *s = &run->state;
    struct str line = {0}, text = {0};
    describe(run, &text);
    if (s->step % run->config->logging_steps != 0 && s->step != run->total_steps) {
        log_progress("%s", str_text(&text));
        str_finish(&text);
        return true;
    }
    log_info("%s", str_text(&text));
    begin_object(run, &line);
    train_metrics_print(&s->window, "", &line);
    str_append(&line, ", \"grad_norm\": ");
    json_append_float(&line, grad_norm);
    str_append(&line, ", \"learning_rate\": ");
    json_append_double(&line, learning_rate);
    str_appendf(&line, ", \"num_tokens\": %lld", (long long)s->num_tokens);
    if (run->has_ref) str_appendf(&line, ", \"ref_updates\": %lld", (long long)s->ref_updates);
    str_appendf(&line, ", \"tokens_per_second\": %.1f}", tokens_per_second(run));
    bool ok = append_metrics(run, str_text(&line));
    s->window = (struct train_metrics){0};
    str_finish(&line);
    str_finish(&text);
    return ok;
}

bool train_report_evaluation(struct train_run *run, const struct train_metrics *metrics)
{
    struct str line = {0}, text = {0};
    append_summary(metrics, 3, &text);
    log_info("evaluation at step %lld: %s", (long long)run->state.step, str_text(&text));
    begin_object(run, &line);
    train_metrics_print(metrics, "eval_", &line);
    str_append_char(&line, '}');
    bool ok = append_metrics(run, str_text(&line));
    str_finish(&line);
    str_finish(&text);
    return ok;
}

// ---- the end ----

void train_report_stop(const struct train_run *run)
{
    long long step = run->state.step, total = run->total_steps;
    if (step == run->first_step && !run->resume_dir)
        log_info("stopped on request before the first step: there was nothing to save");
    else if (step == run->first_step)
        log_info("stopped on request before the next step: %s is as it was", run->resume_dir);
    else
        log_info("stopped on request at step %lld of %lld; saved %s/checkpoint-%lld. Go on with "
                 "--resume_from_checkpoint true",
                 step, total, run->config->output_dir, step);
}

void train_report_early_end(const struct train_run *run, bool resumed)
{
    const struct train_best *best = &run->state.best;
    const struct train_config *c = run->config;
    struct str threshold = {0};
    if (c->early_stopping_threshold > 0)
        str_appendf(&threshold, " by more than %g", c->early_stopping_threshold);
    log_info("early stopping: %s at step %lld of %lld, since eval_%s has not improved on %g (step "
             "%lld)%s in %lld evaluation%s%s",
             resumed ? "this run had ended" : "the run ends", (long long)run->state.step,
             (long long)run->total_steps, train_config_best_metric(c), best->metric,
             (long long)best->step, str_text(&threshold), (long long)best->waiting,
             best->waiting == 1 ? "" : "s",
             resumed ? "; a larger early_stopping_patience would let it go on" : "");
    str_finish(&threshold);
}

void train_report_end(const struct train_run *run)
{
    char took[32];
    format_time(took, sys_seconds() - run->started);
    log_info("done: %lld steps in %s; the model is in %s",
             (long long)(run->state.step - run->first_step), took, run->config->output_dir);
}
