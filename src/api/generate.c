#include "api/generate.h"

#include "api/text.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/generator.h"

#define SEQUENCES 8

struct generation {
    const struct api_generation *how;
    struct api_stream *streams; // [count]
};

static bool give_text(const struct api_generation *how, size_t prompt, struct str *text)
{
    bool ok = !how->on_text || !text->len || how->on_text(how->ctx, prompt, text->data, text->len);
    str_finish(text);
    return ok;
}

static bool on_token(void *ctx, size_t prompt, int32_t id)
{
    struct generation *g = ctx;
    struct str text = {0};
    api_stream_put(&g->streams[prompt], id, &text);
    bool ok = !g->how->on_token || g->how->on_token(g->how->ctx, prompt, id);
    return give_text(g->how, prompt, &text) && ok;
}

static bool on_end(void *ctx, size_t prompt, bool eos)
{
    struct generation *g = ctx;
    struct str text = {0};
    api_stream_end(&g->streams[prompt], &text);
    bool ok = give_text(g->how, prompt, &text);
    return ok && (!g->how->on_end || g->how->on_end(g->how->ctx, prompt, eos));
}

static struct model_generator_params choose_size(const struct api_model *m,
                                                 const struct api_generation *how)
{
    size_t longest = 0;
    for (size_t i = 0; i < how->count; i++)
        if (how->prompts[i].count > longest) longest = how->prompts[i].count;
    CHECK(longest > 0 && longest + how->max_new_tokens <= UINT32_MAX);
    size_t length = longest + how->max_new_tokens;
    if (length > (size_t)m->hf.max_position)
        log_warn("prompt and continuation may take %zu tokens, more than the model's "
                 "max_position_embeddings %d",
                 length, m->hf.max_position);
    return (struct model_generator_params){
        .sequences = how->count < SEQUENCES ? (uint32_t)how->count : SEQUENCES,
        .max_length = (uint32_t)length};
}

static bool run(struct api_model *m, const struct api_generation *how, struct model_generator *g)
{
    int32_t eos[8];
    uint32_t eos_count = 0;
    for (int i = 0; i < m->hf.eos_count; i++)
        eos[eos_count++] = m->hf.eos[i];
    if (!eos_count && hf_tokenizer_eos(m->tokenizer) >= 0)
        eos[eos_count++] = hf_tokenizer_eos(m->tokenizer);
    struct model_prompt *prompts = MEM_ARRAY(struct model_prompt, how->count);
    struct generation gen = {how, MEM_ARRAY(struct api_stream, how->count)};
    for (size_t i = 0; i < how->count; i++) {
        prompts[i] = (struct model_prompt){how->prompts[i].items, (uint32_t)how->prompts[i].count};
        gen.streams[i].tokenizer = m->tokenizer;
    }
    err_clear(); // what is left there afterwards is a callback's reason to stop
    bool ok = model_generate(g, prompts, how->count,
                             &(struct model_generation){.sampling = how->sampling,
                                                        .max_new_tokens = how->max_new_tokens,
                                                        .eos = eos,
                                                        .eos_count = eos_count,
                                                        .on_token = on_token,
                                                        .on_end = on_end,
                                                        .ctx = &gen});
    for (size_t i = 0; i < how->count; i++)
        api_stream_finish(&gen.streams[i]);
    mem_free(gen.streams);
    mem_free(prompts);
    return ok && err_current() == ERR_NONE;
}

bool api_generate(struct api_model *m, const struct api_generation *how)
{
    if (!how->count) return true;
    CHECK(how->max_new_tokens > 0 && m->device);
    struct model_generator_params size = choose_size(m, how);
    bool loaded = m->weights.layout != NULL;
    uint64_t bytes = model_generator_bytes(&m->layout, m->device, &size) +
                     (loaded ? 0 : model_weights_bytes(&m->layout, MODEL_F32));
    if (!api_check_memory(m->device, bytes, "this generation", "lower max_new_tokens") ||
        (!loaded && !api_model_load(m)))
        return false;
    struct model_generator *g = model_generator_create(m->device, &m->weights, &size);
    bool ok = g && run(m, how, g);
    model_generator_destroy(g);
    return ok;
}
