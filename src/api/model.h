// A model folder opened for use: configuration, tokenizer, and, once a device is there, weights.
#ifndef TRDPO_API_MODEL_H
#define TRDPO_API_MODEL_H

#include "hf/config.h"
#include "hf/prompt.h"
#include "model/weights.h"

struct api_model {
    char *dir;
    struct hf_config hf;
    struct hf_tokenizer *tokenizer;
    struct hf_prompter prompter;  // set by api_model_read()
    struct model_layout layout;   // zeroed until api_model_plan()
    struct model_weights weights; // zeroed until api_model_load()
    struct vk_device *device;
};

// Reads config.json and the tokenizer and checks that they belong together. api_model_finish() is
// due after a failure too. The second reads config.json alone: for a reference, whose folder needs
// no tokenizer.
bool api_model_read(struct api_model *m, const char *dir);
bool api_model_read_config(struct api_model *m, const char *dir);

// Lays the weights out for `device` without loading them: what memory plans need.
bool api_model_plan(struct api_model *m, struct vk_device *device);

// Brings the weights of the folder to the device that the plan was made for.
bool api_model_load(struct api_model *m);

void api_model_finish(struct api_model *m); // accepts a zeroed struct

// True if the two have the same shape, so that one can be the other's reference.
bool api_model_same_shape(const struct api_model *a, const struct api_model *b);

// Fails with `advice` (err_user) if `bytes` are more than the device has free. `what` begins the
// message: "this evaluation".
bool api_check_memory(const struct vk_device *device, uint64_t bytes, const char *what,
                      const char *advice);

#endif
