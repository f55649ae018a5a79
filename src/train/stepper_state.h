// The stepper's inside, shared by the files that set it up, record its commands and run it.
#ifndef TRDPO_TRAIN_STEPPER_STATE_H
#define TRDPO_TRAIN_STEPPER_STATE_H

#include "train/stepper.h"
#include "vk/sequence.h"

#define STEPPER_SLOTS 2        // steps in flight
#define STEPPER_RESULTS_AT 256 // bytes from the results of a step to those of its rows

// A queued step whose results have not been collected.
struct stepper_flight {
    uint64_t ticket;
    uint32_t count;
    uint32_t *place; // [rows] position in rows_out of each row given
};

// Reference log-probs of coming steps, in host memory. A row is scored once, however often it
// comes; KTO's mismatched rows are of their batch alone and stand in the order in which packs need
// them.
struct stepper_window {
    struct window_values ARRAY_OF(float) values;
    size_t *row_at; // [rows of the dataset] 1 + where a row's values begin; 0: not scored
    struct window_others ARRAY_OF(size_t) others; // where the values of mismatched packs begin
    size_t other;                                 // packs of them taken
    uint32_t steps, taken;                        // scored; trained on
};

struct train_stepper {
    struct train_stepper_params p;
    enum data_kind kind;
    bool training, has_ref, reference_free;
    bool by_batch;   // packs hold rows of one batch only, as a loss looks at the batch
    bool batch_wide; // a pair's loss depends on the sums of the batch's other pairs
    bool kl;         // KTO: log-ratios of mismatched rows come first
    struct pref_settings settings; // of pairs
    uint32_t unpaired_type;        // UNPAIRED_KTO, UNPAIRED_APO_ZERO
    struct vk_arena act_arena, step_arena, readback;
    struct model_batch batch;
    struct model_activations act;
    struct model_pass pass;
    struct data_pack pack;
    vk_addr rope, ref_logp, values, settings_at, results, rows_out, sums, partial, decay;
    vk_addr batch_sums, kl_ratios; // 0 where the loss does not ask for them
    vk_addr readback_slot[STEPPER_SLOTS];
    uint64_t row_bytes; // of an entry of rows_out
    struct vk_seq *ref_forward, *sums_pass, *kl_pass, *train_pass, *eval_pass, *score_pass;
    struct vk_seq *optimise, *ref_update, *finish[STEPPER_SLOTS];
    struct stepper_finish {
        struct train_stepper *st;
        int slot;
    } finish_ctx[STEPPER_SLOTS];
    struct stepper_flight flights[STEPPER_SLOTS];
    uint32_t queued, collected;         // steps
    uint32_t skipped;                   // steps, of those collected
    struct stepper_window window;       // of coming steps, where the reference visits
    struct stepper_window batch_window; // of a batch whose packs are run twice
    uint32_t *pack_of, *pack_rows;
};

// Bytes of a step's results, those of its rows included.
uint64_t stepper_results_bytes(const struct train_stepper *st);

// Whether prompts are scored too, as in SFT on whole texts.
bool stepper_scores_prompt(const struct train_stepper *st);

// ---- stepper_window.c ----
void stepper_window_clear(struct stepper_window *w); // frees it
// Whether all these rows are scored.
bool stepper_window_has(const struct stepper_window *w, const uint32_t *order, uint32_t count);
// Keeps what the reference made of the pack in flight, which is of rows of `set`, or of mismatched
// ones. Blocks.
bool stepper_window_put(struct train_stepper *st, struct stepper_window *w,
                        const struct data_set *set, bool others);
// Sends what is kept of the pack in flight.
bool stepper_window_take(struct train_stepper *st, struct stepper_window *w, bool others);

// ---- stepper_record.c ----
void stepper_create_sequences(struct train_stepper *st);
void stepper_destroy_sequences(struct train_stepper *st);

#endif
