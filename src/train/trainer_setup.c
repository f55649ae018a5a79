// Bringing a run up: files first, so that every mistake in them is told before the device is
// touched.
#include "train/run.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "vk/device.h"

#include <math.h>
#include <string.h>

static bool check_vocabulary(const struct train_run *run)
{
    int32_t ids = hf_tokenizer_id_count(run->tokenizer);
    if (ids <= run->hf.vocab_size) return true;
    return err_user(
        "%s: tokenizer.json has ids up to %d, but config.json has vocab_size %d: the two "
        "files do not belong together",
        run->config->model_name_or_path, ids - 1, run->hf.vocab_size);
}

static bool check_reference_shape(const struct train_run *run)
{
    const char *path = run->config->ref_model_name_or_path;
    struct hf_config ref;
    if (!path) return true;
    if (!hf_config_load(&ref, path)) return false;
    const struct hf_config *hf = &run->hf;
    if (ref.vocab_size == hf->vocab_size && ref.hidden_size == hf->hidden_size &&
        ref.intermediate_size == hf->intermediate_size && ref.layers == hf->layers &&
        ref.heads == hf->heads && ref.kv_heads == hf->kv_heads && ref.head_dim == hf->head_dim &&
        ref.tied_head == hf->tied_head && ref.attention_bias == hf->attention_bias &&
        ref.mlp_bias == hf->mlp_bias)
        return true;
    return err_user(
        "ref_model_name_or_path: %s has another shape than the policy (%s); a reference "
        "that the policy is mixed into must have the same",
        path, run->config->model_name_or_path);
}

static bool load_data(struct train_run *run, struct data_set *set, const char *path)
{
    const struct train_config *c = run->config;
    struct data_params params = {
        .path = path,
        .tokenizer = run->tokenizer,
        .kind = train_data_kind(c),
        .completion_only = c->completion_only,
        .max_length = (uint32_t)c->max_length,
        .truncation = (enum data_truncation)c->truncation_mode,
    };
    if (!data_load(set, &params)) return false;
    data_log_report(set, path);
    if (set == &run->train)
        data_check_balance(&set->report, c->desirable_weight, c->undesirable_weight);
    return true;
}

static uint32_t largest_row(const struct data_set *set, uint32_t least)
{
    for (size_t i = 0; i < set->rows.count; i++) {
        uint32_t slots = data_row_slots(&set->rows.items[i]);
        if (slots > least) least = slots;
    }
    return least;
}

// Room for the longest row, and for a step's rows as far as 4,096 slots go: beyond that a pass does
// not run faster, it only takes more memory.
static bool choose_budget(struct train_run *run)
{
    const struct train_config *c = run->config;
    uint32_t longest = largest_row(&run->eval, largest_row(&run->train, 1));
    if (c->method == TRAIN_KTO) {
        const struct data_set *sets[] = {&run->train, &run->eval};
        for (int i = 0; i < 2; i++) {
            uint32_t other = data_mismatched_longest(sets[i], (uint32_t)c->max_length);
            if (other > longest) longest = other;
        }
    }
    if (c->token_budget) {
        if (c->token_budget < longest)
            return err_user(
                "token_budget: %lld slots are too few for the longest row, which takes %u: "
                "raise token_budget or lower max_length",
                (long long)c->token_budget, longest);
        run->token_budget = (uint32_t)c->token_budget;
        return true;
    }
    double slots = 0;
    for (size_t i = 0; i < run->train.rows.count; i++)
        slots += data_row_slots(&run->train.rows.items[i]);
    double step = 1.25 * slots / (double)run->train.rows.count * run->rows_per_step;
    uint32_t budget = step > 4096 ? 4096 : (uint32_t)step;
    if (budget < longest) budget = longest;
    run->token_budget = (budget + 63) / 64 * 64;
    return true;
}

static bool plan_steps(struct train_run *run)
{
    const struct train_config *c = run->config;
    int64_t rows = (int64_t)run->train.rows.count;
    int64_t step_rows = c->per_device_train_batch_size * c->gradient_accumulation_steps;
    run->rows_per_step = (uint32_t)(step_rows < rows ? step_rows : rows);
    int64_t eval_rows = (int64_t)run->eval.rows.count;
    if (eval_rows > c->per_device_eval_batch_size) eval_rows = c->per_device_eval_batch_size;
    run->rows_at_once = run->rows_per_step > eval_rows ? run->rows_per_step : (uint32_t)eval_rows;
    run->steps_per_epoch = (rows + run->rows_per_step - 1) / run->rows_per_step;
    run->total_steps = c->max_steps > 0
                           ? c->max_steps
                           : (int64_t)ceil(c->num_train_epochs * (double)run->steps_per_epoch);
    run->schedule = train_schedule_make(c, run->total_steps);
    train_schedule_warn(&run->schedule);
    if (train_config_has_reference(c) && c->sync_ref_model &&
        c->ref_model_sync_steps > run->total_steps)
        log_warn(
            "ref_model_sync_steps is %lld, but the run has only %lld steps: the reference will "
            "not move, so this is plain %s",
            (long long)c->ref_model_sync_steps, (long long)run->total_steps,
            c->method == TRAIN_KTO ? "KTO" : "DPO");
    return true;
}

static bool check_head(const struct train_run *run)
{
    if (!run->config->freeze_head || !run->hf.tied_head) return true;
    return err_user(
        "freeze_head: the head of %s is its embedding (tie_word_embeddings), which is "
        "trained as such: leave freeze_head out, or take a model that has a head of its "
        "own",
        run->config->model_name_or_path);
}

static bool load_files(struct train_run *run)
{
    const struct train_config *c = run->config;
    if (!hf_config_load(&run->hf, c->model_name_or_path) || !check_reference_shape(run) ||
        !check_head(run))
        return false;
    run->tokenizer = hf_tokenizer_load(c->model_name_or_path);
    if (!run->tokenizer || !check_vocabulary(run)) return false;
    if (!train_generation_read(&run->generation, c, &run->hf, run->tokenizer)) return false;
    if (!load_data(run, &run->train, c->dataset_name)) return false;
    if (c->eval_dataset_name && !load_data(run, &run->eval, c->eval_dataset_name)) return false;
    if (!train_best_prepare(run)) return false;
    uint32_t longest = run->train.report.longest;
    if (run->eval.report.longest > longest) longest = run->eval.report.longest;
    if (longest > (uint32_t)run->hf.max_position)
        log_warn("rows of up to %u tokens are longer than the model's max_position_embeddings %d: "
                 "lower max_length",
                 longest, run->hf.max_position);
    return plan_steps(run) && choose_budget(run);
}

static bool make_weights(struct train_run *run)
{
    struct vk_device *d = run->device;
    const struct model_layout *layout = &run->layout;
    return model_weights_init(&run->policy, d, layout, run->precision.weights, "policy") &&
           (!run->has_ref || run->offloaded ||
            model_weights_init(&run->ref, d, layout, run->precision.weights, "reference")) &&
           model_weights_init(&run->grad, d, layout, run->precision.gradient, "gradient") &&
           (run->config->optim == TRAIN_ADAMW_8BIT
                ? train_codes_init(&run->codes, d, layout)
                : model_weights_init(&run->m, d, layout, MODEL_F32, "first moment") &&
                      model_weights_init(&run->v, d, layout, MODEL_F32, "second moment"));
}

static bool load_start(struct train_run *run)
{
    const struct train_config *c = run->config;
    if (!model_weights_load(&run->policy, c->model_name_or_path, "")) return false;
    if (!run->has_ref) return true;
    struct model_weights *ref = run->offloaded ? &run->offload.visitor : &run->ref;
    return (c->ref_model_name_or_path ? model_weights_load(ref, c->ref_model_name_or_path, "")
                                      : model_weights_copy(ref, &run->policy)) &&
           (!run->offloaded || train_offload_keep(&run->offload));
}

struct model_weights *train_run_reference(struct train_run *run)
{
    if (!run->offloaded) return &run->ref;
    return train_offload_bring(&run->offload) ? &run->offload.visitor : NULL;
}

// Scores the rows that this run will see under the start, which the policy still is.
static bool score_start(struct train_run *run)
{
    if (run->config->method == TRAIN_SFT) return true;
    size_t rows = run->train.rows.count;
    bool *seen = MEM_ARRAY(bool, rows);
    uint32_t *order = MEM_ARRAY(uint32_t, rows);
    size_t count = 0;
    for (int64_t step = 0; step < run->total_steps && count < rows; step++) {
        const uint32_t *step_rows;
        uint32_t n = train_run_rows(run, step, &step_rows);
        for (uint32_t i = 0; i < n; i++)
            if (!seen[step_rows[i]]) seen[step_rows[i]] = true, order[count++] = step_rows[i];
    }
    log_info("scoring %zu training rows and %zu evaluation rows under the start, for kl/sft and "
             "rewards/sft_margins",
             count, run->eval.rows.count);
    bool ok = train_scores_make(&run->start_train, run->stepper, &run->train, order, count,
                                run->rows_at_once, "training rows", &run->stopped);
    mem_free(seen);
    mem_free(order);
    size_t eval_rows = run->eval.rows.count;
    if (!ok || !eval_rows || run->stopped) return ok;
    order = MEM_ARRAY(uint32_t, eval_rows);
    for (uint32_t i = 0; i < eval_rows; i++)
        order[i] = i;
    ok = train_scores_make(&run->start_eval, run->stepper, &run->eval, order, eval_rows,
                           run->rows_at_once, "evaluation rows", &run->stopped);
    mem_free(order);
    return ok;
}

struct train_stepper_params train_run_stepper_params(struct train_run *run)
{
    bool coded = run->config->optim == TRAIN_ADAMW_8BIT;
    return (struct train_stepper_params){.device = run->device,
                                         .config = run->config,
                                         .precision = run->precision,
                                         .layout = &run->layout,
                                         .policy = &run->policy,
                                         .ref = !run->has_ref    ? NULL
                                                : run->offloaded ? &run->offload.visitor
                                                                 : &run->ref,
                                         .offload = run->offloaded ? &run->offload : NULL,
                                         .grad = &run->grad,
                                         .m = coded ? NULL : &run->m,
                                         .v = coded ? NULL : &run->v,
                                         .codes = coded ? &run->codes : NULL,
                                         .recompute = run->recompute,
                                         .tokens = run->token_budget,
                                         .rows = run->rows_at_once};
}

bool train_run_init(struct train_run *run, const struct train_config *config,
                    const struct train_hooks *hooks)
{
    *run = (struct train_run){
        .config = config, .hooks = hooks, .order_epoch = -1, .state = {.eval_step = -1}};
    run->rules = train_metric_rules_of(config);
    log_keep(); // the output folder is opened only when all has been found to be in order
    run->has_ref = train_config_has_reference(config);
    run->ref_is_start = run->has_ref && !config->ref_model_name_or_path;
    if (!load_files(run) || !train_dir_prepare(run)) return false;
    run->device = hooks->open_device(hooks->ctx);
    if (!run->device) return false;
    struct model_config model = model_config_from_hf(&run->hf);
    if (!model_layout_init(&run->layout, &model, vk_max_span_bytes(run->device)) ||
        !train_precision_choose(config, run->device, &run->precision) || !train_plan_check(run) ||
        !make_weights(run))
        return false;
    if (run->offloaded && !train_offload_init(&run->offload, &run->grad, run->precision.weights))
        return false;
    run->order = MEM_ARRAY(uint32_t, run->train.rows.count);
    struct train_stepper_params params = train_run_stepper_params(run);
    run->stepper = train_stepper_create(&params);
    if (!run->stepper || !train_generation_open(&run->generation, run->device, &run->policy))
        return false;
    if (run->resume_dir) return train_checkpoint_load(run) && train_dir_open(run);
    return load_start(run) && train_dir_open(run) && score_start(run);
}

void train_run_finish(struct train_run *run)
{
    train_stepper_destroy(run->stepper);
    train_generation_finish(&run->generation);
    train_offload_finish(&run->offload);
    struct model_weights *all[] = {&run->policy, &run->ref, &run->grad, &run->m, &run->v};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        model_weights_finish(all[i]);
    train_codes_finish(&run->codes);
    model_layout_finish(&run->layout);
    train_scores_finish(&run->start_train);
    train_scores_finish(&run->start_eval);
    data_finish(&run->train);
    data_finish(&run->eval);
    hf_tokenizer_destroy(run->tokenizer);
    mem_free(run->order);
    mem_free(run->resume_dir);
    mem_free(run->best_dir);
    log_close_file();
}

uint32_t train_run_rows(struct train_run *run, int64_t step, const uint32_t **rows)
{
    int64_t epoch = step / run->steps_per_epoch;
    size_t total = run->train.rows.count;
    if (epoch != run->order_epoch) {
        struct rng rng =
            rng_begin((uint64_t)run->config->seed, RNG_SHUFFLE + ((uint64_t)epoch << 8));
        rng_permutation(&rng, run->order, total);
        run->order_epoch = epoch;
    }
    size_t first = (size_t)(step % run->steps_per_epoch) * run->rows_per_step;
    *rows = run->order + first;
    return (uint32_t)(total - first < run->rows_per_step ? total - first : run->rows_per_step);
}
