#include "api/model.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "vk/device.h"

bool api_model_read_config(struct api_model *m, const char *dir)
{
    *m = (struct api_model){.dir = mem_strdup(dir)};
    if (!file_is_dir(dir))
        return err_user("%s is not a folder with a model (config.json, model.safetensors, "
                        "tokenizer.json)",
                        dir);
    return hf_config_load(&m->hf, dir);
}

bool api_model_read(struct api_model *m, const char *dir)
{
    if (!api_model_read_config(m, dir)) return false;
    m->tokenizer = hf_tokenizer_load(dir);
    if (!m->tokenizer) return false;
    m->prompter = (struct hf_prompter){.tokenizer = m->tokenizer, .dir = m->dir};
    int32_t ids = hf_tokenizer_id_count(m->tokenizer);
    if (ids <= m->hf.vocab_size) return true;
    return err_user("%s: tokenizer.json has ids up to %d, but config.json has vocab_size %d: the "
                    "two files do not belong together",
                    dir, ids - 1, m->hf.vocab_size);
}

bool api_model_plan(struct api_model *m, struct vk_device *device)
{
    struct model_config config = model_config_from_hf(&m->hf);
    m->device = device;
    return model_layout_init(&m->layout, &config, vk_max_span_bytes(device));
}

bool api_model_load(struct api_model *m)
{
    return model_weights_init(&m->weights, m->device, &m->layout, MODEL_F32, "weights") &&
           model_weights_load(&m->weights, m->dir, "");
}

void api_model_finish(struct api_model *m)
{
    model_weights_finish(&m->weights);
    model_layout_finish(&m->layout);
    hf_prompter_finish(&m->prompter);
    hf_tokenizer_destroy(m->tokenizer);
    mem_free(m->dir);
    *m = (struct api_model){0};
}

bool api_model_same_shape(const struct api_model *a, const struct api_model *b)
{
    const struct hf_config *x = &a->hf, *y = &b->hf;
    return x->vocab_size == y->vocab_size && x->hidden_size == y->hidden_size &&
           x->intermediate_size == y->intermediate_size && x->layers == y->layers &&
           x->heads == y->heads && x->kv_heads == y->kv_heads && x->head_dim == y->head_dim &&
           x->tied_head == y->tied_head && x->attention_bias == y->attention_bias &&
           x->mlp_bias == y->mlp_bias;
}

bool api_check_memory(const struct vk_device *device, uint64_t bytes, const char *what,
                      const char *advice)
{
    char need[32], have[32];
    const struct vk_caps *caps = vk_device_caps(device);
    str_bytes(need, bytes);
    str_bytes(have, caps->memory_free_bytes);
    log_debug("memory: %s of %s", need, have);
    if (bytes <= caps->memory_free_bytes) return true;
    return err_user("%s needs %s of device memory, but %s has %s free: %s, or choose another "
                    "device",
                    what, need, caps->name, have, advice);
}
