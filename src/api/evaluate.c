#include "api/evaluate.h"

#include "api/model.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "ops/loss.h"
#include "train/evaluate.h"

#include <string.h>

#define ROWS_AT_ONCE 64
#define TOKENS_AT_ONCE 4096

struct evaluation {
    const struct api_evaluation *params;
    struct api_model policy, ref;
    struct data_set set;
    struct train_config config; // of the loss
    struct train_stepper *stepper;
    struct file_writer rows;
    uint32_t rows_at_once;
};

const char *const api_evaluation_keys[] = {"method",
                                           "loss_type",
                                           "loss_weights",
                                           "label_smoothing",
                                           "ld_alpha",
                                           "f_divergence_type",
                                           "f_alpha_divergence_coef",
                                           "use_weighting",
                                           "discopop_tau",
                                           "simpo_gamma",
                                           "cpo_alpha",
                                           "alpha",
                                           "desirable_weight",
                                           "undesirable_weight",
                                           "truncation_mode",
                                           "completion_only",
                                           NULL};

// ---- settings ----

static bool set_option(struct train_config *c, const char *key, const char *value)
{
    struct str known = {0};
    for (const char *const *k = api_evaluation_keys; *k; k++) {
        if (strcmp(*k, key) == 0) {
            str_finish(&known);
            return value ? train_config_set(c, key, value, "options")
                         : err_user("options: '%s' has no value", key);
        }
        str_appendf(&known, "%s%s", known.len ? ", " : "", *k);
    }
    err_user("options: '%s' has no part in an evaluation; these have: %s", key, str_text(&known));
    str_finish(&known);
    return false;
}

static bool configure(struct evaluation *e)
{
    const struct api_evaluation *p = e->params;
    struct train_config *c = &e->config;
    if (p->beta != 0) c->beta = p->beta;
    if (p->max_length) c->max_length = p->max_length;
    if (p->batch_size) c->per_device_eval_batch_size = p->batch_size;
    c->per_device_train_batch_size = c->per_device_eval_batch_size; // the only batch there is
    for (const char *const *o = p->options; o && *o; o += 2)
        if (!set_option(c, o[0], o[1])) return false;
    train_config_resolve(c);
    if (c->method == TRAIN_KTO && c->loss_type[0] == UNPAIRED_KTO && p->batch_size == 1)
        return err_user("batch_size: loss_type kto compares rows with the others of their batch: "
                        "give 2 or more, or set loss_type: apo_zero_unpaired");
    if (!train_config_check_judging(c)) return false;
    if (p->ref_model && !train_config_has_reference(c))
        return err_user("a reference (%s) is given, but the loss has none: leave it out, or choose "
                        "another method or loss_type",
                        p->ref_model);
    return true;
}

// True if the loss of a row depends on the others of its batch.
static bool looks_at_batches(const struct train_config *c)
{
    struct pref_settings s;
    if (c->method == TRAIN_SFT) return false;
    if (c->method == TRAIN_KTO) return c->loss_type[0] == UNPAIRED_KTO;
    train_config_pref_settings(c, &s);
    return pref_is_batch_wide(&s) || pref_needs_batch_tokens(&s);
}

// ---- files ----

static bool read_files(struct evaluation *e)
{
    const struct api_evaluation *p = e->params;
    const struct train_config *c = &e->config;
    if (!api_model_read(&e->policy, p->model)) return false;
    if (p->ref_model) {
        if (!api_model_read_config(&e->ref, p->ref_model)) return false;
        if (!api_model_same_shape(&e->policy, &e->ref))
            return err_user("the reference %s has another shape than the model %s", p->ref_model,
                            p->model);
    }
    if (!data_load(&e->set,
                   &(struct data_params){.path = p->dataset,
                                         .tokenizer = e->policy.tokenizer,
                                         .kind = train_data_kind(c),
                                         .completion_only = c->completion_only,
                                         .max_length = (uint32_t)c->max_length,
                                         .truncation = (enum data_truncation)c->truncation_mode}))
        return false;
    data_log_report(&e->set, p->dataset);
    size_t rows = e->set.rows.count;
    size_t group = looks_at_batches(c) ? (size_t)c->per_device_eval_batch_size : ROWS_AT_ONCE;
    e->rows_at_once = (uint32_t)(rows < group ? rows : group);
    return !p->per_row || file_create(&e->rows, p->per_row);
}

// ---- device ----

// Slots of a pass: the longest row at least (of KTO, also of mismatched ones), and no more than all
// rows need.
static uint32_t choose_tokens(const struct evaluation *e)
{
    const struct data_set *set = &e->set;
    uint64_t longest = 1, all = 0;
    if (e->config.method == TRAIN_KTO)
        longest = data_mismatched_longest(set, (uint32_t)e->config.max_length);
    for (size_t i = 0; i < set->rows.count; i++) {
        uint32_t slots = data_row_slots(&set->rows.items[i]);
        if (slots > longest) longest = slots;
        all += slots;
    }
    uint64_t tokens = all < TOKENS_AT_ONCE ? all : TOKENS_AT_ONCE;
    if (tokens < longest) tokens = longest;
    return (uint32_t)((tokens + 63) / 64 * 64);
}

static bool open_stepper(struct evaluation *e)
{
    const struct api_evaluation *p = e->params;
    struct vk_device *device = p->open_device(p->ctx);
    if (!device || !api_model_plan(&e->policy, device)) return false;
    if (p->ref_model && !api_model_plan(&e->ref, device)) return false;
    struct train_stepper_params params = {
        .device = device,
        .config = &e->config,
        .layout = &e->policy.layout,
        .policy = &e->policy.weights,
        .ref = p->ref_model ? &e->ref.weights : NULL,
        .tokens = choose_tokens(e),
        .rows = e->rows_at_once,
    };
    struct train_stepper_sizes sizes;
    if (!train_stepper_bytes(&params, &sizes)) return false;
    uint64_t weights = model_weights_bytes(&e->policy.layout, MODEL_F32) * (p->ref_model ? 2 : 1);
    if (!api_check_memory(device, weights + sizes.activations + sizes.step_data, "this evaluation",
                          "lower max_length") ||
        !api_model_load(&e->policy) || (p->ref_model && !api_model_load(&e->ref)))
        return false;
    e->stepper = train_stepper_create(&params);
    return e->stepper != NULL;
}

// ---- results ----

static void append_value(struct str *line, const char *name, float value)
{
    str_appendf(line, ", \"%s\": ", name);
    json_append_float(line, value);
}

static void append_pair(struct str *line, const struct data_row *row, const struct pair_metrics *m,
                        bool reference)
{
    str_appendf(line, ", \"chosen_tokens\": %u, \"rejected_tokens\": %u", row->completion[0],
                row->completion[1]);
    append_value(line, "logps/chosen", m->logp_chosen);
    append_value(line, "logps/rejected", m->logp_rejected);
    if (reference) {
        append_value(line, "logps/ref_chosen", m->ref_logp_chosen);
        append_value(line, "logps/ref_rejected", m->ref_logp_rejected);
    }
    append_value(line, "rewards/chosen", m->reward_chosen);
    append_value(line, "rewards/rejected", m->reward_rejected);
}

// Of KTO and of SFT: one completion a row.
static void append_completion(struct str *line, const struct data_row *row,
                              const union train_row_metrics *metrics, bool judged)
{
    const struct unpaired_metrics *u = &metrics->unpaired;
    if (judged) str_appendf(line, ", \"label\": %s", row->label ? "true" : "false");
    str_appendf(line, ", \"completion_tokens\": %u", row->completion[0]);
    append_value(line, "logps/completion", judged ? u->logp : metrics->sequence.logp);
    if (!judged) return;
    append_value(line, "logps/ref_completion", u->ref_logp);
    append_value(line, "rewards/completion", u->reward);
    append_value(line, "loss", u->loss);
}

static bool write_row(void *ctx, size_t index, const union train_row_metrics *metrics)
{
    struct evaluation *e = ctx;
    const struct data_row *row = &e->set.rows.items[index];
    struct str line = {0};
    str_append_char(&line, '{');
    if (e->set.file_count > 1) {
        const char *file = e->set.files[row->file];
        str_append(&line, "\"file\": ");
        json_append_string(&line, file, strlen(file));
        str_append(&line, ", ");
    }
    str_appendf(&line, "\"row\": %u, \"prompt_tokens\": %u", row->line - 1, row->prompt);
    if (train_data_kind(&e->config) == DATA_PAIRS)
        append_pair(&line, row, &metrics->pair, train_config_has_reference(&e->config));
    else
        append_completion(&line, row, metrics, e->config.method == TRAIN_KTO);
    str_append(&line, "}\n");
    bool ok = file_write(&e->rows, line.data, line.len);
    str_finish(&line);
    return ok;
}

static bool judge(struct evaluation *e, struct str *out)
{
    struct train_metrics metrics;
    bool per_row = e->params->per_row != NULL;
    if (!train_evaluate(&(struct train_evaluation){.stepper = e->stepper,
                                                   .set = &e->set,
                                                   .rules = train_metric_rules_of(&e->config),
                                                   .rows_at_once = e->rows_at_once,
                                                   .on_row = per_row ? write_row : NULL,
                                                   .ctx = e},
                        &metrics))
        return false;
    if (per_row && !file_commit(&e->rows)) return false;
    const struct data_report *report = &e->set.report;
    str_appendf(out, "{\"eval_rows\": %zu, \"eval_dropped\": %zu", report->kept,
                report->read - report->kept);
    train_metrics_print(&metrics, "eval_", out);
    str_append_char(out, '}');
    return true;
}

bool api_evaluate(const struct api_evaluation *params, struct str *out)
{
    struct evaluation e = {.params = params};
    train_config_init(&e.config);
    bool ok = configure(&e) && read_files(&e) && open_stepper(&e) && judge(&e, out);
    file_abort(&e.rows);
    train_stepper_destroy(e.stepper);
    api_model_finish(&e.ref);
    api_model_finish(&e.policy);
    data_finish(&e.set);
    train_config_finish(&e.config);
    return ok;
}
