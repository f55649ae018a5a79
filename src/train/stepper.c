#include "train/stepper_state.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "ops/loss.h"
#include "ops/update.h"

#include <string.h>

#define DEFAULT_SPAN_BYTES ((uint64_t)1 << 30)

enum data_kind train_data_kind(const struct train_config *config)
{
    switch ((enum train_method)config->method) {
    case TRAIN_SFT:
        return DATA_TEXTS;
    case TRAIN_KTO:
        return DATA_UNPAIRED;
    case TRAIN_DPO:
    case TRAIN_CPO:
        break;
    }
    return DATA_PAIRS;
}

uint64_t stepper_results_bytes(const struct train_stepper *st)
{
    return STEPPER_RESULTS_AT + st->row_bytes * st->p.rows;
}

bool stepper_scores_prompt(const struct train_stepper *st)
{
    return st->kind == DATA_TEXTS && !st->p.config->completion_only;
}

// ---- layout ----

static void init_pack(struct train_stepper *st)
{
    data_pack_init(&st->pack,
                   &(struct data_pack_params){.tokens = st->p.tokens,
                                              .max_rows = st->p.rows,
                                              .score_prompt = stepper_scores_prompt(st)});
}

static struct model_activation_params activation_params(const struct train_stepper *st)
{
    return (struct model_activation_params){.tokens = st->p.tokens,
                                            .scored = st->pack.scored_capacity,
                                            .training = st->training,
                                            .recompute = st->p.recompute,
                                            .frozen_head = st->p.config->freeze_head,
                                            .collision = st->kind == DATA_PAIRS &&
                                                         st->settings.flags & PREF_WEIGHTED};
}

static void layout_activations(struct train_stepper *st, struct vk_arena *arena)
{
    struct model_activation_params params = activation_params(st);
    model_activations_layout(&st->act, &st->p.layout->config, arena, st->p.device, &params);
}

static uint64_t largest_array(const struct train_stepper *st)
{
    struct model_activation_params params = activation_params(st);
    return model_activations_largest(&st->p.layout->config, st->p.device, &params);
}

// Spans of the activations: as large as the largest array asks for, else the usual size.
static uint64_t activation_span(const struct train_stepper *st)
{
    uint64_t span = DEFAULT_SPAN_BYTES, largest = largest_array(st);
    while (span < largest)
        span *= 2;
    return span;
}

static bool check_largest(const struct train_stepper *st)
{
    uint64_t largest = largest_array(st), span = activation_span(st);
    // A kernel's index has 31 bits.
    if (largest / 4 <= INT32_MAX &&
        (span == DEFAULT_SPAN_BYTES || span <= vk_max_span_bytes(st->p.device)))
        return true;
    char bytes[32];
    return err_user(
        "a pass over %u token slots needs an array of %s, more than the device holds in "
        "one piece: lower max_length or token_budget",
        st->p.tokens, str_bytes(bytes, largest));
}

static void layout_step(struct train_stepper *st, struct vk_arena *arena)
{
    const struct model_config *c = &st->p.layout->config;
    uint64_t S = st->pack.scored_capacity, R = st->pack.sequence_capacity;
    model_batch_layout(&st->batch, arena, st->p.tokens, (uint32_t)S, (uint32_t)R);
    st->rope = vk_arena_alloc(arena, (uint64_t)st->p.tokens * c->head_dim * sizeof(float));
    st->ref_logp = vk_arena_alloc(arena, S * sizeof(float));
    st->values = vk_arena_alloc(arena, sizeof(struct step_values));
    st->results = vk_arena_alloc(arena, stepper_results_bytes(st));
    st->rows_out = st->results + STEPPER_RESULTS_AT; // one copy brings both back
    st->sums = vk_arena_alloc(arena, R * sizeof(float));
    st->settings_at = vk_arena_alloc(arena, sizeof st->settings);
    uint64_t rows = st->p.rows;
    if (st->batch_wide) st->batch_sums = vk_arena_alloc(arena, rows * sizeof(struct pair_sums));
    if (st->kl) st->kl_ratios = vk_arena_alloc(arena, rows * sizeof(float));
    st->partial = vk_arena_alloc(arena, OP_GRAD_NORM_PARTIAL_BYTES);
    st->decay = vk_arena_alloc(arena, st->p.layout->elements / 256 / 8 + 4);
}

static uint64_t readback_bytes(const struct train_stepper *st)
{
    return STEPPER_SLOTS * ((stepper_results_bytes(st) + 1023) / 1024 * 1024);
}

static void set_kind(struct train_stepper *st, const struct train_stepper_params *params)
{
    st->p = *params;
    const struct train_config *c = params->config;
    st->kind = train_data_kind(c);
    st->training = params->grad != NULL;
    st->row_bytes = st->kind == DATA_PAIRS      ? sizeof(struct pair_metrics)
                    : st->kind == DATA_UNPAIRED ? sizeof(struct unpaired_metrics)
                                                : sizeof(struct sequence_metrics);
    st->has_ref = train_config_has_reference(c);
    if (st->kind == DATA_PAIRS) {
        train_config_pref_settings(c, &st->settings);
        st->reference_free = st->settings.flags & PREF_REFERENCE_FREE;
        st->batch_wide = pref_is_batch_wide(&st->settings);
        st->by_batch = st->batch_wide || pref_needs_batch_tokens(&st->settings);
    }
    if (st->kind == DATA_UNPAIRED) {
        st->unpaired_type = c->loss_types ? (uint32_t)c->loss_type[0] : UNPAIRED_KTO;
        st->kl = st->by_batch = st->unpaired_type == UNPAIRED_KTO;
    }
    CHECK(!st->p.ref || st->has_ref);
    CHECK(!st->training || !c->freeze_head || !params->layout->config.tied_head);
}

static void measure(struct train_stepper *st, struct train_stepper_sizes *sizes)
{
    struct vk_arena a, b;
    vk_arena_init(
        &a, NULL,
        &(struct vk_arena_params){.name = "activations", .span_bytes = activation_span(st)});
    vk_arena_init(&b, NULL, &(struct vk_arena_params){.name = "step data"});
    layout_activations(st, &a);
    layout_step(st, &b);
    *sizes = (struct train_stepper_sizes){a.peak, st->act.apart_bytes, b.peak};
    model_activations_finish(&st->act);
    vk_arena_finish(&a);
    vk_arena_finish(&b);
}

bool train_stepper_bytes(const struct train_stepper_params *params,
                         struct train_stepper_sizes *sizes)
{
    struct train_stepper st = {0};
    set_kind(&st, params);
    init_pack(&st);
    measure(&st, sizes);
    sizes->step_data += readback_bytes(&st);
    bool ok = check_largest(&st);
    data_pack_finish(&st.pack);
    return ok;
}

// ---- set-up ----

static bool write_constants(struct train_stepper *st)
{
    const struct model_layout *layout = st->p.layout;
    uint64_t count = (uint64_t)st->p.tokens * layout->config.head_dim;
    float *table = MEM_ARRAY(float, count);
    model_rope_table(&layout->config, st->p.tokens, table);
    bool ok = vk_write(st->p.device, st->rope, table, count * sizeof(float));
    mem_free(table);

    // As transformers' trainer has it: norms and biases do not decay. Nor does what is not trained.
    uint64_t blocks = layout->elements / 256;
    uint32_t *bits = MEM_ARRAY(uint32_t, blocks / 32 + 1);
    for (size_t i = 0; i < layout->tensor_count; i++) {
        const struct model_tensor *t = &layout->tensors[i];
        if (t->role == MODEL_NORM || t->role == MODEL_BIAS) continue;
        if (st->p.config->freeze_head && t->offset == layout->head) continue;
        for (uint64_t b = t->offset / 256; b <= (t->offset + t->count - 1) / 256; b++)
            bits[b / 32] |= 1u << (b % 32);
    }
    ok = ok && vk_write(st->p.device, st->decay, bits, (blocks / 32 + (blocks % 32 != 0)) * 4);
    mem_free(bits);
    return ok && vk_write(st->p.device, st->settings_at, &st->settings, sizeof st->settings);
}

static bool create_arenas(struct train_stepper *st)
{
    struct train_stepper_sizes sizes;
    if (!check_largest(st)) return false;
    measure(st, &sizes);
    if (!vk_arena_init(&st->act_arena, st->p.device,
                       &(struct vk_arena_params){.name = "activations",
                                                 .bytes = sizes.activations,
                                                 .span_bytes = activation_span(st)}) ||
        !vk_arena_init(&st->step_arena, st->p.device,
                       &(struct vk_arena_params){.name = "step data", .bytes = sizes.step_data}) ||
        !vk_arena_init(&st->readback, st->p.device,
                       &(struct vk_arena_params){.name = "results",
                                                 .bytes = readback_bytes(st),
                                                 .memory = VK_MEMORY_READBACK}))
        return false;
    layout_activations(st, &st->act_arena);
    layout_step(st, &st->step_arena);
    for (int i = 0; i < STEPPER_SLOTS; i++)
        st->readback_slot[i] = vk_arena_alloc(&st->readback, stepper_results_bytes(st));
    return true;
}

struct train_stepper *train_stepper_create(const struct train_stepper_params *params)
{
    struct train_stepper *st = MEM_NEW(struct train_stepper);
    set_kind(st, params);
    init_pack(st);
    st->pack_of = MEM_ARRAY(uint32_t, params->rows);
    st->pack_rows = MEM_ARRAY(uint32_t, params->rows);
    for (int i = 0; i < STEPPER_SLOTS; i++)
        st->flights[i].place = MEM_ARRAY(uint32_t, params->rows);
    if (!create_arenas(st) || !write_constants(st) ||
        !train_stepper_set_counts(st, &(struct step_results){0})) {
        train_stepper_destroy(st);
        return NULL;
    }
    st->pass = (struct model_pass){.config = &params->layout->config,
                                   .batch = &st->batch,
                                   .act = &st->act,
                                   .rope_table = st->rope,
                                   .rope_rows = params->tokens,
                                   .units = params->precision.units};
    stepper_create_sequences(st);
    return st;
}

void train_stepper_destroy(struct train_stepper *st)
{
    if (!st) return;
    stepper_destroy_sequences(st);
    vk_arena_finish(&st->act_arena);
    vk_arena_finish(&st->step_arena);
    vk_arena_finish(&st->readback);
    model_activations_finish(&st->act);
    data_pack_finish(&st->pack);
    for (int i = 0; i < STEPPER_SLOTS; i++)
        mem_free(st->flights[i].place);
    stepper_window_clear(&st->window);
    stepper_window_clear(&st->batch_window);
    mem_free(st->pack_of);
    mem_free(st->pack_rows);
    mem_free(st);
}
