// The checkpoint of the best evaluation: found again on resume, kept, and loaded at the end.
#include "train/run.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

static void set_dir(struct train_run *run, char *dir)
{
    mem_free(run->best_dir);
    run->best_dir = dir;
}

bool train_best_take(struct train_run *run, const struct train_metrics *metrics, bool *improved)
{
    const struct train_config *c = run->config;
    const char *name = train_config_best_metric(c);
    struct train_state *s = &run->state;
    *improved = false;
    if (!train_best_is_tracked(c)) return true;
    enum train_metric which = train_metric_find(name);
    if (!train_metrics_has(metrics, which))
        return err_user("metric_for_best_model: the evaluation has no '%s': %s has no rows for it",
                        name, c->eval_dataset_name);
    *improved = train_best_judge(&s->best, c, train_metrics_mean(metrics, which), s->step);
    if (*improved)
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
