// Text generation with a key/value cache: several sequences at once, prompts fed in chunks.
#ifndef TRDPO_MODEL_GENERATOR_H
#define TRDPO_MODEL_GENERATOR_H

#include "model/sample.h"
#include "model/weights.h"

struct model_generator;

struct model_generator_params {
    uint32_t sequences;  // decoded side by side; 0: 8
    uint32_t max_length; // prompt and continuation of a sequence together, tokens
};

// Device memory of a generator, for memory plans; 0 if one of its arrays is more than the device
// can hold in one piece (err_user: what to lower).
uint64_t model_generator_bytes(const struct model_layout *layout, const struct vk_device *device,
                               const struct model_generator_params *params);

// `weights` (and their layout) must outlive the generator; their current values are used by each
// call, so that one generator can show a model before and after training.
struct model_generator *model_generator_create(struct vk_device *device,
                                               const struct model_weights *weights,
                                               const struct model_generator_params *params);
void model_generator_destroy(struct model_generator *g); // NULL accepted

struct model_prompt {
    const int32_t *ids; // at least one token, below max_length
    uint32_t count;
};

struct model_generation {
    struct model_sampling sampling;
    uint32_t max_new_tokens;
    const int32_t *eos; // any of these ends a sequence and is not handed on
    uint32_t eos_count;
    // Called for each token as it is drawn, with the number of its prompt; returning false stops
    // all.
    bool (*on_token)(void *ctx, size_t prompt, int32_t id);
    // Called once when a sequence has ended; `eos`: by an end token, otherwise by its length. False
    // stops all. May be NULL.
    bool (*on_end)(void *ctx, size_t prompt, bool eos);
    void *ctx;
};

// Continues every prompt. A sequence ends at an end token, after max_new_tokens, or at max_length.
// err_user when the logits are not finite (damaged weights); err_device when the device fails.
bool model_generate(struct model_generator *g, const struct model_prompt *prompts, size_t count,
                    const struct model_generation *how);

#endif
