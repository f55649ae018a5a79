// Running a stepper: rows into packs, packs to the device, results back.
#include "train/stepper_state.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/system.h"
#include "vk/profile.h"

#include <math.h>
#include <string.h>

// Where the reference log-probs of a pack come from.
enum ref_source {
    REF_FORWARD, // the reference on the device, which then has them
    REF_KEEP,    // the same; the batch's window keeps them
    REF_BATCH,   // the batch's window
    REF_WINDOW,  // the window
    REF_RECORD,  // the reference on the device; they go into the window, and that is all
};

struct rows {
    const struct data_set *set;
    const uint32_t *order; // indices into set->rows
    uint32_t count;
    bool others; // mismatched rows, in a dataset of their own
};

uint32_t train_row_scored(const struct data_row *row, bool score_prompt)
{
    uint32_t scored = row->completion[0] + row->completion[1];
    if (row->prompt) return scored + (score_prompt ? row->prompt - 1 : 0);
    return scored - (row->completion[0] > 0) - (row->completion[1] > 0);
}

// ---- one pack ----

// Sends pack number `index` of the plan to the device; place[i] (may be NULL) learns where the
// metrics of the i-th row given will stand.
static bool send_pack(struct train_stepper *st, const struct rows *rows, uint32_t index,
                      const struct model_batch_place *at, uint32_t *place)
{
    double since = sys_seconds();
    data_pack_clear(&st->pack);
    for (uint32_t i = 0; i < rows->count; i++) {
        if (st->pack_of[i] != index) continue;
        if (place) place[i] = at->first_row + st->pack.rows;
        CHECK(data_pack_add(&st->pack, rows->set, rows->order[i]));
    }
    data_pack_close(&st->pack);
    vk_profile_host(st->p.device, "packing rows", since);
    return model_batch_upload(&st->batch, st->p.device, &st->pack, at);
}

// Reference log-probs of the pack that was sent, where a reference is wanted.
static bool reference_of_pack(struct train_stepper *st, const struct rows *rows,
                              enum ref_source source)
{
    if (!st->ref_forward) return true;
    bool of_batch = source == REF_BATCH || source == REF_KEEP;
    struct stepper_window *w = of_batch ? &st->batch_window : &st->window;
    if (source == REF_WINDOW || source == REF_BATCH)
        return stepper_window_take(st, w, rows->others);
    if (!vk_seq_submit(st->ref_forward)) return false;
    return source == REF_FORWARD || stepper_window_put(st, w, rows->set, rows->others);
}

// ---- one batch ----

// Runs `pass` over all rows in as many packs as they need.
static bool run_packs(struct train_stepper *st, struct vk_seq *pass, const struct rows *rows,
                      struct model_batch_place at, enum ref_source source, uint32_t *place)
{
    uint32_t packs = data_pack_plan(rows->set, rows->order, rows->count, st->p.tokens, st->pack_of);
    for (uint32_t i = 0; i < packs; i++) {
        if (!send_pack(st, rows, i, &at, place) || !reference_of_pack(st, rows, source))
            return false;
        if (source != REF_RECORD && !vk_seq_submit(pass)) return false;
        at.first_row += st->pack.rows;
    }
    return true;
}

// KTO's estimate of KL(policy, reference): log-ratios of completions under the prompts of others.
static bool run_mismatched(struct train_stepper *st, const struct rows *rows,
                           const struct model_batch_place *at, enum ref_source source)
{
    struct data_set others;
    data_mismatched(&others, rows->set, rows->order, rows->count,
                    (uint32_t)st->p.config->max_length);
    uint32_t *order = MEM_ARRAY(uint32_t, rows->count);
    for (uint32_t i = 0; i < rows->count; i++)
        order[i] = i;
    bool ok = run_packs(st, st->kl_pass, &(struct rows){&others, order, rows->count, true}, *at,
                        source, NULL);
    mem_free(order);
    data_finish(&others);
    return ok;
}

// What a loss across the batch needs of its other pairs, where they do not all come in one pack.
// The reference is not run again for the loss then: *source says where its log-probs are.
static bool run_sums(struct train_stepper *st, const struct rows *rows,
                     const struct model_batch_place *at, enum ref_source *source)
{
    uint32_t packs = data_pack_plan(rows->set, rows->order, rows->count, st->p.tokens, st->pack_of);
    if (packs == 1 || *source == REF_RECORD) return true;
    if (*source != REF_FORWARD || !st->ref_forward)
        return run_packs(st, st->sums_pass, rows, *at, *source, NULL);
    stepper_window_clear(&st->batch_window);
    *source = REF_BATCH;
    return run_packs(st, st->sums_pass, rows, *at, REF_KEEP, NULL);
}

// Chosen tokens: what a mean over the batch's tokens divides by.
static uint32_t chosen_tokens(const struct rows *rows)
{
    uint32_t tokens = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct data_row *row = &rows->set->rows.items[rows->order[i]];
        tokens += row->completion[0] - (row->prompt == 0);
    }
    return tokens;
}

static bool run_batch(struct train_stepper *st, struct vk_seq *pass, const struct rows *rows,
                      uint32_t first_row, enum ref_source source, uint32_t *place)
{
    struct model_batch_place at = {.first_row = first_row,
                                   .batch_first = first_row,
                                   .batch_rows = rows->count,
                                   .batch_tokens = chosen_tokens(rows)};
    if (st->kl && !run_mismatched(st, rows, &at, source)) return false;
    if (st->batch_wide && !run_sums(st, rows, &at, &source)) return false;
    if (source == REF_RECORD && stepper_window_has(&st->window, rows->order, rows->count))
        return true;
    return run_packs(st, pass, rows, at, source, place);
}

// A step's batches one by one where a loss looks at them, else all its rows at once.
static bool run_step(struct train_stepper *st, struct vk_seq *pass, const struct rows *rows,
                     enum ref_source source, uint32_t *place)
{
    uint32_t size = (uint32_t)st->p.config->per_device_train_batch_size;
    if (!st->by_batch || size > rows->count) size = rows->count;
    for (uint32_t first = 0; first < rows->count; first += size) {
        uint32_t n = rows->count - first < size ? rows->count - first : size;
        if (!run_batch(st, pass, &(struct rows){rows->set, rows->order + first, n, false}, first,
                       source, place ? place + first : NULL))
            return false;
    }
    return true;
}

// ---- training ----

static bool send_values(struct train_stepper *st, const struct rows *rows,
                        const struct train_step *step)
{
    const struct train_config *c = st->p.config;
    double units = rows->count;
    if (st->kind == DATA_TEXTS) {
        units = 0;
        for (uint32_t i = 0; i < rows->count; i++)
            units +=
                train_row_scored(&rows->set->rows.items[rows->order[i]], stepper_scores_prompt(st));
    }
    struct step_values values = {.loss_scale = (float)(1.0 / units)};
    if (step) {
        values.learning_rate = (float)step->learning_rate;
        values.skipped = st->skipped;
        for (int i = 0; i < STEP_UNKNOWN_SKIPS; i++) {
            double t = (double)step->number - st->skipped - i; // below 1 only where it cannot be
            if (t < 1) t = 1;
            values.correction1[i] = (float)(1 - pow(c->adam_beta1, t));
            values.correction2[i] = (float)(1 - pow(c->adam_beta2, t));
        }
    }
    return vk_upload(st->p.device, st->values, &values, sizeof values);
}

bool train_stepper_score_reference(struct train_stepper *st, const struct data_set *set,
                                   const uint32_t *order, uint32_t count)
{
    CHECK(st->p.offload && st->ref_forward && count > 0 && count <= st->p.rows);
    if (!st->kl && stepper_window_has(&st->window, order, count)) return st->window.steps++, true;
    if (!train_offload_bring(st->p.offload) ||
        !run_step(st, NULL, &(struct rows){set, order, count, false}, REF_RECORD, NULL))
        return false;
    st->window.steps++;
    return true;
}

// The reference update of a step whose results are then queued. A reference that visits goes home
// with its new values, and stays for the scoring that follows.
static bool update_reference(struct train_stepper *st, int slot)
{
    if (st->p.offload && !train_offload_bring(st->p.offload)) return false;
    if (!vk_seq_submit(st->ref_update) || !vk_seq_submit(st->finish[slot])) return false;
    return !st->p.offload || train_offload_keep(st->p.offload);
}

bool train_stepper_step(struct train_stepper *st, const struct data_set *set, const uint32_t *order,
                        uint32_t count, const struct train_step *step)
{
    CHECK(st->training && count > 0 && count <= st->p.rows &&
          st->queued - st->collected < STEPPER_SLOTS);
    const struct rows rows = {set, order, count, false};
    int slot = (int)(st->queued % STEPPER_SLOTS);
    struct stepper_flight *flight = &st->flights[slot];
    enum ref_source source = REF_FORWARD;
    if (st->p.offload) {
        CHECK(train_stepper_window_steps(st) > 0);
        source = REF_WINDOW;
        st->window.taken++;
        if (!train_offload_leave(st->p.offload)) return false;
    }
    if (!send_values(st, &rows, step) ||
        !run_step(st, st->train_pass, &rows, source, flight->place) || !vk_seq_submit(st->optimise))
        return false;
    if (step->update_reference ? !update_reference(st, slot) : !vk_seq_submit(st->finish[slot]))
        return false;
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
    int slot = (int)(st->collected % STEPPER_SLOTS);
    const struct stepper_flight *flight = &st->flights[slot];
    if (!vk_wait(st->p.device, flight->ticket)) return false;
    const uint8_t *host = vk_host(st->p.device, st->readback_slot[slot]);
    memcpy(results, host, sizeof *results);
    st->skipped = results->skipped;
    pick_rows(st, host + STEPPER_RESULTS_AT, flight->place, flight->count, rows);
    st->collected++;
    return true;
}

// ---- without training ----

bool train_stepper_evaluate(struct train_stepper *st, const struct data_set *set,
                            const uint32_t *order, uint32_t count, union train_row_metrics *rows)
{
    CHECK(count > 0 && count <= st->p.rows && st->queued == st->collected);
    const struct rows batch = {set, order, count, false};
    uint32_t *place = MEM_ARRAY(uint32_t, count);
    uint8_t *host = mem_calloc(count, st->row_bytes);
    bool ok = (!st->p.offload || train_offload_bring(st->p.offload)) &&
              send_values(st, &batch, NULL) &&
              run_batch(st, st->eval_pass, &batch, 0, REF_FORWARD, place) &&
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
    const struct rows rows = {set, order, count, false};
    uint32_t per_row = st->kind == DATA_PAIRS ? 2 : 1;
    uint32_t packs = data_pack_plan(set, order, count, st->p.tokens, st->pack_of);
    float *host = MEM_ARRAY(float, st->batch.sequences);
    bool ok = true;
    for (uint32_t i = 0; ok && i < packs; i++) {
        ok = send_pack(st, &rows, i, &(struct model_batch_place){0}, st->pack_rows) &&
             vk_seq_submit(st->score_pass) &&
             vk_read(st->p.device, st->sums, host, st->pack.sequences * sizeof(float));
        for (uint32_t j = 0; ok && j < count; j++) {
            if (st->pack_of[j] != i) continue;
            memcpy(&sums[j * per_row], &host[st->pack_rows[j] * per_row], per_row * sizeof(float));
        }
    }
    mem_free(host);
    return ok;
}

bool train_stepper_set_counts(struct train_stepper *st, const struct step_results *counts)
{
    struct step_results results = {.ref_updates = counts->ref_updates};
    if (st->p.precision.loss_scale) {
        results.grad_scale = counts->grad_scale > 0 ? counts->grad_scale : LOSS_SCALE_START;
        results.steady = counts->steady;
        results.skipped = st->skipped = counts->skipped;
    }
    return vk_write(st->p.device, st->results, &results, sizeof results);
}
