// The checkpoint of the best evaluation: found again on resume, kept, and loaded at the end.
#include "train/run.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

// The classes of unpaired rows without which there is no such metric.
static void classes_of(enum train_metric which, bool *desirable, bool *undesirable)
{
    bool both = which == METRIC_REWARDS_MARGINS || which == METRIC_SFT_MARGINS;
    *desirable = both || which == METRIC_REWARDS_CHOSEN || which == METRIC_LOGPS_CHOSEN ||
                 which == METRIC_LOGPS_REF_CHOSEN || which == METRIC_TOKEN_ACCURACY;
    *undesirable = both || which == METRIC_REWARDS_REJECTED || which == METRIC_LOGPS_REJECTED ||
                   which == METRIC_LOGPS_REF_REJECTED;
}

bool train_best_prepare(const struct train_run *run)
{
    const struct train_config *c = run->config;
    const char *name = train_config_best_metric(c);
    bool needs[2], has[2] = {false, false};
    if (!train_best_is_tracked(c) || run->rules.rows != METRICS_UNPAIRED) return true;
    for (size_t i = 0; i < run->eval.rows.count; i++)
        has[run->eval.rows.items[i].label == 1] = true;
    classes_of(train_metric_find(name), &needs[1], &needs[0]);
    for (int k = 0; k < 2; k++)
        if (needs[k] && !has[k])
            return err_user("metric_for_best_model: '%s' needs %s rows, and %s has none", name,
                            k ? "desirable" : "undesirable", c->eval_dataset_name);
    return true;
}

static void set_dir(struct train_run *run, char *dir)
{
    mem_free(run->best_dir);
    run->best_dir = dir;
}

bool train_best_take(struct train_run *run, const struct train_metrics *metrics)
{
    const struct train_config *c = run->config;
    struct train_state *s = &run->state;
    if (!train_best_is_tracked(c)) return false;
    enum train_metric which = train_metric_find(train_config_best_metric(c));
    CHECK(train_metrics_has(metrics, which)); // train_best_prepare() has seen to it
    if (!train_best_judge(&s->best, c, train_metrics_mean(metrics, which), s->step)) return false;
    set_dir(run, str_format("%s/checkpoint-%lld", c->output_dir, (long long)s->step));
    return true;
}

// Where the best checkpoint stands: in output_dir if the run goes on in its own folder, beside the
// one that is resumed (a run may have been moved as a whole), or where it was. NULL: nowhere.
static char *find_dir(const struct train_run *run, const char *recorded)
{
    long long step = run->state.best.step;
    char *parent = str_format("%s/..", run->resume_dir);
    bool own = file_same(parent, run->config->output_dir);
    char *beside = own ? str_format("%s/checkpoint-%lld", run->config->output_dir, step)
                       : str_format("%s/checkpoint-%lld", parent, step);
    mem_free(parent);
    if (!own && recorded && file_is_dir(recorded) &&
        (file_same(beside, recorded) || !file_is_dir(beside))) {
        mem_free(beside);
        return mem_strdup(recorded);
    }
    if (file_is_dir(beside)) return beside;
    mem_free(beside);
    return recorded && file_is_dir(recorded) ? mem_strdup(recorded) : NULL;
}

bool train_best_find(struct train_run *run, const char *recorded)
{
    const struct train_best *best = &run->state.best;
    if (!best->known) return true;
    set_dir(run, find_dir(run, recorded));
    if (run->best_dir || !run->config->load_best_model_at_end) return true;
    return err_user("load_best_model_at_end: the best model so far is that of step %lld (eval_%s "
                    "%g), but its folder, %s, is gone: put it back, or resume with "
                    "--load_best_model_at_end false",
                    (long long)best->step, train_config_best_metric(run->config), best->metric,
                    recorded ? recorded : "a checkpoint");
}

bool train_best_load(struct train_run *run)
{
    const struct train_best *best = &run->state.best;
    const char *name = train_config_best_metric(run->config);
    if (!run->config->load_best_model_at_end) return true;
    if (!best->known) {
        log_warn("load_best_model_at_end: no evaluation has taken place, so the model is the last");
        return true;
    }
    if (best->step == run->state.step) {
        log_info("load_best_model_at_end: the last model is the best (eval_%s %g)", name,
                 best->metric);
        return true;
    }
    log_info("load_best_model_at_end: the model is that of step %lld (eval_%s %g), from %s",
             (long long)best->step, name, best->metric, run->best_dir);
    return model_weights_load(&run->policy, run->best_dir, "") ||
           err_context("load_best_model_at_end");
}
