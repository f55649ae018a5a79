// dtype: bf16: forward and backward see the weights rounded to bf16, the optimiser and the
// reference update the fp32 masters.
#define _POSIX_C_SOURCE 200809L // setenv
#include "trial.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static void open_as(struct trial *t, const char *name, const char *keys, const char *ref,
                    bool scaled)
{
    cJSON *settings = json_parse(keys, strlen(keys), "settings");
    REQUIRE(settings);
    trial_open(t, device,
               &(struct trial_params){.name = name,
                                      .ref = ref,
                                      .alpha = "0.6",
                                      .every = "2",
                                      .loss_scale = scaled,
                                      .settings = {settings}});
    cJSON_Delete(settings);
}

static void open_scaled(struct trial *t, const char *name, const char *keys, bool scaled)
{
    open_as(t, name, keys, "-ref", scaled);
}

static void open(struct trial *t, const char *name, const char *keys)
{
    open_as(t, name, keys, "-ref", false);
}

// Rounds weights to the nearest bf16, ties away from zero, as the upper halves of masters are.
static void round_weights(struct model_weights *w)
{
    for (size_t i = 0; i < w->layout->tensor_count; i++) {
        const struct model_tensor *tensor = &w->layout->tensors[i];
        float *values = MEM_ARRAY(float, tensor->count);
        REQUIRE(model_weights_read(w, tensor, values));
        for (uint64_t k = 0; k < tensor->count; k++) {
            uint32_t bits;
            memcpy(&bits, &values[k], 4);
            bits = (bits + 0x8000u) & 0xffff0000u;
            memcpy(&values[k], &bits, 4);
        }
        REQUIRE(model_weights_write(w, tensor, values));
        mem_free(values);
    }
}

// What a step says, and the gradient it would have applied: that of fp32 training on weights that
// are rounded beforehand, to the bit.
static void passes_see_rounded_weights(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-gqa", "tiny-llama3"};
    for (size_t i = 0; i < 2; i++) {
        struct trial halves, rounded;
        open(&halves, names[i], "{\"dtype\": \"bf16\"}");
        open(&rounded, names[i], "{\"dtype\": \"fp32\"}");
        assert_int_equal(halves.policy.storage, MODEL_MASTER);
        assert_int_equal(rounded.policy.storage, MODEL_F32);
        assert_false(trial_same_bits(&halves.ref, &halves.policy));
        round_weights(&rounded.policy);
        round_weights(&rounded.ref);
        trial_step(&halves, 1);
        trial_step(&rounded, 1);
        assert_memory_equal(halves.rows, rounded.rows, sizeof halves.rows);
        assert_memory_equal(&halves.results, &rounded.results, sizeof halves.results);
        assert_false(trial_same_bits(&halves.policy, &rounded.policy)); // masters were not rounded
        // AdamW's first moments are a multiple of the gradient.
        assert_true(trial_same_bits(&halves.m, &rounded.m));
        trial_close(&halves);
        trial_close(&rounded);
    }
}

// Steps over a thousandth of a bf16's last digit add up in the masters: both policies and
// references go the same way. The reference begins as the model, so that it moves as little.
static void small_steps_add_up(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "{\"dtype\": \"bf16\", \"learning_rate\": 1e-6}",
        "{\"dtype\": \"bf16\", \"learning_rate\": 1e-6, \"gradient_dtype\": \"bf16\"}"};
    struct trial exact;
    open_as(&exact, "tiny-gqa", "{\"learning_rate\": 1e-6}", NULL, false);
    float *start[] = {trial_values(&exact.policy), trial_values(&exact.ref)};
    for (int step = 1; step <= TRIAL_STEPS; step++)
        trial_step(&exact, step);
    float *want[] = {trial_values(&exact.policy), trial_values(&exact.ref)};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct trial t;
        open_as(&t, "tiny-gqa", keys[i], NULL, false);
        for (int step = 1; step <= TRIAL_STEPS; step++)
            trial_step(&t, step);
        float *got[] = {trial_values(&t.policy), trial_values(&t.ref)};
        double off[2];
        for (int k = 0; k < 2; k++) {
            double apart = 0, change = 0;
            for (uint64_t j = 0; j < t.f.layout.elements; j++) {
                double by = (double)want[k][j] - (double)start[k][j];
                double d = (double)got[k][j] - (double)want[k][j];
                change += by * by;
                apart += d * d;
            }
            off[k] = sqrt(apart / change);
            mem_free(got[k]);
        }
        print_message("%s: policy off by %.3f of its change, reference by %.4f\n", keys[i], off[0],
                      off[1]);
        // AdamW's first steps are a learning rate each, whichever way a gradient points: one near 0
        // that rounding turns is off by twice that. 0.18 was measured; 1 were steps that are lost.
        assert_true(off[0] > 0 && off[0] < 0.36 && off[1] > 0 && off[1] < 0.36);
        trial_close(&t);
    }
    for (int k = 0; k < 2; k++)
        mem_free(start[k]), mem_free(want[k]);
    trial_close(&exact);
}

// The gradient in bf16 is the one in fp32, rounded: AdamW's first moments are a tenth of it. Of a
// tied embedding it is a sum of two, of head and embedding, and each is rounded.
static void gradient_is_rounded(void **state)
{
    (void)state;
    struct trial fine, coarse;
    open(&fine, "tiny-gqa", "{\"dtype\": \"bf16\", \"max_grad_norm\": 0}");
    open(&coarse, "tiny-gqa",
         "{\"dtype\": \"bf16\", \"max_grad_norm\": 0, \"gradient_dtype\": \"bf16\"}");
    assert_int_equal(coarse.grad.storage, MODEL_BF16);
    assert_int_equal(coarse.grad.arena.used, fine.grad.arena.used / 2);
    trial_step(&fine, 1);
    trial_step(&coarse, 1);
    float *a = trial_values(&fine.m), *b = trial_values(&coarse.m);
    uint64_t rounded = 0, first = fine.f.layout.layers[0].attention_norm;
    double largest = 0;
    for (uint64_t i = first; i < fine.f.layout.elements; i++)
        largest = fmax(largest, (double)fabsf(a[i]));
    for (uint64_t i = first; i < fine.f.layout.elements; i++) {
        // Half a unit in the last place of 8 bits; and the fp32 sums behind the two are cut at
        // different depths, so that they differ by a share of their terms, however small they are.
        double off = fabs((double)a[i] - (double)b[i]);
        if (off > (double)fabsf(a[i]) / 256 + 1e-6 * largest)
            fail_msg("element %llu: %.9g, in bf16 %.9g", (unsigned long long)i, (double)a[i],
                     (double)b[i]);
        rounded += off > 0;
    }
    assert_true(rounded > 0);
    mem_free(a);
    mem_free(b);
    trial_close(&fine);
    trial_close(&coarse);
}

// The scale is a power of two, so where fp32 has room it changes nothing but exponents on the way.
static void scale_leaves_no_trace(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "{\"dtype\": \"fp32\"}",
        "{\"dtype\": \"bf16\", \"gradient_dtype\": \"bf16\", \"optim\": \"adamw_8bit\"}"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct trial plain, scaled;
        open(&plain, "tiny-gqa", keys[i]);
        open_scaled(&scaled, "tiny-gqa", keys[i], true);
        for (int step = 1; step <= TRIAL_STEPS; step++) {
            trial_step(&plain, step);
            trial_step(&scaled, step);
            assert_memory_equal(scaled.rows, plain.rows, sizeof plain.rows);
            assert_true(scaled.results.grad_norm == plain.results.grad_norm);
            assert_true(scaled.results.grad_scale == LOSS_SCALE_START);
            assert_int_equal(scaled.results.steady, step);
        }
        assert_true(trial_same_bits(&scaled.policy, &plain.policy));
        assert_true(trial_same_bits(&scaled.ref, &plain.ref));
        trial_close(&plain);
        trial_close(&scaled);
    }
}

// Steps that overflow change nothing and do not count for AdamW: the next one is as if they had not
// been, under a smaller scale.
static void overflow_is_left_out(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "{\"lr_scheduler_type\": \"constant\"}",
        "{\"lr_scheduler_type\": \"constant\", \"dtype\": \"bf16\", \"gradient_dtype\": \"bf16\", "
        "\"optim\": \"adamw_8bit\"}"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct trial plain, scaled;
        open(&plain, "tiny-gqa", keys[i]);
        open_scaled(&scaled, "tiny-gqa", keys[i], true);
        plain.config.sync_ref_model = scaled.config.sync_ref_model = false;
        const struct model_tensor *tensor =
            model_layout_find(&scaled.f.layout, "model.norm.weight");
        for (int step = 1; step <= 4; step++) {
            // Steps 2 and 3 overflow.
            bool bad = step == 2 || step == 3;
            float *values = MEM_ARRAY(float, tensor->count);
            values[3] = INFINITY;
            if (bad) REQUIRE(model_weights_write(&scaled.grad, tensor, values));
            mem_free(values);
            trial_try_step(&scaled, step);
            assert_int_equal(scaled.results.nonfinite != 0, bad);
            if (!bad) trial_step(&plain, step == 1 ? 1 : 2);
            assert_int_equal(scaled.results.skipped, step < 2 ? 0 : step < 3 ? 1 : 2);
        }
        assert_true(scaled.results.grad_scale == LOSS_SCALE_START / 4);
        assert_int_equal(scaled.results.steady, 1);
        assert_true(trial_same_bits(&scaled.policy, &plain.policy));
        trial_close(&plain);
        trial_close(&scaled);
    }
}

static double distance(const struct model_weights *got, const struct model_weights *want)
{
    float *a = trial_values(got), *b = trial_values(want);
    double apart = 0, size = 0;
    for (uint64_t i = 0; i < want->layout->elements; i++) {
        apart += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    mem_free(a);
    mem_free(b);
    return sqrt(apart / size);
}

// Matrix units by the values of dtype and TRDPO_TIER that ask for them, and how far from fp32 the
// gradient and a row's loss may be.
struct kind {
    const char *keys, *tier;
    enum op_units units;
    bool free_sizes;
    double gradient, loss;
};

static void products_on(const struct kind *kind, const char *model)
{
    struct trial exact, units;
    open(&exact, model, "{\"dtype\": \"fp32\"}");
    round_weights(&exact.policy);
    round_weights(&exact.ref);
    trial_step(&exact, 1);
    setenv("TRDPO_TIER", kind->tier, 1);
    open(&units, model, kind->keys);
    trial_try_step(&units, 1);
    // The scale that PyTorch begins with may be too much: then the step is left out.
    for (int step = 2; units.results.nonfinite && step < 10; step++)
        trial_try_step(&units, step);
    unsetenv("TRDPO_TIER");
    assert_int_equal(units.results.nonfinite, 0);
    double off = distance(&units.m, &exact.m), loss = 0;
    for (int k = 0; k < TRIAL_ROWS; k++)
        loss = fmax(loss, fabs((double)units.rows[k].pair.loss - (double)exact.rows[k].pair.loss));
    print_message("%s, %s, %s: gradient off by %.1e, losses by %.1e at most; scale %g\n", model,
                  kind->keys, kind->tier, off, loss, (double)units.results.grad_scale);
    assert_true(off > 1e-5 && off < kind->gradient);
    assert_true(loss < kind->loss);
    trial_close(&exact);
    trial_close(&units);
}

// With factors of 11 bits the gradient is that of fp32 products on the same rounded weights to a
// few units of those. PyTorch with its linear layers' factors rounded to fp16, on other rows of the
// same models, comes to 2.3e-3 and 1.9e-3. Factors of bf16 have 8 bits.
static void products_on_matrix_units(void **state)
{
    static const struct kind kinds[] = {
        {"{\"dtype\": \"fp16\"}", "coopmat", OP_UNITS_FP16, false, 7e-3, 2e-3},
        {"{\"dtype\": \"fp16\"}", "coopmat2", OP_UNITS_FP16, true, 7e-3, 2e-3},
        {"{\"dtype\": \"bf16\"}", "coopmat", OP_UNITS_BF16, false, 56e-3, 16e-3},
        {"{\"dtype\": \"bf16\"}", "coopmat2", OP_UNITS_BF16, true, 56e-3, 16e-3},
    };
    size_t had = 0;
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *kind = &kinds[i];
        bool has = kind->free_sizes ? op_units_grains(device, kind->units) != NULL
                                    : op_units_matrix(device, kind->units) != NULL;
        if (!has) {
            print_message("%s, %s: left out: the device has no such matrix units, or this build no "
                          "kernels for them\n",
                          kind->keys, kind->tier);
            continue;
        }
        products_on(kind, "tiny-gqa");
        products_on(kind, "tiny-llama3");
        had++;
    }
    if (!had) skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_see_rounded_weights), cmocka_unit_test(small_steps_add_up),
        cmocka_unit_test(gradient_is_rounded),        cmocka_unit_test(products_on_matrix_units),
        cmocka_unit_test(scale_leaves_no_trace),      cmocka_unit_test(overflow_is_left_out),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
