#include "train/generation.h"

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/system.h"

#include <string.h>

#define SEQUENCES 8 // side by side
#define SHOWN_CHARACTERS 100

// ---- set-up ----

static bool check_lengths(const struct train_generation *g, const char *dir)
{
    const struct train_config *c = g->config;
    for (size_t i = 0; i < g->prompts.ids.count; i++) {
        size_t tokens = g->prompts.ids.items[i].count;
        if (tokens + (size_t)c->eval_max_new_tokens <= (size_t)g->hf->max_position) continue;
        return err_user("eval_prompts: prompt %zu of %s takes %zu tokens, which with "
                        "eval_max_new_tokens (%lld) is more than the %d positions of %s: shorten "
                        "it, or lower eval_max_new_tokens",
                        i + 1, c->eval_prompts, tokens, (long long)c->eval_max_new_tokens,
                        g->hf->max_position, dir);
    }
    return true;
}

bool train_generation_read(struct train_generation *g, const struct train_config *config,
                           const struct hf_config *hf, const struct hf_tokenizer *tokenizer)
{
    *g = (struct train_generation){.config = config, .hf = hf, .tokenizer = tokenizer};
    if (!config->eval_prompts) return true;
    struct hf_prompter prompter = {.tokenizer = tokenizer, .dir = config->model_name_or_path};
    bool ok = hf_prompts_read(&g->prompts, &prompter, config->eval_prompts, false) ||
              err_context("eval_prompts");
    hf_prompter_finish(&prompter);
    return ok && check_lengths(g, config->model_name_or_path);
}

void train_generation_finish(struct train_generation *g)
{
    model_generator_destroy(g->generator);
    hf_prompts_finish(&g->prompts);
    for (int i = 0; i < TRAIN_TEXTS_SHOWN; i++)
        str_finish(&g->shown[i]);
    *g = (struct train_generation){0};
}

static struct model_generator_params choose_size(const struct train_generation *g)
{
    size_t count = g->prompts.ids.count, longest = 0;
    for (size_t i = 0; i < count; i++)
        if (g->prompts.ids.items[i].count > longest) longest = g->prompts.ids.items[i].count;
    return (struct model_generator_params){
        .sequences = count < SEQUENCES ? (uint32_t)count : SEQUENCES,
        .max_length = (uint32_t)longest + (uint32_t)g->config->eval_max_new_tokens,
    };
}

bool train_generation_bytes(const struct train_generation *g, const struct model_layout *layout,
                            const struct vk_device *device, uint64_t *bytes)
{
    *bytes = 0;
    if (!g->prompts.ids.count) return true;
    struct model_generator_params size = choose_size(g);
    *bytes = model_generator_bytes(layout, device, &size);
    return *bytes || err_context("eval_prompts");
}

bool train_generation_open(struct train_generation *g, struct vk_device *device,
                           const struct model_weights *policy)
{
    if (!g->prompts.ids.count) return true;
    struct model_generator_params size = choose_size(g);
    g->generator = model_generator_create(device, policy, &size);
    return g->generator != NULL;
}

// ---- running ----

struct writing {
    struct hf_ids *texts; // for each prompt
    size_t count, done;
    bool stopped;
};

static bool on_token(void *ctx, size_t prompt, int32_t id)
{
    struct writing *w = ctx;
    ARRAY_PUSH(&w->texts[prompt], id);
    if (sys_stop_signal()) w->stopped = true;
    return !w->stopped;
}

static bool on_end(void *ctx, size_t prompt, bool eos)
{
    struct writing *w = ctx;
    (void)prompt, (void)eos;
    log_progress("generating: %zu of %zu texts", ++w->done, w->count);
    return true;
}

// A JSON string shortened to one line of the log.
static void append_short(struct str *out, const char *json, size_t len)
{
    size_t at = 0, characters = 0;
    while (at < len && characters < SHOWN_CHARACTERS)
        str_next_codepoint(json, len, &at), characters++;
    str_append_bytes(out, json, at);
    if (at < len) str_append(out, "...");
}

static bool append_line(struct train_generation *g, size_t prompt, const struct hf_ids *ids,
                        int64_t step, struct str *lines)
{
    struct str text = {0}, json = {0};
    const char *asked = g->prompts.shown.items[prompt];
    bool ok = hf_tokenizer_decode(g->tokenizer, ids->items, ids->count, true, &text);
    json_append_string(&json, str_text(&text), text.len);
    str_appendf(lines, "%s{\"step\": %lld, \"prompt\": %s, \"completion\": %s}",
                lines->len ? "\n" : "", (long long)step, asked, str_text(&json));
    if (prompt < TRAIN_TEXTS_SHOWN) {
        struct str *shown = &g->shown[prompt];
        str_clear(shown);
        append_short(shown, asked, strlen(asked));
        str_append(shown, " -> ");
        append_short(shown, str_text(&json), json.len);
    }
    str_finish(&text);
    str_finish(&json);
    return ok;
}

void train_generation_show(const struct train_generation *g)
{
    for (size_t i = 0; i < g->prompts.ids.count && i < TRAIN_TEXTS_SHOWN; i++)
        if (g->shown[i].len) log_info("  %s", str_text(&g->shown[i]));
}

static bool generate(struct train_generation *g, struct writing *w)
{
    const struct train_config *c = g->config;
    int32_t eos[sizeof g->hf->eos / sizeof *g->hf->eos + 1];
    uint32_t eos_count = 0;
    for (int i = 0; i < g->hf->eos_count; i++)
        eos[eos_count++] = g->hf->eos[i];
    if (!eos_count && hf_tokenizer_eos(g->tokenizer) >= 0)
        eos[eos_count++] = hf_tokenizer_eos(g->tokenizer);
    struct model_prompt *prompts = MEM_ARRAY(struct model_prompt, w->count);
    for (size_t i = 0; i < w->count; i++)
        prompts[i] = (struct model_prompt){g->prompts.ids.items[i].items,
                                           (uint32_t)g->prompts.ids.items[i].count};
    bool ok = model_generate(
        g->generator, prompts, w->count,
        &(struct model_generation){
            .sampling = {.temperature = (float)c->eval_temperature, .seed = (uint64_t)c->seed},
            .max_new_tokens = (uint32_t)c->eval_max_new_tokens,
            .eos = eos,
            .eos_count = eos_count,
            .on_token = on_token,
            .on_end = on_end,
            .ctx = w});
    mem_free(prompts);
    return ok;
}

bool train_generation_run(struct train_generation *g, int64_t step, struct str *lines,
                          bool *stopped)
{
    struct writing w = {.count = g->prompts.ids.count};
    if (!w.count) return true;
    w.texts = MEM_ARRAY(struct hf_ids, w.count);
    bool ok = generate(g, &w);
    if (w.stopped) *stopped = true;
    for (size_t i = 0; ok && !w.stopped && i < w.count; i++)
        ok = append_line(g, i, &w.texts[i], step, lines);
    for (size_t i = 0; i < w.count; i++)
        ARRAY_FREE(&w.texts[i]);
    mem_free(w.texts);
    return ok;
}
