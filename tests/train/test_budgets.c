// A step does not depend on its token budget: rows in passes of exactly the longest row, of twice
// as much, and all in one pass come to the same metrics and the same gradient, to rounding, for
// losses of single rows and for those that look at a whole batch.
#include "../common/device.h"
#include "../common/fixture.h"
#include "../common/scratch.h"

#include "base/error.h"
#include "base/mem.h"
#include "data/pack.h"
#include "train/stepper.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define MAX_ROWS 32
#define MAX_LENGTH 200

struct trial {
    struct fixture f;
    struct train_config config;
    struct data_set set;
    struct model_weights policy, ref;
    uint32_t rows, order[MAX_ROWS];
};

// Metrics of the rows, and the first moment, which after one step is a tenth of the gradient.
struct outcome {
    union train_row_metrics rows[MAX_ROWS];
    float grad_norm, *moment;
};

static void set(struct trial *t, const char *key, const char *value)
{
    REQUIRE(train_config_set(&t->config, key, value, "test"));
}

static void trial_open(struct trial *t, const char *method, const char *loss)
{
    *t = (struct trial){0};
    fixture_open(&t->f, device, "tiny-llama3", true);
    train_config_init(&t->config);
    set(t, "model_name_or_path", TEST_FIXTURES "/tiny-llama3");
    set(t, "dataset_name", TEST_FIXTURES "/prefs.jsonl");
    set(t, "output_dir", "unused");
    set(t, "method", method);
    if (loss) set(t, "loss_type", loss);
    set(t, "max_length", "200");
    set(t, "per_device_train_batch_size", "8");
    set(t, "gradient_accumulation_steps", strcmp(method, "kto") == 0 ? "4" : "2");
    set(t, "max_grad_norm", "1e6");
    REQUIRE(train_config_check(&t->config));
    REQUIRE(data_load(&t->set, &(struct data_params){.path = TEST_FIXTURES "/prefs.jsonl",
                                                     .tokenizer = t->f.tokenizer,
                                                     .kind = train_data_kind(&t->config),
                                                     .completion_only = true,
                                                     .max_length = MAX_LENGTH}));
    t->rows = (uint32_t)t->set.rows.count;
    assert_int_equal(t->rows, t->set.kind == DATA_UNPAIRED ? 32 : 16);
    for (uint32_t i = 0; i < t->rows; i++)
        t->order[i] = (i * 5 + 3) % t->rows;
    fixture_weights(&t->f, &t->ref, "-ref");
}

static void trial_close(struct trial *t)
{
    model_weights_finish(&t->ref);
    data_finish(&t->set);
    train_config_finish(&t->config);
    fixture_close(&t->f);
}

static struct outcome step(struct trial *t, uint32_t tokens)
{
    struct model_weights policy, grad, m, v;
    struct outcome out = {.moment = MEM_ARRAY(float, t->f.layout.elements)};
    struct step_results results;
    fixture_weights(&t->f, &policy, "");
    fixture_weights(&t->f, &grad, NULL);
    fixture_weights(&t->f, &m, NULL);
    fixture_weights(&t->f, &v, NULL);
    bool texts = t->set.kind == DATA_TEXTS || t->config.method == TRAIN_CPO;
    struct train_stepper *st =
        train_stepper_create(&(struct train_stepper_params){.device = device,
                                                            .config = &t->config,
                                                            .layout = &t->f.layout,
                                                            .policy = &policy,
                                                            .ref = texts ? NULL : &t->ref,
                                                            .grad = &grad,
                                                            .m = &m,
                                                            .v = &v,
                                                            .tokens = tokens,
                                                            .rows = t->rows});
    REQUIRE(st);
    struct train_step number = {.number = 1, .learning_rate = 1e-3};
    REQUIRE(train_stepper_step(st, &t->set, t->order, t->rows, &number));
    REQUIRE(train_stepper_collect(st, out.rows, &results));
    assert_int_equal(results.nonfinite, 0);
    out.grad_norm = results.grad_norm;
    for (size_t i = 0; i < t->f.layout.tensor_count; i++) {
        const struct model_tensor *tensor = &t->f.layout.tensors[i];
        REQUIRE(model_weights_read(&m, tensor, out.moment + tensor->offset));
    }
    train_stepper_destroy(st);
    model_weights_finish(&policy);
    model_weights_finish(&grad);
    model_weights_finish(&m);
    model_weights_finish(&v);
    return out;
}

// The metrics of a row as numbers.
static size_t numbers(const struct trial *t, const union train_row_metrics *row,
                      const float **first)
{
    *first = (const float *)row;
    switch (t->set.kind) {
    case DATA_PAIRS:
        return sizeof row->pair / sizeof(float);
    case DATA_TEXTS:
        return sizeof row->sequence / sizeof(float);
    default:
        return sizeof row->unpaired / sizeof(float);
    }
}

static void compare_rows(const struct trial *t, uint32_t tokens, const struct outcome *want,
                         const struct outcome *got)
{
    for (uint32_t i = 0; i < t->rows; i++) {
        const float *a, *b;
        size_t count = numbers(t, &want->rows[i], &a);
        numbers(t, &got->rows[i], &b);
        for (size_t k = 0; k < count; k++) {
            // Rewards are differences of sums of about 100.
            double off = fabs((double)a[k] - (double)b[k]);
            if (!(off <= 1e-6 * fabs((double)a[k]) + 1e-5))
                fail_msg("budget %u, row %u: number %zu is %.9g, not %.9g", tokens, i, k,
                         (double)b[k], (double)a[k]);
        }
    }
}

static double moment_off(const struct trial *t, const struct outcome *want,
                         const struct outcome *got)
{
    double off = 0, norm = 0;
    for (size_t i = 0; i < t->f.layout.tensor_count; i++) {
        const struct model_tensor *tensor = &t->f.layout.tensors[i];
        for (uint64_t k = tensor->offset; k < tensor->offset + tensor->count; k++) {
            double a = (double)want->moment[k], b = (double)got->moment[k];
            off += (a - b) * (a - b);
            norm += a * a;
        }
    }
    assert_true(norm > 0);
    return sqrt(off / norm);
}

static void compare_budgets(const char *method, const char *loss)
{
    struct trial t;
    trial_open(&t, method, loss);
    uint32_t longest = 0, all = 0;
    for (uint32_t i = 0; i < t.rows; i++) {
        uint32_t slots = data_row_slots(&t.set.rows.items[i]);
        if (slots > longest) longest = slots;
        all += slots;
    }
    if (t.config.method == TRAIN_KTO) {
        uint32_t other = data_mismatched_longest(&t.set, MAX_LENGTH);
        if (other > longest) longest = other;
        all = t.rows * longest; // holds the mismatched rows too
    }
    struct outcome want = step(&t, all);
    for (uint32_t times = 1; times <= 2; times++) {
        struct outcome got = step(&t, times * longest);
        compare_rows(&t, times * longest, &want, &got);
        double off = moment_off(&t, &want, &got);
        print_message("%s %s: budget %u beside %u: gradient off by %.1e of its norm\n", method,
                      loss ? loss : "", times * longest, all, off);
        assert_true(off < 2e-6);
        assert_true(fabs((double)(got.grad_norm - want.grad_norm)) < 2e-6 * (double)want.grad_norm);
        mem_free(got.moment);
    }
    mem_free(want.moment);
    trial_close(&t);
}

static void pairs(void **state)
{
    (void)state;
    compare_budgets("dpo", "sigmoid");
    compare_budgets("dpo", "ipo");
    compare_budgets("cpo", "simpo");
}

static void batches_of_pairs(void **state)
{
    (void)state;
    compare_budgets("dpo", "aot");
    compare_budgets("dpo", "aot_unpaired");
    compare_budgets("dpo", "sigmoid,sft");
}

static void unpaired(void **state)
{
    (void)state;
    compare_budgets("kto", "kto");
    compare_budgets("kto", "apo_zero_unpaired");
}

static void texts(void **state)
{
    (void)state;
    compare_budgets("sft", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),
        cmocka_unit_test(batches_of_pairs),
        cmocka_unit_test(unpaired),
        cmocka_unit_test(texts),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, device_open, device_close);
}
