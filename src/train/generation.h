// Texts that the policy writes in evaluations, from a file of prompts.
#ifndef TRDPO_TRAIN_GENERATION_H
#define TRDPO_TRAIN_GENERATION_H

#include "hf/config.h"
#include "hf/prompt.h"
#include "model/generator.h"
#include "train/config.h"

#define TRAIN_TEXTS_SHOWN 2

struct train_generation {
    const struct train_config *config;
    const struct hf_config *hf;
    const struct hf_tokenizer *tokenizer;
    struct hf_prompts prompts; // none: nothing is generated
    struct model_generator *generator;
    struct str shown[TRAIN_TEXTS_SHOWN]; // of the last run, shortened for the log
};

// Reads eval_prompts, if it is set. err_user if it holds no prompt, cannot be read, or has one that
// with eval_max_new_tokens goes beyond the model's positions. The pointers must outlive `g`;
// train_generation_finish() is due after a failure too.
bool train_generation_read(struct train_generation *g, const struct train_config *config,
                           const struct hf_config *hf, const struct hf_tokenizer *tokenizer);
void train_generation_finish(struct train_generation *g); // accepts a zeroed struct

// Device memory for it, 0 if there are no prompts. False (err_user) if the device cannot hold one
// of its arrays in one piece.
bool train_generation_bytes(const struct train_generation *g, const struct model_layout *layout,
                            const struct vk_device *device, uint64_t *bytes);

// Takes that memory. `policy` must outlive `g`, whose texts are those of its current values.
bool train_generation_open(struct train_generation *g, struct vk_device *device,
                           const struct model_weights *policy);

// Continues every prompt, greedily or drawing at eval_temperature: draws depend on seed and on the
// number of the prompt, not on the step. Appends one JSON object a line to `lines`, the last
// without its newline: step, prompt, completion. A stop signal sets *stopped and leaves `lines` as
// it was, which is no failure.
bool train_generation_run(struct train_generation *g, int64_t step, struct str *lines,
                          bool *stopped);

// Logs the first texts of the last train_generation_run().
void train_generation_show(const struct train_generation *g);

#endif
