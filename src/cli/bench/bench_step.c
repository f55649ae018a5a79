// A whole TR-DPO step: reference and policy forward, loss, backward, AdamW, soft reference update.
#include "cli/bench/bench.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/system.h"
#include "ops/linear.h"
#include "train/stepper.h"

#include <math.h>

#define PAIRS 8u
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
    struct model_layout layout;
    struct model_weights policy, ref, grad, m, v;
    struct train_stepper *stepper;
    struct data_set set;
    uint32_t order[PAIRS];
};

// Pairs of random tokens: the arithmetic does not ask what they mean.
static void make_rows(struct step *st)
{
    struct rng rng = rng_begin(42, RNG_TEST);
    for (uint32_t i = 0; i < PAIRS; i++) {
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

static bool open_step(struct step *st, const struct bench *b)
{
    struct model_config config = small;
    struct vk_device *d = b->device;
    train_config_init(&st->config);
    if (b->model) {
        struct hf_config hf;
        if (!hf_config_load(&hf, b->model)) return false;
        config = model_config_from_hf(&hf);
    }
    if (!model_layout_init(&st->layout, &config, vk_max_span_bytes(d)) ||
        !model_weights_init(&st->policy, d, &st->layout, MODEL_F32, "policy") ||
        !model_weights_randomize(&st->policy, 42) ||
        !model_weights_init(&st->ref, d, &st->layout, MODEL_F32, "reference") ||
        !model_weights_copy(&st->ref, &st->policy) ||
        !model_weights_init(&st->grad, d, &st->layout, MODEL_F32, "gradient") ||
        !model_weights_init(&st->m, d, &st->layout, MODEL_F32, "first moment") ||
        !model_weights_init(&st->v, d, &st->layout, MODEL_F32, "second moment"))
        return false;
    make_rows(st);
    uint32_t slots = PAIRS * data_row_slots(&st->set.rows.items[0]);
    st->stepper = train_stepper_create(&(struct train_stepper_params){.device = d,
                                                                      .config = &st->config,
                                                                      .layout = &st->layout,
                                                                      .policy = &st->policy,
                                                                      .ref = &st->ref,
                                                                      .grad = &st->grad,
                                                                      .m = &st->m,
                                                                      .v = &st->v,
                                                                      .recompute = b->recompute,
                                                                      .tokens = slots,
                                                                      .rows = PAIRS});
    return st->stepper != NULL;
}

static void close_step(struct step *st)
{
    struct model_weights *all[] = {&st->policy, &st->ref, &st->grad, &st->m, &st->v};
    train_stepper_destroy(st->stepper);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        model_weights_finish(all[i]);
    model_layout_finish(&st->layout);
    ARRAY_FREE(&st->set.ids);
    ARRAY_FREE(&st->set.rows);
    train_config_finish(&st->config);
}

static bool one_step(struct step *st, int64_t number, double *seconds)
{
    union train_row_metrics rows[PAIRS];
    struct step_results results;
    double begin = sys_seconds();
    bool ok = train_stepper_step(st->stepper, &st->set, st->order, PAIRS,
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
    bool ok = open_step(&st, b);
    for (int i = 0; ok && i <= b->runs; i++) {
        ok = one_step(&st, i + 1, &seconds);
        if (ok && i > 0 && seconds < best) best = seconds; // the first records and compiles
    }
    if (ok) {
        const struct model_config *c = &st.layout.config;
        // The prompt is computed once for both completions, but read with each.
        double slots = PAIRS * (double)data_row_slots(&st.set.rows.items[0]);
        double scored = 2.0 * PAIRS * COMPLETION;
        // Reference 1, policy 1 + 2; what checkpointing does again does not count.
        double flops = 4 * model_forward_flops(c, slots, scored);
        b->report(b->ctx, &(struct bench_result){
                              .name = b->recompute ? "step_checkpointing" : "step",
                              .shape = {(uint32_t)slots, c->layers, c->channels},
                              .dtype = "f32",
                              .tier = bench_tier(b),
                              .seconds = best,
                              .gflops = 1e-9 * flops / best,
                              .tokens_per_second = 2.0 * PAIRS * (PROMPT + COMPLETION) / best});
    }
    close_step(&st);
    return ok;
}
