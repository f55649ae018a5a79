// What is measured of a small model: texts sampled from it, how far they are from those of another
// model, how often it ranks pairs rightly.
#ifndef TRDPO_CLI_LAB_PROBE_H
#define TRDPO_CLI_LAB_PROBE_H

#include "api/model.h"
#include "base/str.h"

// Opens DIR/NAME and brings its weights to the device. api_model_finish() is due after a failure
// too.
bool lab_open(struct api_model *m, struct vk_device *device, const char *dir, const char *name);

// Prompts and what a model made of them.
struct lab_samples {
    uint32_t count, capacity;
    struct hf_ids *prompts; // [count]
    struct hf_ids *ids;     // [count] tokens drawn, with the end token where it was drawn
    struct str *texts;      // [count] the same as text, without the end token
    bool *ended;            // [count] by the end token, not by its length
};

// Room for `capacity` prompts; a prompt added to them; all of it freed (a zeroed struct is
// accepted).
void lab_samples_init(struct lab_samples *s, uint32_t capacity);
bool lab_samples_add(struct lab_samples *s, const struct hf_tokenizer *tokenizer,
                     const struct str *prompt);
void lab_samples_finish(struct lab_samples *s);

// Samples a continuation of every prompt at temperature 1. What is drawn for a prompt depends on
// the model, the seed and the prompt's place alone. Once for a struct.
bool lab_sample(struct lab_samples *s, struct api_model *m, uint64_t seed, uint32_t max_tokens);

// Estimate of the KL divergence of the model that made the samples to another, in nats: the mean
// over the samples of log p(y) - log p_other(y), y being the tokens drawn.
bool lab_kl(double *kl, const struct lab_samples *s, const struct api_model *model,
            const struct api_model *other);

// Share of the pairs in a file that `model` ranks as they are, by its reward against `start`.
bool lab_accuracy(double *accuracy, const char *path, const struct api_model *model,
                  const struct api_model *start);

#endif
