// Losses that look at the whole batch see all its rows, and no others, however the rows are packed.
#include "running.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "hf/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SCRATCH "test_batches.scratch"
#define LIMIT 5e-6 // of the gradient: what another order of summation does

struct loss {
    const char *method, *type, *weighting;
};

static const struct loss losses[] = {
    {"dpo", "aot", "false"},          {"dpo", "aot_unpaired", "false"},
    {"dpo", "kto_pair", "false"},     {"dpo", "sigmoid,sft", "false"},
    {"dpo", "sft,sigmoid", "true"},   {"dpo", "orpo", "false"},
    {"dpo", "kto_pair,aot", "false"}, {"cpo", "simpo", "false"},
    {"kto", "kto", "false"},          {"kto", "apo_zero_unpaired", "false"},
};
#define COUNT (sizeof losses / sizeof *losses)

// Three steps of two batches of four.
static void go(const struct loss *l, const char *dir, const char *budget, const char *batch,
               const char *accumulation)
{
    struct train_config c;
    RUNNING_CONFIG(&c, dir, "method", l->method, "loss_type", l->type, "max_steps", "3",
                   "per_device_train_batch_size", batch, "gradient_accumulation_steps",
                   accumulation, "token_budget", budget, "learning_rate", "1e-6", "use_weighting",
                   l->weighting);
    if (strcmp(l->method, "cpo") != 0 && strcmp(l->type, "orpo") != 0)
        REQUIRE(
            train_config_set(&c, "ref_model_name_or_path", TEST_FIXTURES "/tiny-gqa-ref", "test"));
    REQUIRE(file_remove_tree(dir));
    if (running_go(&c, device, 0) != TRAIN_FINISHED)
        fail_msg("%s %s: %s", l->method, l->type, err_message());
    train_config_finish(&c);
}

// Norm of the difference of two runs' mean gradients (AdamW's first moments), as a share of theirs.
// The weights would not do: AdamW's first steps are as large where a gradient is but rounding.
static double distance(const char *a, const char *b)
{
    char *a_path = file_join(a, "checkpoint-3/optimizer.safetensors");
    char *b_path = file_join(b, "checkpoint-3/optimizer.safetensors");
    struct hf_tensors *x = hf_tensors_open(a_path), *y = hf_tensors_open(b_path);
    REQUIRE(x && y);
    double difference = 0, whole = 0;
    for (size_t i = 0; i < hf_tensors_count(x); i++) {
        const struct hf_tensor *t = hf_tensors_at(x, i);
        if (!str_starts_with(t->name, "exp_avg.")) continue;
        const float *u = t->data, *v = hf_tensors_find(y, t->name)->data;
        for (uint64_t k = 0; k < t->count; k++) {
            difference += pow((double)u[k] - (double)v[k], 2);
            whole += pow((double)u[k], 2);
        }
    }
    hf_tensors_close(x);
    hf_tensors_close(y);
    mem_free(a_path);
    mem_free(b_path);
    assert_true(whole > 0);
    return sqrt(difference / whole);
}

static void packing_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        const struct loss *l = &losses[i];
        go(l, SCRATCH "/one", "2048", "4", "2");
        go(l, SCRATCH "/many", "170", "4", "2"); // little more than the longest row
        double off = distance(SCRATCH "/one", SCRATCH "/many");
        print_message("%s %s: gradient off by %.1e\n", l->method, l->type, off);
        if (!(off < LIMIT)) fail_msg("%s depends on the packing", l->type);
    }
}

// Two batches of four are not one of eight.
static void batches_stay_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT - 1; i++) {
        const struct loss *l = &losses[i];
        go(l, SCRATCH "/two", "0", "4", "2");
        go(l, SCRATCH "/eight", "0", "8", "1");
        double off = distance(SCRATCH "/two", SCRATCH "/eight");
        if (!(off > 10 * LIMIT)) fail_msg("%s: the batch has no part in it (%.1e)", l->type, off);
    }
    const struct loss *single = &losses[COUNT - 1];
    go(single, SCRATCH "/two", "0", "4", "2");
    go(single, SCRATCH "/eight", "0", "8", "1");
    assert_true(distance(SCRATCH "/two", SCRATCH "/eight") < LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packing_changes_nothing),
        cmocka_unit_test(batches_stay_apart),
    };
    if (device_skip()) return device_skip();
    device_scratch = SCRATCH;
    return cmocka_run_group_tests(tests, device_begin, device_end);
}
