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

// Reference log-probs of coming steps, in the order in which their packs will need them.
struct stepper_window {
    struct window_values ARRAY_OF(float) values;
    struct window_steps ARRAY_OF(uint32_t) steps; // scored positions of each step in the window
    size_t at;                                    // values taken
    size_t step;                                  // steps taken
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
    uint32_t queued, collected; // steps
    struct stepper_window window;
    uint32_t *pack_of, *pack_rows;
};

// Bytes of a step's results, those of its rows included.
uint64_t stepper_results_bytes(const struct train_stepper *st);

// Whether prompts are scored too, as in SFT on whole texts.
bool stepper_scores_prompt(const struct train_stepper *st);

// ---- stepper_record.c ----
void stepper_create_sequences(struct train_stepper *st);
void stepper_destroy_sequences(struct train_stepper *st);

#endif
