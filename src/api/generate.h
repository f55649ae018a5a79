// Continuing prompts with a loaded model.
#ifndef TRDPO_API_GENERATE_H
#define TRDPO_API_GENERATE_H

#include "api/model.h"
#include "model/sample.h"

struct api_generation {
    const struct hf_ids *prompts; // token ids, none of them empty (hf/prompt.h)
    size_t count;
    struct model_sampling sampling;
    uint32_t max_new_tokens; // at least 1
    // Called with the text of a prompt's continuation as it comes, whole characters; and once with
    // each token drawn. False stops all. May be NULL.
    bool (*on_text)(void *ctx, size_t prompt, const char *text, size_t len);
    bool (*on_token)(void *ctx, size_t prompt, int32_t id);
    // Called when a continuation has ended: at an end token (which is neither text nor a token of
    // the above), or else by its length. False stops all. May be NULL.
    bool (*on_end)(void *ctx, size_t prompt, bool eos);
    void *ctx;
};

// `m` is planned (api_model_plan) but not loaded yet, or loaded: loads it if need be. A callback
// that stopped it leaves its own error, if it is one: true is returned if it left none.
bool api_generate(struct api_model *m, const struct api_generation *how);

#endif
