#include "trial.h"

#include "../common/scratch.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static void set(struct trial *t, const char *key, const char *value)
{
    REQUIRE(train_config_set(&t->config, key, value, "test"));
}

static void append(struct str *text, const cJSON *value)
{
    if (cJSON_IsString(value))
        str_append(text, value->valuestring);
    else if (cJSON_IsBool(value))
        str_append(text, cJSON_IsTrue(value) ? "true" : "false");
    else if (cJSON_IsNumber(value))
        str_appendf(text, "%.17g", value->valuedouble);
    else
        fail_msg("a setting is none of string, boolean and number");
}

void trial_set(struct train_config *config, const char *key, const cJSON *value)
{
    struct str text = {0};
    const cJSON *entry;
    if (!cJSON_IsArray(value))
        append(&text, value);
    else
        cJSON_ArrayForEach(entry, value)
        {
            if (entry != value->child) str_append(&text, ",");
            append(&text, entry);
        }
    REQUIRE(train_config_set(config, key, str_text(&text), "test"));
    str_finish(&text);
}

static void configure(struct trial *t, const struct trial_params *p)
{
    train_config_init(&t->config);
    set(t, "learning_rate", "1e-3");
    set(t, "per_device_train_batch_size", "16");
    set(t, "sync_ref_model", p->alpha ? "true" : "false");
    if (p->alpha) set(t, "ref_model_mixup_alpha", p->alpha);
    if (p->every) set(t, "ref_model_sync_steps", p->every);
    if (p->max_grad_norm) set(t, "max_grad_norm", p->max_grad_norm);
    if (p->label_smoothing) set(t, "label_smoothing", p->label_smoothing);
    for (size_t i = 0; i < 3 && p->settings[i]; i++) {
        const cJSON *value;
        cJSON_ArrayForEach(value, p->settings[i]) trial_set(&t->config, value->string, value);
    }
    train_config_resolve(&t->config);
}

void trial_open(struct trial *t, struct vk_device *device, const struct trial_params *p)
{
    *t = (struct trial){0};
    configure(t, p);
    bool kto = t->config.method == TRAIN_KTO;
    fixture_open_rows(&t->f, device, p->name,
                      &(struct fixture_rows){.file = kto ? "losses/unpaired.jsonl" : "prefs.jsonl",
                                             .kind = kto ? DATA_UNPAIRED : DATA_PAIRS,
                                             .max_length = (uint32_t)t->config.max_length},
                      p->max_span_bytes);
    assert_int_equal(t->f.set.rows.count, TRIAL_ROWS);
    t->schedule = train_schedule_make(&t->config, TRIAL_STEPS);
    struct train_precision precision;
    REQUIRE(train_precision_choose(&t->config, device, &precision));
    if (p->loss_scale) precision.loss_scale = true;
    fixture_weights_as(&t->f, &t->policy, "", precision.weights);
    fixture_weights_as(&t->f, &t->ref, p->ref ? p->ref : "", precision.weights);
    fixture_weights_as(&t->f, &t->grad, NULL, precision.gradient);
    bool coded = t->config.optim == TRAIN_ADAMW_8BIT;
    if (coded)
        REQUIRE(train_codes_init(&t->codes, device, &t->f.layout));
    else {
        fixture_weights(&t->f, &t->m, NULL);
        fixture_weights(&t->f, &t->v, NULL);
    }
    t->stepper = train_stepper_create(&(struct train_stepper_params){
        .device = device,
        .config = &t->config,
        .precision = precision,
        .layout = &t->f.layout,
        .policy = &t->policy,
        .ref = train_config_has_reference(&t->config) ? &t->ref : NULL,
        .grad = &t->grad,
        .m = coded ? NULL : &t->m,
        .v = coded ? NULL : &t->v,
        .codes = coded ? &t->codes : NULL,
        .tokens = p->tokens ? p->tokens : 2048,
        .rows = TRIAL_ROWS});
    REQUIRE(t->stepper);
}

void trial_close(struct trial *t)
{
    struct model_weights *all[] = {&t->policy, &t->ref, &t->grad, &t->m, &t->v};
    train_stepper_destroy(t->stepper);
    for (size_t i = 0; i < 5; i++)
        model_weights_finish(all[i]);
    train_codes_finish(&t->codes);
    train_config_finish(&t->config);
    fixture_close(&t->f);
}

void trial_try_step(struct trial *t, int64_t number)
{
    uint32_t order[TRIAL_ROWS];
    for (uint32_t i = 0; i < TRIAL_ROWS; i++)
        order[i] = i;
    const struct train_config *c = &t->config;
    struct train_step step = {.number = number,
                              .learning_rate = train_schedule_rate(&t->schedule, number - 1),
                              .update_reference =
                                  c->sync_ref_model && number % c->ref_model_sync_steps == 0};
    REQUIRE(train_stepper_step(t->stepper, &t->f.set, order, TRIAL_ROWS, &step));
    REQUIRE(train_stepper_collect(t->stepper, t->rows, &t->results));
}

void trial_step(struct trial *t, int64_t number)
{
    trial_try_step(t, number);
    assert_int_equal(t->results.nonfinite, 0);
}

float *trial_dlogp(const struct trial *t)
{
    const struct train_stepper *st = t->stepper;
    float *values = MEM_ARRAY(float, st->pack.scored);
    REQUIRE(vk_read(st->p.device, st->act.dlogp, values, st->pack.scored * sizeof *values));
    return values;
}

float *trial_values(const struct model_weights *w)
{
    float *values = MEM_ARRAY(float, w->layout->elements);
    for (size_t i = 0; i < w->layout->tensor_count; i++) {
        const struct model_tensor *tensor = &w->layout->tensors[i];
        REQUIRE(model_weights_read(w, tensor, values + tensor->offset));
    }
    return values;
}

double trial_change_off(const struct model_weights *got, const struct hf_tensors *start,
                        const struct hf_tensors *end, const char *prefix)
{
    double off = 0, change = 0;
    float *mine = trial_values(got);
    for (size_t i = 0; i < got->layout->tensor_count; i++) {
        const struct model_tensor *tensor = &got->layout->tensors[i];
        char name[256];
        snprintf(name, sizeof name, "%s%s", prefix, tensor->name);
        const struct hf_tensor *a = hf_tensors_find(start, tensor->name),
                               *b = hf_tensors_find(end, name);
        if (!a || !b) fail_msg("%s: no tensor '%s'", hf_tensors_path(a ? end : start), name);
        assert_true(a->count == tensor->count && b->count == tensor->count);
        float *before = MEM_ARRAY(float, tensor->count), *after = MEM_ARRAY(float, tensor->count);
        dtype_decode(before, a->data, a->dtype, a->count);
        dtype_decode(after, b->data, b->dtype, b->count);
        for (uint64_t k = 0; k < tensor->count; k++) {
            double d = (double)mine[tensor->offset + k] - (double)after[k];
            double c = (double)after[k] - (double)before[k];
            off += d * d;
            change += c * c;
        }
        mem_free(before);
        mem_free(after);
    }
    mem_free(mine);
    assert_true(change > 0);
    return sqrt(off / change);
}

bool trial_same_bits(const struct model_weights *a, const struct model_weights *b)
{
    float *x = trial_values(a), *y = trial_values(b);
    bool same = a->layout->tensor_count == b->layout->tensor_count;
    for (size_t i = 0; same && i < a->layout->tensor_count; i++) {
        const struct model_tensor *t = &a->layout->tensors[i], *u = &b->layout->tensors[i];
        same = strcmp(t->name, u->name) == 0 && t->count == u->count &&
               memcmp(x + t->offset, y + u->offset, t->count * sizeof(float)) == 0;
    }
    mem_free(x);
    mem_free(y);
    return same;
}
