// The state of a training run, shared by the files of this layer that set it up, drive it, save it.
#ifndef TRDPO_TRAIN_RUN_H
#define TRDPO_TRAIN_RUN_H

#include "hf/tokenizer.h"
#include "model/weights.h"
#include "train/best.h"
#include "train/config.h"
#include "train/generation.h"
#include "train/metrics.h"
#include "train/precision.h"
#include "train/schedule.h"
#include "train/scores.h"
#include "train/stepper.h"
#include "train/trainer.h"

// What changes from step to step and a checkpoint must bring back.
struct train_state {
    int64_t step;       // optimiser steps done
    int64_t num_tokens; // tokens of the rows done, prompt counted with each completion
    int64_t ref_updates;
    // Of the loss scale, 0 where there is none (struct step_results).
    double grad_scale;
    int64_t steady, skipped;
    int64_t eval_step;           // of the last evaluation, -1: none yet
    struct train_best best;      // if evaluations are compared
    struct train_metrics window; // since the last logged line
};

struct train_run {
    const struct train_config *config;
    const struct train_hooks *hooks;
    struct train_metric_rules rules;
    int64_t skipped_in_row; // steps that the loss scale left out, up to now
    bool stop;              // a hook asked to end the run
    bool stopped;           // the run has ended early, by that or by a stop signal
    struct vk_device *device;
    struct hf_config hf;
    struct hf_tokenizer *tokenizer;
    struct data_set train, eval; // eval.rows.count 0: none
    struct model_layout layout;
    struct model_weights policy, ref, grad;
    struct model_weights m, v; // AdamW's moments; with optim: adamw_8bit they are
    struct train_codes codes;  // these
    struct train_precision precision;
    bool has_ref;
    bool recompute;                 // gradient checkpointing
    bool offloaded;                 // the reference visits the device; `ref` is empty
    struct train_offloaded offload; // of such a reference
    struct train_visits {
        int64_t count;
        double seconds;
    } visits;
    bool ref_is_start; // reference and policy began as the same model
    struct train_stepper *stepper;
    struct train_scores start_train, start_eval;
    struct train_schedule_plan schedule;
    uint32_t rows_per_step, rows_at_once; // the second also as many as an evaluation takes at once
    uint32_t token_budget;
    int64_t steps_per_epoch, total_steps;
    uint32_t *order; // permutation of the epoch in `order_epoch`
    int64_t order_epoch;
    struct train_state state;
    char *resume_dir; // checkpoint to go on from, or NULL
    char *best_dir;   // checkpoint of state.best, or NULL
    struct train_generation generation;
    // For rates and the time left: sys_seconds() and tokens at the start and at the last logged
    // line.
    double started, time_at_log;
    int64_t first_step, tokens_at_start, tokens_at_log;
};

// ---- trainer_setup.c ----
// Reads all files, then opens the device, loads weights (or a checkpoint), opens the output folder
// and scores the start. A stop signal while scoring sets run->stopped, which is no failure.
// train_run_finish() is due after a failure too; it leaves the device to its owner.
bool train_run_init(struct train_run *run, const struct train_config *config,
                    const struct train_hooks *hooks);
void train_run_finish(struct train_run *run);
// The stepper's parameters. Before there are weights they serve for its size alone.
struct train_stepper_params train_run_stepper_params(struct train_run *run);
// The reference on the device, wherever it lives; NULL on failure.
struct model_weights *train_run_reference(struct train_run *run);
// Rows of optimiser step `step` (from 0): writes them and returns how many there are.
uint32_t train_run_rows(struct train_run *run, int64_t step, const uint32_t **rows);

// ---- plan.c: memory before the first allocation ----
// What a run needs, and what it may do about it. Bytes.
struct train_plan_needs {
    uint64_t total;     // with nothing done
    uint64_t reference; // less where it only visits the device; 0: the method has none
    bool homeless;      // the gradient has no room for its visits
    uint64_t kept;      // less with gradient checkpointing
    uint64_t available;
    int64_t ref_offload, gradient_checkpointing; // the keys
    bool visits_pay;                             // a reference that visits the device is worthwhile
};
struct train_plan_choice {
    bool offloaded, recompute;
};
// What the keys ask for; what they leave open, as little as fits, the cheapest first. Where nothing
// fits, all that may be done.
struct train_plan_choice train_plan_choose(const struct train_plan_needs *needs);

// Decides whether the reference stays on the device and whether activations do (run->offloaded,
// run->recompute), prints bytes by arena and refuses, with advice, what the device cannot hold.
bool train_plan_check(struct train_run *run);

// ---- window.c: a reference that visits the device ----
// Optimiser steps for which the reference stands still, from an update to the next one.
int64_t train_window_length(const struct train_run *run);
// Before step `index` (from 0) is queued: scores its rows and those of the steps behind it, as far
// as the reference stands still and the scores fit. Nothing to do where the reference stays.
bool train_window_fill(struct train_run *run, int64_t index);
// Logs how often the reference came and what that cost.
void train_window_report(const struct train_run *run);

// ---- example.c: one decoded row with its scored tokens marked ----
void train_show_example(const struct train_run *run);

// ---- run_evaluate.c: evaluations between steps ----
// True if one is due at `step` and has not been done.
bool train_evaluation_due(const struct train_run *run, int64_t step);
// Evaluates at run->state.step, reports it, writes generations.jsonl and compares with the best so
// far; *improved: this one is the best, and its checkpoint is to be saved. A stop signal sets
// run->stopped: it is then as if the evaluation had not been.
bool train_run_evaluate(struct train_run *run, bool *improved);

// ---- best_model.c: the checkpoint of the best evaluation ----
// err_user if metric_for_best_model needs rows of a class that the eval dataset lacks.
bool train_best_prepare(const struct train_run *run);
// Compares an evaluation with the best so far, if the run asks for it. True: it is the best.
bool train_best_take(struct train_run *run, const struct train_metrics *metrics);
// On resume: finds the checkpoint of run->state.best, which stood at `recorded` (may be NULL).
// err_user if it is needed and gone.
bool train_best_find(struct train_run *run, const char *recorded);
// At the end, if load_best_model_at_end asks for it: makes the best model the policy, and says so.
bool train_best_load(struct train_run *run);

// ---- run_dir.c: the output folder ----
// Refuses a folder that holds a run unless resuming or overwriting, and one whose contents the run
// starts from; finds the checkpoint to resume (run->resume_dir). Changes nothing.
bool train_dir_prepare(struct train_run *run);
// Creates the folder, removes what is to be replaced and what a killed run left unfinished, opens
// the log, writes resolved_config.yaml and drops the lines of metrics.jsonl and generations.jsonl
// that come after run->state. To be called when nothing is left that the user's files could fail
// at.
bool train_dir_open(struct train_run *run);
// Appends text and a newline to the file `name` of the folder and flushes it.
bool train_dir_append(const struct train_run *run, const char *name, const char *text);
// Checkpoint folders of output_dir by step, ascending: numbers in *steps (mem_free).
bool train_dir_checkpoints(const char *output_dir, int64_t **steps, size_t *count);
// Removes a checkpoint if it is there. It leaves its name first, so that a kill in between does not
// leave half a checkpoint under it.
bool train_dir_remove_checkpoint(const char *output_dir, int64_t step);

// ---- checkpoint.c ----
// Writes output_dir/checkpoint-STEP, whole or not at all, then removes those beyond
// save_total_limit.
bool train_checkpoint_save(struct train_run *run);
// Brings weights, optimiser, reference, scores and state back from run->resume_dir.
bool train_checkpoint_load(struct train_run *run);
// The trained model into output_dir itself.
bool train_save_model(struct train_run *run, const char *dir);

#endif
