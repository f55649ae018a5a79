#include "trial.h"

#include "../common/scratch.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static void set(struct trial *t, const char *key, const char *value)
{
    REQUIRE(train_config_set(&t->config, key, value, "test"));
}

void trial_open(struct trial *t, struct vk_device *device, const struct trial_params *p)
{
    *t = (struct trial){0};
    fixture_open_spans(&t->f, device, p->name, true, p->max_span_bytes);
    train_config_init(&t->config);
    set(t, "learning_rate", "1e-3");
    set(t, "per_device_train_batch_size", "16");
    set(t, "sync_ref_model", p->alpha ? "true" : "false");
    if (p->alpha) set(t, "ref_model_mixup_alpha", p->alpha);
    if (p->every) set(t, "ref_model_sync_steps", p->every);
    if (p->max_grad_norm) set(t, "max_grad_norm", p->max_grad_norm);
    if (p->label_smoothing) set(t, "label_smoothing", p->label_smoothing);
    t->schedule = train_schedule_make(&t->config, TRIAL_STEPS);
    fixture_weights(&t->f, &t->policy, "");
    fixture_weights(&t->f, &t->ref, p->ref ? p->ref : "");
    fixture_weights(&t->f, &t->grad, NULL);
    fixture_weights(&t->f, &t->m, NULL);
    fixture_weights(&t->f, &t->v, NULL);
    t->stepper =
        train_stepper_create(&(struct train_stepper_params){.device = device,
                                                            .config = &t->config,
                                                            .layout = &t->f.layout,
                                                            .policy = &t->policy,
                                                            .ref = &t->ref,
                                                            .grad = &t->grad,
                                                            .m = &t->m,
                                                            .v = &t->v,
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
    train_config_finish(&t->config);
    fixture_close(&t->f);
}

void trial_step(struct trial *t, int64_t number)
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
    assert_int_equal(t->results.nonfinite, 0);
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
