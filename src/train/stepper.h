// The device's side of training: an optimiser step, an evaluation, a scoring sweep.
//
// Commands are recorded once for a fixed token budget. A step's rows are packed into as many passes
// as they need; nothing waits for the device until results are collected, one step late.
#ifndef TRDPO_TRAIN_STEPPER_H
#define TRDPO_TRAIN_STEPPER_H

#include "../shaders/args.h"
#include "data/pack.h"
#include "model/forward.h"
#include "train/codes.h"
#include "train/config.h"
#include "train/offload.h"
#include "train/precision.h"

struct train_stepper;

// What a method's rows are.
enum data_kind train_data_kind(const struct train_config *config);

struct train_stepper_params {
    struct vk_device *device;
    const struct train_config *config; // method, loss and optimiser settings
    struct train_precision precision;  // units and loss scale; zeroed: fp32, none
    const struct model_layout *layout;
    struct model_weights *policy;
    // The reference, or the arena that it visits. NULL: the method has none; or, in evaluation, the
    // policy takes its place.
    struct model_weights *ref;
    struct train_offloaded *offload; // where the reference only visits `ref`, the gradient's arena
    struct model_weights *grad;      // NULL: no training, scoring and evaluation only
    struct model_weights *m, *v;     // of training: AdamW's moments, in fp32
    struct train_codes *codes;       // or these, in 8 bits
    bool recompute;                  // gradient checkpointing: less memory, the same bits
    uint32_t tokens;                 // T of a pass; holds the longest row
    uint32_t rows;                   // rows of a step, or of a call of evaluate or score, at most
};

// Bytes of the arenas beside the weights.
#define TRAIN_STAGING_BYTES ((uint64_t)64 << 20) // what the device layer takes beside them
struct train_stepper_sizes {
    uint64_t activations; // and scratch
    uint64_t apart;       // the same, if no two arrays of it shared memory
    uint64_t step_data;   // and host buffers
};
// Only sizes are computed; of the weights in `params` only their being NULL or not matters.
// err_user if one array is more than the device can hold in one piece.
bool train_stepper_bytes(const struct train_stepper_params *params,
                         struct train_stepper_sizes *sizes);

// Everything `params` points to must outlive the stepper, which changes the weights given.
struct train_stepper *train_stepper_create(const struct train_stepper_params *params);
void train_stepper_destroy(struct train_stepper *st); // NULL accepted

// What one step is told beside its rows.
struct train_step {
    int64_t number; // from 1: AdamW's t
    double learning_rate;
    bool update_reference;
};

// A reference that only visits the device scores the rows of coming steps at one visit, while it
// stands still: a window. Each call scores the rows of one more step that the window has not yet;
// the steps must come to train_stepper_step() in the same order. A step's packs are scored as they
// will be trained on, so their log-probs are those that it would have found itself, bit for bit; a
// row that comes again keeps those of its first time. Blocks.
bool train_stepper_score_reference(struct train_stepper *st, const struct data_set *set,
                                   const uint32_t *order, uint32_t count);
// Forgets the last window, all of whose steps have been trained on: the reference has moved, or the
// window became too large.
void train_stepper_window_begin(struct train_stepper *st);
// Steps scored and not trained on yet; bytes of the window in host memory.
uint32_t train_stepper_window_steps(const struct train_stepper *st);
uint64_t train_stepper_window_bytes(const struct train_stepper *st);

// Queues a step over rows `order[0..count)` of `set`: reference and policy forward, loss, backward
// for every pass, then clipping, AdamW and the reference update. At most two steps may be queued
// without being collected.
bool train_stepper_step(struct train_stepper *st, const struct data_set *set, const uint32_t *order,
                        uint32_t count, const struct train_step *step);

// What a row came to: pairs fill `pair`, texts (SFT) `sequence`, KTO's rows `unpaired`.
union train_row_metrics {
    struct pair_metrics pair;
    struct sequence_metrics sequence;
    struct unpaired_metrics unpaired;
};

// Waits for the oldest step not collected yet. `rows` receives one entry for each of its rows, in
// the order they were given.
bool train_stepper_collect(struct train_stepper *st, union train_row_metrics *rows,
                           struct step_results *results);

// Losses and metrics of rows without training on them: one batch, where the loss looks at batches.
// Blocks.
bool train_stepper_evaluate(struct train_stepper *st, const struct data_set *set,
                            const uint32_t *order, uint32_t count, union train_row_metrics *rows);

// Sums of the policy's log-probs: sums[i * sequences + j] for completion j of row order[i], with
// two sequences a row for pairs, one otherwise. Blocks.
bool train_stepper_score(struct train_stepper *st, const struct data_set *set,
                         const uint32_t *order, uint32_t count, float *sums);

// What the device counts from step to step, to go on from: ref_updates, and with a loss scale
// grad_scale, steady and skipped. Before the first step.
bool train_stepper_set_counts(struct train_stepper *st, const struct step_results *counts);

// Scored positions of a row.
uint32_t train_row_scored(const struct data_row *row, bool score_prompt);

#endif
