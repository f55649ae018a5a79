// The public header's models and text.
#include "trdpo/trdpo.h"

#include "api/call.h"
#include "api/generate.h"
#include "base/error.h"
#include "base/mem.h"

#include <string.h>

struct trdpo_model {
    struct api_model model;
};

enum trdpo_status trdpo_model_open(struct trdpo_device *device, const char *dir,
                                   struct trdpo_model **model)
{
    api_enter();
    *model = MEM_NEW(struct trdpo_model);
    struct api_model *m = &(*model)->model;
    bool ok = api_model_read(m, dir) && api_model_plan(m, device->vk) &&
              api_check_memory(device->vk, model_weights_bytes(&m->layout, MODEL_F32), dir,
                               "choose a smaller model") &&
              api_model_load(m);
    if (!ok) {
        trdpo_model_close(*model);
        *model = NULL;
    }
    return api_leave(ok);
}

void trdpo_model_close(struct trdpo_model *model)
{
    if (!model) return;
    api_model_finish(&model->model);
    mem_free(model);
}

struct text {
    const struct trdpo_generate_params *params;
    struct str all;
    bool stopped;
};

static bool on_text(void *ctx, size_t prompt, const char *text, size_t len)
{
    struct text *t = ctx;
    (void)prompt; // there is one
    str_append_bytes(&t->all, text, len);
    if (t->params->on_text && !t->params->on_text(t->params->ctx, text, len)) t->stopped = true;
    return !t->stopped;
}

static bool check(const struct trdpo_generate_params *p)
{
    if (p->max_new_tokens > 1 << 20)
        return err_user("trdpo_generate: max_new_tokens %u is out of range: up to 1048576",
                        p->max_new_tokens);
    if (!(p->temperature >= 0 && p->temperature <= 100))
        return err_user("trdpo_generate: temperature %g is out of range: from 0 to 100",
                        (double)p->temperature);
    if (!(p->top_p >= 0 && p->top_p <= 1))
        return err_user("trdpo_generate: top_p %g is out of range: from 0 to 1", (double)p->top_p);
    return true;
}

enum trdpo_status trdpo_generate(struct trdpo_model *model, const char *prompt,
                                 const struct trdpo_generate_params *params, char **text)
{
    api_enter();
    static const struct trdpo_generate_params defaults;
    if (!params) params = &defaults;
    if (text) *text = NULL;
    struct text t = {.params = params};
    struct hf_ids ids = {0};
    bool ok =
        check(params) &&
        hf_prompt_text(&model->model.prompter, prompt, strlen(prompt), params->chat, &ids) &&
        api_generate(&model->model,
                     &(struct api_generation){
                         .prompts = &ids,
                         .count = 1,
                         .sampling = {.temperature = params->temperature,
                                      .top_k = params->top_k,
                                      .top_p = params->top_p,
                                      .seed = params->seed},
                         .max_new_tokens = params->max_new_tokens ? params->max_new_tokens : 128,
                         .on_text = on_text,
                         .ctx = &t});
    if (ok && text) *text = str_take(&t.all);
    str_finish(&t.all);
    ARRAY_FREE(&ids);
    return ok && t.stopped ? TRDPO_STOPPED : api_leave(ok);
}
