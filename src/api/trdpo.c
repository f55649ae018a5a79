// The public header's devices, training and evaluation.
#include "trdpo/trdpo.h"

#include "api/call.h"
#include "api/evaluate.h"
#include "api/version.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/trainer.h"

#include <stdatomic.h>

// ---- calls, errors, messages ----

static atomic_bool messages_set;

static void set_level(enum log_level level)
{
    log_set_level(level);
    atomic_store(&messages_set, true);
}

void api_enter(void)
{
    if (!atomic_load(&messages_set)) set_level(LOG_QUIET);
    err_clear();
}

enum trdpo_status api_leave(bool ok)
{
    if (ok) return TRDPO_OK;
    return err_current() == ERR_USER ? TRDPO_USER_ERROR : TRDPO_DEVICE_ERROR;
}

const char *trdpo_version(void)
{
    return TRDPO_VERSION;
}

const char *trdpo_last_error(void)
{
    return err_message();
}

void trdpo_set_messages(enum trdpo_messages messages)
{
    set_level(messages == TRDPO_INFO       ? LOG_INFO
              : messages == TRDPO_WARNINGS ? LOG_WARN
                                           : LOG_QUIET);
}

void trdpo_string_free(char *text)
{
    mem_free(text);
}

// ---- devices ----

struct trdpo_device_list {
    struct vk_caps *caps;
    size_t count;
};

enum trdpo_status trdpo_device_list_open(struct trdpo_device_list **list)
{
    api_enter();
    *list = MEM_NEW(struct trdpo_device_list);
    bool ok = vk_device_list(&(*list)->caps, &(*list)->count);
    if (!ok) {
        mem_free(*list);
        *list = NULL;
    }
    return api_leave(ok);
}

void trdpo_device_list_close(struct trdpo_device_list *list)
{
    if (!list) return;
    mem_free(list->caps);
    mem_free(list);
}

size_t trdpo_device_list_count(const struct trdpo_device_list *list)
{
    return list->count;
}

struct trdpo_device_info trdpo_device_list_at(const struct trdpo_device_list *list, size_t i)
{
    static const char *const kinds[] = {[VK_KIND_DISCRETE] = "discrete",
                                        [VK_KIND_INTEGRATED] = "integrated",
                                        [VK_KIND_VIRTUAL] = "virtual",
                                        [VK_KIND_CPU] = "CPU",
                                        [VK_KIND_OTHER] = "other"};
    CHECK(i < list->count);
    const struct vk_caps *c = &list->caps[i];
    return (struct trdpo_device_info){.index = c->index,
                                      .name = c->name,
                                      .driver = c->driver,
                                      .kind = kinds[c->kind],
                                      .memory_bytes = c->memory_bytes,
                                      .free_bytes = c->memory_free_bytes,
                                      .missing = c->missing};
}

enum trdpo_status trdpo_device_open(const char *selector, struct trdpo_device **device)
{
    api_enter();
    *device = NULL;
    struct vk_device *vk = vk_device_create(&(struct vk_device_params){.selector = selector});
    if (!vk) return api_leave(false);
    *device = MEM_NEW(struct trdpo_device);
    (*device)->vk = vk;
    return TRDPO_OK;
}

void trdpo_device_close(struct trdpo_device *device)
{
    if (!device) return;
    vk_device_destroy(device->vk);
    mem_free(device);
}

static struct vk_device *opened(void *ctx)
{
    return ((struct trdpo_device *)ctx)->vk;
}

// ---- training ----

struct training {
    struct trdpo_device *device;
    const struct trdpo_train_params *params;
};

static struct vk_device *training_device(void *ctx)
{
    return ((struct training *)ctx)->device->vk;
}

static bool on_metrics(void *ctx, const char *json)
{
    const struct trdpo_train_params *p = ((struct training *)ctx)->params;
    return !p->on_metrics || p->on_metrics(p->ctx, json);
}

static bool configure(struct train_config *config, const struct trdpo_train_params *params)
{
    if (params->config && !train_config_read(config, params->config)) return false;
    for (const char *const *o = params->options; o && *o; o += 2) {
        if (!o[1]) return err_user("options: '%s' has no value", o[0]);
        if (!train_config_set(config, o[0], o[1], "options")) return false;
    }
    return train_config_check(config);
}

enum trdpo_status trdpo_train(struct trdpo_device *device, const struct trdpo_train_params *params)
{
    api_enter();
    struct training t = {device, params};
    struct train_config config;
    train_config_init(&config);
    enum train_outcome outcome = TRAIN_FAILED;
    if (configure(&config, params))
        outcome = train_run_with(&config, &(struct train_hooks){.open_device = training_device,
                                                                .on_metrics = on_metrics,
                                                                .ctx = &t});
    train_config_finish(&config);
    return outcome == TRAIN_STOPPED ? TRDPO_STOPPED : api_leave(outcome == TRAIN_FINISHED);
}

// ---- evaluation ----

static bool check_evaluation(const struct trdpo_evaluate_params *p)
{
    if (!p->model) return err_user("trdpo_evaluate: no model is given");
    if (!p->dataset) return err_user("trdpo_evaluate: no dataset is given");
    if (!(p->beta >= 0 && p->beta <= 1e6))
        return err_user("trdpo_evaluate: beta %g is out of range: from 0 to 1e6", p->beta);
    if (p->max_length == 1 || p->max_length > 1 << 20)
        return err_user("trdpo_evaluate: max_length %u is out of range: from 2 to 1048576",
                        p->max_length);
    if (p->batch_size > 65536)
        return err_user("trdpo_evaluate: batch_size %u is out of range: up to 65536",
                        p->batch_size);
    return true;
}

enum trdpo_status trdpo_evaluate(struct trdpo_device *device,
                                 const struct trdpo_evaluate_params *params, char **json)
{
    api_enter();
    *json = NULL;
    struct str out = {0};
    bool ok = check_evaluation(params) &&
              api_evaluate(&(struct api_evaluation){.model = params->model,
                                                    .dataset = params->dataset,
                                                    .ref_model = params->ref_model,
                                                    .per_row = params->per_row,
                                                    .beta = params->beta,
                                                    .max_length = params->max_length,
                                                    .batch_size = params->batch_size,
                                                    .options = params->options,
                                                    .open_device = opened,
                                                    .ctx = device},
                           &out);
    if (ok)
        *json = str_take(&out);
    else
        str_finish(&out);
    return api_leave(ok);
}
