#include "train/stepper.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "ops/loss.h"
#include "ops/rows.h"
#include "ops/update.h"
#include "vk/sequence.h"

#include <math.h>
#include <string.h>

#define SLOTS 2 // steps in flight
#define DEFAULT_SPAN_BYTES ((uint64_t)1 << 30)

// A queued step whose results have not been collected.
struct flight {
    uint64_t ticket;
    uint32_t count;
    uint32_t *place; // [rows] position in pairs_out of each row given
};

struct train_stepper {
    struct train_stepper_params p;
    bool pairs, training;
    struct vk_arena act_arena, step_arena, readback;
    struct model_batch batch;
    struct model_activations act;
    struct model_pass pass;
    struct data_pack pack;
    vk_addr rope, ref_logp, values, results, rows_out, sums, partial, decay, settings;
    vk_addr readback_slot[SLOTS];
    uint64_t row_bytes; // of an entry of rows_out
    struct vk_seq *ref_forward, *train_pass, *eval_pass, *score_pass, *optimise, *ref_update;
    struct vk_seq *finish[SLOTS];
    struct finish_ctx {
        struct train_stepper *st;
        int slot;
    } finish_ctx[SLOTS];
    struct flight flights[SLOTS];
    uint32_t queued, collected; // steps
    uint32_t *pack_of, *pack_rows;
};

static uint64_t results_bytes(const struct train_stepper *st)
{
    return 256 + st->row_bytes * st->p.rows;
}

// ---- layout ----

static bool scores_prompt(const struct train_stepper *st)
{
    return st->p.config->method == TRAIN_SFT && !st->p.config->completion_only;
}

static void init_pack(struct train_stepper *st)
{
    data_pack_init(&st->pack, &(struct data_pack_params){.tokens = st->p.tokens,
                                                         .max_rows = st->p.rows,
                                                         .score_prompt = scores_prompt(st)});
}

static struct model_activation_params activation_params(const struct train_stepper *st)
{
    return (struct model_activation_params){
        .tokens = st->p.tokens, .scored = st->pack.scored_capacity, .training = st->training};
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
    st->results = vk_arena_alloc(arena, results_bytes(st));
    st->rows_out = st->results + 256; // one copy brings both back
    st->sums = vk_arena_alloc(arena, R * sizeof(float));
    st->partial = vk_arena_alloc(arena, OP_GRAD_NORM_PARTIAL_BYTES);
    st->settings = vk_arena_alloc(arena, sizeof(struct pref_settings));
    st->decay = vk_arena_alloc(arena, st->p.layout->elements / 256 / 8 + 4);
}

static uint64_t readback_bytes(const struct train_stepper *st)
{
    return SLOTS * ((results_bytes(st) + 1023) / 1024 * 1024);
}

static void set_kind(struct train_stepper *st, const struct train_stepper_params *params)
{
    st->p = *params;
    st->pairs = params->config->method == TRAIN_DPO;
    st->training = params->grad != NULL;
    st->row_bytes = st->pairs ? sizeof(struct pair_metrics) : sizeof(struct sequence_metrics);
}

static void measure(struct train_stepper *st, uint64_t *activations, uint64_t *step_data)
{
    struct vk_arena a, b;
    vk_arena_init(
        &a, NULL,
        &(struct vk_arena_params){.name = "activations", .span_bytes = activation_span(st)});
    vk_arena_init(&b, NULL, &(struct vk_arena_params){.name = "step data"});
    layout_activations(st, &a);
    layout_step(st, &b);
    *activations = a.peak;
    *step_data = b.peak;
    model_activations_finish(&st->act);
    vk_arena_finish(&a);
    vk_arena_finish(&b);
}

bool train_stepper_bytes(const struct train_stepper_params *params, uint64_t *activations,
                         uint64_t *step_data)
{
    struct train_stepper st = {0};
    set_kind(&st, params);
    init_pack(&st);
    measure(&st, activations, step_data);
    *step_data += readback_bytes(&st);
    bool ok = check_largest(&st);
    data_pack_finish(&st.pack);
    return ok;
}

// ---- recorded commands ----

static void record_loss(struct vk_seq *s, const struct train_stepper *st)
{
    const struct model_batch *b = &st->batch;
    const struct model_activations *a = &st->act;
    // Evaluation has no gradient to keep, but the loss is one dispatch that always makes it.
    vk_addr dlogp = st->training ? a->dlogp : a->lse;
    if (st->pairs)
        op_pref_loss(s, &(struct op_pref_loss){.logp = a->logp,
                                               .ref_logp = st->ref_logp,
                                               .entropy = a->entropy,
                                               .is_argmax = a->is_argmax,
                                               .sequence_first = b->sequence_first,
                                               .dlogp = dlogp,
                                               .pairs_out = st->rows_out,
                                               .counts = b->counts,
                                               .step = st->values,
                                               .max_pairs = b->sequences / 2,
                                               .scored = b->scored,
                                               .settings = st->settings,
                                               .pairs_out_count = st->p.rows});
    else
        op_sft_loss(s, &(struct op_sft_loss){.logp = a->logp,
                                             .entropy = a->entropy,
                                             .is_argmax = a->is_argmax,
                                             .sequence_first = b->sequence_first,
                                             .dlogp = dlogp,
                                             .sequences_out = st->rows_out,
                                             .counts = b->counts,
                                             .step = st->values,
                                             .max_sequences = b->sequences,
                                             .scored = b->scored,
                                             .sequences_out_count = st->p.rows});
}

static void record_ref_forward(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    model_forward(s, &st->pass, st->p.ref);
    op_copy(s, st->ref_logp, st->act.logp, st->batch.scored);
}

static void record_train_pass(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    model_forward(s, &st->pass, st->p.policy);
    record_loss(s, st);
    model_backward(s, &st->pass, st->p.policy, st->p.grad);
}

static void record_eval_pass(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    model_forward(s, &st->pass, st->p.policy);
    // Without a reference the policy is its own: no need to run it twice.
    if (st->pairs && !st->p.ref) op_copy(s, st->ref_logp, st->act.logp, st->batch.scored);
    record_loss(s, st);
}

static void record_score_pass(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    model_forward(s, &st->pass, st->p.policy);
    op_sequence_sums(s, st->sums, st->act.logp, st->batch.sequence_first, st->batch.counts,
                     st->batch.sequences, st->batch.scored);
}

static void record_optimise(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    const struct train_config *c = st->p.config;
    struct op_arena grad = op_arena_of(&st->p.grad->arena);
    op_grad_norm(s, &(struct op_grad_norm){.grad = grad,
                                           .results = st->results,
                                           .partial = st->partial,
                                           .max_norm = (float)c->max_grad_norm});
    op_adamw(s, &(struct op_adamw){.weight = op_arena_of(&st->p.policy->arena),
                                   .grad = grad,
                                   .m = op_arena_of(&st->p.m->arena),
                                   .v = op_arena_of(&st->p.v->arena),
                                   .step = st->values,
                                   .results = st->results,
                                   .decay = st->decay,
                                   .beta1 = c->adam_beta1,
                                   .beta2 = c->adam_beta2,
                                   .epsilon = (float)c->adam_epsilon,
                                   .weight_decay = (float)c->weight_decay});
}

static void record_ref_update(struct vk_seq *s, void *ctx)
{
    struct train_stepper *st = ctx;
    op_ref_update(s, &(struct op_ref_update){.ref = op_arena_of(&st->p.ref->arena),
                                             .policy = op_arena_of(&st->p.policy->arena),
                                             .results = st->results,
                                             .alpha = (float)st->p.config->ref_model_mixup_alpha});
}

static void record_finish(struct vk_seq *s, void *ctx)
{
    struct finish_ctx *f = ctx;
    vk_copy(s, f->st->readback_slot[f->slot], f->st->results, results_bytes(f->st));
}

// ---- set-up ----

static bool write_settings(struct train_stepper *st)
{
    const struct train_config *c = st->p.config;
    struct pref_settings settings = {.terms = 1,
                                     .type = {PREF_SIGMOID},
                                     .weight = {1},
                                     .beta = (float)c->beta,
                                     .label_smoothing = (float)c->label_smoothing,
                                     .ld_alpha = 1};
    return vk_write(st->p.device, st->settings, &settings, sizeof settings);
}

static bool write_constants(struct train_stepper *st)
{
    const struct model_layout *layout = st->p.layout;
    uint64_t count = (uint64_t)st->p.tokens * layout->config.head_dim;
    float *table = MEM_ARRAY(float, count);
    model_rope_table(&layout->config, st->p.tokens, table);
    bool ok = vk_write(st->p.device, st->rope, table, count * sizeof(float));
    mem_free(table);

    // As transformers' trainer has it: norms and biases do not decay.
    uint64_t blocks = layout->elements / 256;
    uint32_t *bits = MEM_ARRAY(uint32_t, blocks / 32 + 1);
    for (size_t i = 0; i < layout->tensor_count; i++) {
        const struct model_tensor *t = &layout->tensors[i];
        if (t->role == MODEL_NORM || t->role == MODEL_BIAS) continue;
        for (uint64_t b = t->offset / 256; b <= (t->offset + t->count - 1) / 256; b++)
            bits[b / 32] |= 1u << (b % 32);
    }
    ok = ok && vk_write(st->p.device, st->decay, bits, (blocks / 32 + (blocks % 32 != 0)) * 4);
    mem_free(bits);
    return ok;
}

static void create_sequences(struct train_stepper *st)
{
    struct vk_device *d = st->p.device;
    if (st->p.ref) st->ref_forward = vk_seq_create(d, "reference forward", record_ref_forward, st);
    st->eval_pass = vk_seq_create(d, "evaluation", record_eval_pass, st);
    st->score_pass = vk_seq_create(d, "scoring", record_score_pass, st);
    if (st->training) {
        st->train_pass = vk_seq_create(d, "forward and backward", record_train_pass, st);
        st->optimise = vk_seq_create(d, "optimiser", record_optimise, st);
        if (st->p.ref) st->ref_update = vk_seq_create(d, "reference update", record_ref_update, st);
    }
    for (int i = 0; i < SLOTS; i++) {
        st->finish_ctx[i] = (struct finish_ctx){st, i};
        st->finish[i] = vk_seq_create(d, "results", record_finish, &st->finish_ctx[i]);
    }
}

static bool create_arenas(struct train_stepper *st)
{
    uint64_t act, step;
    if (!check_largest(st)) return false;
    measure(st, &act, &step);
    if (!vk_arena_init(&st->act_arena, st->p.device,
                       &(struct vk_arena_params){.name = "activations",
                                                 .bytes = act,
                                                 .span_bytes = activation_span(st)}) ||
        !vk_arena_init(&st->step_arena, st->p.device,
                       &(struct vk_arena_params){.name = "step data", .bytes = step}) ||
        !vk_arena_init(&st->readback, st->p.device,
                       &(struct vk_arena_params){.name = "results",
                                                 .bytes = readback_bytes(st),
                                                 .memory = VK_MEMORY_READBACK}))
        return false;
    layout_activations(st, &st->act_arena);
    layout_step(st, &st->step_arena);
    for (int i = 0; i < SLOTS; i++)
        st->readback_slot[i] = vk_arena_alloc(&st->readback, results_bytes(st));
    return true;
}

struct train_stepper *train_stepper_create(const struct train_stepper_params *params)
{
    struct train_stepper *st = MEM_NEW(struct train_stepper);
    set_kind(st, params);
    init_pack(st);
    st->pack_of = MEM_ARRAY(uint32_t, params->rows);
    st->pack_rows = MEM_ARRAY(uint32_t, params->rows);
    for (int i = 0; i < SLOTS; i++)
        st->flights[i].place = MEM_ARRAY(uint32_t, params->rows);
    if (!create_arenas(st) || !write_constants(st) || !write_settings(st)) {
        train_stepper_destroy(st);
        return NULL;
    }
    st->pass = (struct model_pass){.config = &params->layout->config,
                                   .batch = &st->batch,
                                   .act = &st->act,
                                   .rope_table = st->rope,
                                   .rope_rows = params->tokens};
    create_sequences(st);
    return st;
}

void train_stepper_destroy(struct train_stepper *st)
{
    if (!st) return;
    struct vk_seq *all[] = {st->ref_forward, st->train_pass, st->eval_pass, st->score_pass,
                            st->optimise,    st->ref_update, st->finish[0], st->finish[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        vk_seq_destroy(all[i]);
    vk_arena_finish(&st->act_arena);
    vk_arena_finish(&st->step_arena);
    vk_arena_finish(&st->readback);
    model_activations_finish(&st->act);
    data_pack_finish(&st->pack);
    for (int i = 0; i < SLOTS; i++)
        mem_free(st->flights[i].place);
    mem_free(st->pack_of);
    mem_free(st->pack_rows);
    mem_free(st);
}

// ---- running ----

uint32_t train_row_scored(const struct data_row *row, bool score_prompt)
{
    uint32_t scored = row->completion[0] + row->completion[1];
    if (row->prompt) return scored + (score_prompt ? row->prompt - 1 : 0);
    return scored - (row->completion[0] > 0) - (row->completion[1] > 0);
}

// Sends pack number `index` of the plan to the device; place[i] (may be NULL) learns where the
// metrics of the i-th row given will stand.
static bool send_pack(struct train_stepper *st, const struct data_set *set, const uint32_t *order,
                      uint32_t count, uint32_t index, uint32_t first_row, uint32_t *place)
{
    data_pack_clear(&st->pack);
    for (uint32_t i = 0; i < count; i++) {
        if (st->pack_of[i] != index) continue;
        if (place) place[i] = first_row + st->pack.rows;
        CHECK(data_pack_add(&st->pack, set, order[i]));
    }
    data_pack_close(&st->pack);
    return model_batch_upload(&st->batch, st->p.device, &st->pack, first_row);
}

// Runs `pass` (after the reference, where there is one) over all rows in as many packs as needed.
static bool run_packs(struct train_stepper *st, struct vk_seq *pass, const struct data_set *set,
                      const uint32_t *order, uint32_t count, uint32_t *place)
{
    uint32_t packs = data_pack_plan(set, order, count, st->p.tokens, st->pack_of);
    uint32_t first_row = 0;
    for (uint32_t i = 0; i < packs; i++) {
        if (!send_pack(st, set, order, count, i, first_row, place)) return false;
        first_row += st->pack.rows;
        if (st->ref_forward && !vk_seq_submit(st->ref_forward)) return false;
        if (!vk_seq_submit(pass)) return false;
    }
    return true;
}

static bool send_values(struct train_stepper *st, const struct data_set *set, const uint32_t *order,
                        uint32_t count, const struct train_step *step)
{
    const struct train_config *c = st->p.config;
    double units = count;
    if (!st->pairs) {
        units = 0;
        for (uint32_t i = 0; i < count; i++)
            units += train_row_scored(&set->rows.items[order[i]], scores_prompt(st));
    }
    struct step_values values = {.loss_scale = (float)(1.0 / units)};
    if (step) {
        values.learning_rate = (float)step->learning_rate;
        values.correction1 = (float)(1 - pow(c->adam_beta1, (double)step->number));
        values.correction2 = (float)(1 - pow(c->adam_beta2, (double)step->number));
    }
    return vk_upload(st->p.device, st->values, &values, sizeof values);
}

bool train_stepper_step(struct train_stepper *st, const struct data_set *set, const uint32_t *order,
                        uint32_t count, const struct train_step *step)
{
    CHECK(st->training && count > 0 && count <= st->p.rows && st->queued - st->collected < SLOTS);
    int slot = (int)(st->queued % SLOTS);
    struct flight *flight = &st->flights[slot];
    if (!send_values(st, set, order, count, step) ||
        !run_packs(st, st->train_pass, set, order, count, flight->place) ||
        !vk_seq_submit(st->optimise))
        return false;
    if (step->update_reference && !vk_seq_submit(st->ref_update)) return false;
    if (!vk_seq_submit(st->finish[slot])) return false;
    flight->ticket = vk_ticket(st->p.device);
    flight->count = count;
    st->queued++;
    return true;
}

static void pick_rows(const struct train_stepper *st, const uint8_t *from, const uint32_t *place,
                      uint32_t count, union train_row_metrics *rows)
{
    for (uint32_t i = 0; i < count; i++)
        memcpy(&rows[i], from + place[i] * st->row_bytes, st->row_bytes);
}

bool train_stepper_collect(struct train_stepper *st, union train_row_metrics *rows,
                           struct step_results *results)
{
    CHECK(st->collected < st->queued);
    int slot = (int)(st->collected % SLOTS);
    const struct flight *flight = &st->flights[slot];
    if (!vk_wait(st->p.device, flight->ticket)) return false;
    const uint8_t *host = vk_host(st->p.device, st->readback_slot[slot]);
    memcpy(results, host, sizeof *results);
    pick_rows(st, host + 256, flight->place, flight->count, rows);
    st->collected++;
    return true;
}

bool train_stepper_evaluate(struct train_stepper *st, const struct data_set *set,
                            const uint32_t *order, uint32_t count, union train_row_metrics *rows)
{
    CHECK(count > 0 && count <= st->p.rows && st->queued == st->collected);
    uint32_t *place = MEM_ARRAY(uint32_t, count);
    uint8_t *host = mem_calloc(count, st->row_bytes);
    bool ok = send_values(st, set, order, count, NULL) &&
              run_packs(st, st->eval_pass, set, order, count, place) &&
              vk_read(st->p.device, st->rows_out, host, count * st->row_bytes);
    if (ok) pick_rows(st, host, place, count, rows);
    mem_free(host);
    mem_free(place);
    return ok;
}

bool train_stepper_score(struct train_stepper *st, const struct data_set *set,
                         const uint32_t *order, uint32_t count, float *sums)
{
    CHECK(count <= st->p.rows && st->queued == st->collected);
    uint32_t per_row = st->pairs ? 2 : 1;
    uint32_t packs = data_pack_plan(set, order, count, st->p.tokens, st->pack_of);
    float *host = MEM_ARRAY(float, st->batch.sequences);
    bool ok = true;
    for (uint32_t i = 0; ok && i < packs; i++) {
        ok = send_pack(st, set, order, count, i, 0, st->pack_rows) &&
             vk_seq_submit(st->score_pass) &&
             vk_read(st->p.device, st->sums, host, st->pack.sequences * sizeof(float));
        for (uint32_t j = 0; ok && j < count; j++)
            if (st->pack_of[j] == i)
                memcpy(&sums[j * per_row], &host[st->pack_rows[j] * per_row],
                       per_row * sizeof(float));
    }
    mem_free(host);
    return ok;
}

bool train_stepper_set_ref_updates(struct train_stepper *st, uint32_t updates)
{
    struct step_results results = {.ref_updates = updates};
    return vk_write(st->p.device, st->results, &results, sizeof results);
}
