// A whole TR-DPO step: reference and policy forward, loss, backward, AdamW, soft reference update.
#include "cli/bench/bench.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/system.h"
#include "ops/linear.h"
#include "train/stepper.h"

#include <math.h>
#include <stdio.h>

#define PAIRS_MOST 256u
#define PROMPT 96u
#define COMPLETION 80u

// A small Llama, where the user names no model.
static const struct model_config small = {
    .vocab = 8192,
    .channels = 384,
    .ffn = 1024,
    .layers = 8,
    .heads = 6,
    .kv_heads = 3,
    .head_dim = 64,
    .norm_eps = 1e-5f,
    .tied_head = true,
    .max_position = 1024,
    .rope = {.type = HF_ROPE_DEFAULT, .theta = 10000},
    .initializer_range = 0.02f,
};

struct step {
    struct train_config config;
    struct train_precision precision;
    struct model_layout layout;
    struct model_weights policy, ref, grad, m, v;
    struct train_codes codes; // instead of m and v, with optim: adamw_8bit
    struct train_stepper *stepper;
    struct data_set set;
    uint32_t pairs, order[PAIRS_MOST];
};

// Pairs of random tokens: the arithmetic does not ask what they mean.
static void make_rows(struct step *st)
{
    struct rng rng = rng_begin(42, RNG_TEST);
    for (uint32_t i = 0; i < st->pairs; i++) {
        struct data_row row = {.line = i + 1,
                               .first = (uint32_t)st->set.ids.count,
                               .prompt = PROMPT,
                               .completion = {COMPLETION, COMPLETION}};
        for (uint32_t k = 0; k < PROMPT + 2 * COMPLETION; k++)
            ARRAY_PUSH(&st->set.ids, (int32_t)rng_below(&rng, st->layout.config.vocab));
        ARRAY_PUSH(&st->set.rows, row);
        st->order[i] = i;
    }
}

static bool configure(struct step *st, const struct bench *b)
{
    const struct {
        const char *key, *value;
    } keys[] = {{"dtype", b->dtype}, {"gradient_dtype", b->gradient_dtype}, {"optim", b->optim}};
    train_config_init(&st->config);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char where[32];
        snprintf(where, sizeof where, "--%s", keys[i].key);
        if (keys[i].value && !train_config_set(&st->config, keys[i].key, keys[i].value, where))
            return false;
    }
    train_config_resolve(&st->config);
    if (st->config.gradient_dtype == TRAIN_GRADIENT_BF16 && st->config.dtype != TRAIN_DTYPE_BF16 &&
        st->config.dtype != TRAIN_DTYPE_FP16)
        return err_user("--gradient_dtype: bf16 goes with --dtype bf16 or fp16");
    return train_precision_choose(&st->config, b->device, &st->precision);
}

static bool make_weights(struct step *st, struct vk_device *d)
{
    const struct model_layout *layout = &st->layout;
    enum model_storage weights = st->precision.weights;
    return model_weights_init(&st->policy, d, layout, weights, "policy") &&
           model_weights_randomize(&st->policy, 42) &&
           model_weights_init(&st->ref, d, layout, weights, "reference") &&
           model_weights_copy(&st->ref, &st->policy) &&
           model_weights_init(&st->grad, d, layout, st->precision.gradient, "gradient") &&
           (st->config.optim == TRAIN_ADAMW_8BIT
                ? train_codes_init(&st->codes, d, layout)
                : model_weights_init(&st->m, d, layout, MODEL_F32, "first moment") &&
                      model_weights_init(&st->v, d, layout, MODEL_F32, "second moment"));
}

static struct train_stepper_params params_of(struct step *st, const struct bench *b)
{
    bool coded = st->config.optim == TRAIN_ADAMW_8BIT;
    return (struct train_stepper_params){.device = b->device,
                                         .config = &st->config,
                                         .precision = st->precision,
                                         .layout = &st->layout,
                                         .policy = &st->policy,
                                         .ref = &st->ref,
                                         .grad = &st->grad,
                                         .m = coded ? NULL : &st->m,
                                         .v = coded ? NULL : &st->v,
                                         .codes = coded ? &st->codes : NULL,
                                         .recompute = b->recompute,
                                         .tokens =
                                             st->pairs * data_row_slots(&st->set.rows.items[0]),
                                         .rows = st->pairs};
}

// What the plan of a training run counts.
static bool plan(struct step *st, const struct bench *b, uint64_t *bytes)
{
    struct train_stepper_params params = params_of(st, b);
    struct train_stepper_sizes sizes;
    const struct model_layout *layout = &st->layout;
    if (!train_stepper_bytes(&params, &sizes)) return false;
    *bytes = 2 * model_weights_bytes(layout, st->precision.weights) +
             model_weights_bytes(layout, st->precision.gradient) +
             (st->config.optim == TRAIN_ADAMW_8BIT ? train_codes_bytes(layout)
                                                   : 2 * model_weights_bytes(layout, MODEL_F32)) +
             sizes.activations + sizes.step_data + TRAIN_STAGING_BYTES;
    return true;
}

static bool open_step(struct step *st, const struct bench *b, uint64_t *bytes)
{
    struct model_config config = small;
    if (!configure(st, b)) return false;
    if (b->model) {
        struct hf_config hf;
        if (!hf_config_load(&hf, b->model)) return false;
        config = model_config_from_hf(&hf);
    }
    st->pairs = b->pairs;
    if (!model_layout_init(&st->layout, &config, vk_max_span_bytes(b->device))) return false;
    make_rows(st);
    if (!plan(st, b, bytes) || !make_weights(st, b->device)) return false;
    struct train_stepper_params params = params_of(st, b);
    st->stepper = train_stepper_create(&params);
    return st->stepper != NULL;
}

static void close_step(struct step *st)
{
    struct model_weights *all[] = {&st->policy, &st->ref, &st->grad, &st->m, &st->v};
    train_stepper_destroy(st->stepper);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        model_weights_finish(all[i]);
    train_codes_finish(&st->codes);
    model_layout_finish(&st->layout);
    ARRAY_FREE(&st->set.ids);
    ARRAY_FREE(&st->set.rows);
    train_config_finish(&st->config);
}

static bool one_step(struct step *st, int64_t number, double *seconds)
{
    union train_row_metrics rows[PAIRS_MOST];
    struct step_results results;
    double begin = sys_seconds();
    bool ok = train_stepper_step(st->stepper, &st->set, st->order, st->pairs,
                                 &(struct train_step){.number = number,
                                                      .learning_rate = 1e-5,
                                                      .update_reference = true}) &&
              train_stepper_collect(st->stepper, rows, &results);
    *seconds = sys_seconds() - begin;
    if (ok && results.nonfinite) return err_device("bench step: the gradient is not finite");
    return ok;
}

bool bench_step(const struct bench *b)
{
    struct step st = {0};
    double best = HUGE_VAL, seconds;
    uint64_t bytes = 0;
    bool ok = open_step(&st, b, &bytes);
    for (int i = 0; ok && i <= b->runs; i++) {
        ok = one_step(&st, i + 1, &seconds);
        if (ok && i > 0 && seconds < best) best = seconds; // the first records and compiles
    }
    if (ok) {
        const struct model_config *c = &st.layout.config;
        // The prompt is computed once for both completions, but read with each.
        double slots = st.pairs * (double)data_row_slots(&st.set.rows.items[0]);
        double scored = 2.0 * st.pairs * COMPLETION;
        // Reference 1, policy 1 + 2; what checkpointing does again does not count.
        double flops = 4 * model_forward_flops(c, slots, scored);
        b->report(b->ctx, &(struct bench_result){
                              .name = b->recompute ? "step_checkpointing" : "step",
                              .shape = {(uint32_t)slots, c->layers, c->channels},
                              .dtype = st.precision.weights == MODEL_F32     ? "f32"
                                       : st.precision.gradient == MODEL_BF16 ? "bf16 grads"
                                                                             : "bf16",
                              .tier = bench_tier(b, st.precision.units),
                              .bytes = bytes,
                              .peak = vk_memory_in_use(b->device),
                              .seconds = best,
                              .gflops = 1e-9 * flops / best,
                              .tokens_per_second = 2.0 * st.pairs * (PROMPT + COMPLETION) / best});
    }
    close_step(&st);
    return ok;
}
