#include "api/evaluate.h"

#include "api/model.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
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

// ---- files ----

static bool read_files(struct evaluation *e)
{
    const struct api_evaluation *p = e->params;
    if (!api_model_read(&e->policy, p->model)) return false;
    if (p->ref_model) {
        if (!api_model_read_config(&e->ref, p->ref_model)) return false;
        if (!api_model_same_shape(&e->policy, &e->ref))
            return err_user("the reference %s has another shape than the model %s", p->ref_model,
                            p->model);
    }
    if (!data_load(&e->set, &(struct data_params){.path = p->dataset,
                                                  .tokenizer = e->policy.tokenizer,
                                                  .kind = DATA_PAIRS,
                                                  .completion_only = true,
                                                  .max_length = (uint32_t)e->config.max_length}))
        return false;
    data_log_report(&e->set, p->dataset);
    size_t rows = e->set.rows.count;
    e->rows_at_once = rows < ROWS_AT_ONCE ? (uint32_t)rows : ROWS_AT_ONCE;
    return !p->per_row || file_create(&e->rows, p->per_row);
}

// ---- device ----

// Slots of a pass: the longest row at least, and no more than all rows need.
static uint32_t choose_tokens(const struct data_set *set)
{
    uint64_t longest = 1, all = 0;
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
        .tokens = choose_tokens(&e->set),
        .rows = e->rows_at_once,
    };
    uint64_t activations, step_data;
    train_stepper_bytes(&params, &activations, &step_data);
    uint64_t weights = model_weights_bytes(&e->policy.layout) * (p->ref_model ? 2 : 1);
    if (!api_check_memory(device, weights + activations + step_data, "this evaluation",
                          "lower max_length") ||
        !api_model_load(&e->policy) || (p->ref_model && !api_model_load(&e->ref)))
        return false;
    e->stepper = train_stepper_create(&params);
    return e->stepper != NULL;
}

// ---- results ----

static bool write_row(void *ctx, size_t index, const union train_row_metrics *metrics)
{
    struct evaluation *e = ctx;
    const struct data_row *row = &e->set.rows.items[index];
    const struct pair_metrics *m = &metrics->pair;
    const struct {
        const char *name;
        float value;
    } values[] = {
        {"logps/chosen", m->logp_chosen},         {"logps/rejected", m->logp_rejected},
        {"logps/ref_chosen", m->ref_logp_chosen}, {"logps/ref_rejected", m->ref_logp_rejected},
        {"rewards/chosen", m->reward_chosen},     {"rewards/rejected", m->reward_rejected},
    };
    struct str line = {0};
    str_append_char(&line, '{');
    if (e->set.file_count > 1) {
        const char *file = e->set.files[row->file];
        str_append(&line, "\"file\": ");
        json_append_string(&line, file, strlen(file));
        str_append(&line, ", ");
    }
    str_appendf(&line,
                "\"row\": %u, \"prompt_tokens\": %u, \"chosen_tokens\": %u, "
                "\"rejected_tokens\": %u",
                row->line - 1, row->prompt, row->completion[0], row->completion[1]);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        str_appendf(&line, ", \"%s\": ", values[i].name);
        json_append_float(&line, values[i].value);
    }
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
    if (params->beta != 0) e.config.beta = params->beta;
    if (params->max_length) e.config.max_length = params->max_length;
    bool ok = read_files(&e) && open_stepper(&e) && judge(&e, out);
    file_abort(&e.rows);
    train_stepper_destroy(e.stepper);
    api_model_finish(&e.ref);
    api_model_finish(&e.policy);
    data_finish(&e.set);
    train_config_finish(&e.config);
    return ok;
}
