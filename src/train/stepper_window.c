// Reference log-probs of coming steps, in host memory.
#include "train/stepper_state.h"

#include "base/error.h"
#include "base/mem.h"

#include <string.h>

#define UPLOAD_FLOATS ((size_t)1 << 21) // at a time

void stepper_window_clear(struct stepper_window *w)
{
    ARRAY_FREE(&w->values);
    ARRAY_FREE(&w->others);
    mem_free(w->row_at);
    *w = (struct stepper_window){0};
}

bool stepper_window_has(const struct stepper_window *w, const uint32_t *order, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!w->row_at || !w->row_at[order[i]]) return false;
    return true;
}

// Scored positions of row i of a pack: [*first, return value).
static uint32_t row_range(const struct train_stepper *st, uint32_t i, uint32_t *first)
{
    uint32_t per_row = st->kind == DATA_PAIRS ? 2 : 1;
    *first = st->pack.sequence_first[i * per_row];
    return st->pack.sequence_first[(i + 1) * per_row];
}

bool stepper_window_put(struct train_stepper *st, struct stepper_window *w,
                        const struct data_set *set, bool others)
{
    size_t count = st->pack.scored, begin = w->values.count;
    ARRAY_RESERVE(&w->values, begin + count);
    if (!vk_read(st->p.device, st->ref_logp, w->values.items + begin, count * sizeof(float)))
        return false;
    w->values.count += count;
    if (others) {
        ARRAY_PUSH(&w->others, begin);
        return true;
    }
    if (!w->row_at) w->row_at = MEM_ARRAY(size_t, set->rows.count);
    for (uint32_t i = 0; i < st->pack.rows; i++) {
        uint32_t first;
        row_range(st, i, &first);
        w->row_at[st->pack.row_index[i]] = begin + first + 1;
    }
    return true;
}

bool stepper_window_take(struct train_stepper *st, struct stepper_window *w, bool others)
{
    size_t count = st->pack.scored;
    float *values = MEM_ARRAY(float, count);
    if (others) {
        CHECK(w->other < w->others.count);
        memcpy(values, w->values.items + w->others.items[w->other++], count * sizeof(float));
    }
    for (uint32_t i = 0; !others && i < st->pack.rows; i++) {
        uint32_t first, end = row_range(st, i, &first);
        size_t at = w->row_at[st->pack.row_index[i]];
        CHECK(at && at - 1 + (end - first) <= w->values.count);
        memcpy(values + first, w->values.items + at - 1, (end - first) * sizeof(float));
    }
    bool ok = true;
    for (size_t i = 0; ok && i < count; i += UPLOAD_FLOATS) {
        size_t n = count - i < UPLOAD_FLOATS ? count - i : UPLOAD_FLOATS;
        ok = vk_upload(st->p.device, st->ref_logp + i * sizeof(float), values + i,
                       n * sizeof(float));
    }
    mem_free(values);
    return ok;
}

uint32_t train_stepper_window_steps(const struct train_stepper *st)
{
    return st->window.steps - st->window.taken;
}

uint64_t train_stepper_window_bytes(const struct train_stepper *st)
{
    return st->window.values.count * sizeof(float);
}

void train_stepper_window_begin(struct train_stepper *st)
{
    CHECK(!train_stepper_window_steps(st));
    stepper_window_clear(&st->window);
}
