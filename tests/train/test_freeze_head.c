// freeze_head: forward is what it was, backward differs by rounding, and the head by nothing.
#include "running.h"
#include "trial.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SCRATCH "test_freeze_head.scratch"
#define WHOLE SCRATCH "/whole"
#define CUT SCRATCH "/cut"
#define MODEL TEST_FIXTURES "/tiny-llama3" // which has a head of its own

// Decay takes a tenth of a weight's learning rate each step: nobody would miss it.
static void open(struct trial *t, const char *keys, uint32_t tokens, bool frozen)
{
    cJSON *settings = json_parse(keys, strlen(keys), "settings");
    const char *more = frozen ? "{\"freeze_head\": true, \"weight_decay\": 10}"
                              : "{\"freeze_head\": false, \"weight_decay\": 10}";
    cJSON *freeze = json_parse(more, strlen(more), "settings");
    REQUIRE(settings && freeze);
    trial_open(t, device,
               &(struct trial_params){.name = "tiny-llama3",
                                      .ref = "-ref",
                                      .alpha = "0.6",
                                      .every = "2",
                                      .max_grad_norm = "0",
                                      .settings = {settings, freeze},
                                      .tokens = tokens});
    cJSON_Delete(settings);
    cJSON_Delete(freeze);
}

static bool is_head(const struct model_weights *w, const struct model_tensor *t)
{
    return t->offset == w->layout->head;
}

// Norm of the difference as a share of the norm of `want`.
static double distance(const float *got, const float *want, const struct model_tensor *t)
{
    double off = 0, norm = 0;
    for (uint64_t k = t->offset; k < t->offset + t->count; k++) {
        double d = (double)got[k] - (double)want[k];
        off += d * d;
        norm += (double)want[k] * (double)want[k];
    }
    assert_true(norm > 0);
    return sqrt(off / norm);
}

// Of one step: what it tells, and AdamW's first moments, a tenth of the gradient.
static void same_but_for_the_head(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        uint32_t tokens;
    } cases[] = {
        {"{}", 0},
        {"{}", 192}, // many passes
        {"{\"loss_type\": \"ipo\"}", 700},
        {"{\"loss_type\": \"aot\"}", 192}, // a batch is run twice
        {"{\"method\": \"kto\"}", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trial trained, frozen;
        open(&trained, cases[i].keys, cases[i].tokens, false);
        open(&frozen, cases[i].keys, cases[i].tokens, true);
        trial_step(&trained, 1);
        trial_step(&frozen, 1);
        assert_memory_equal(trained.rows, frozen.rows, sizeof trained.rows);
        assert_true(frozen.results.grad_norm < trained.results.grad_norm);
        float *want = trial_values(&trained.m), *got = trial_values(&frozen.m);
        double worst = 0;
        for (size_t k = 0; k < frozen.f.layout.tensor_count; k++) {
            const struct model_tensor *t = &frozen.f.layout.tensors[k];
            if (is_head(&frozen.policy, t)) {
                for (uint64_t j = t->offset; j < t->offset + t->count; j++)
                    assert_true(got[j] == 0);
                continue;
            }
            double off = distance(got, want, t);
            if (!(off < 2e-6)) fail_msg("case %zu: gradient of %s is off by %.1e", i, t->name, off);
            if (off > worst) worst = off;
        }
        print_message("case %zu: gradients off by %.1e of a parameter's norm at most\n", i, worst);
        mem_free(want);
        mem_free(got);
        trial_close(&trained);
        trial_close(&frozen);
    }
}

static void head_of(const struct model_weights *w, float **values, const struct model_tensor **head)
{
    for (size_t k = 0; k < w->layout->tensor_count; k++)
        if (is_head(w, &w->layout->tensors[k])) *head = &w->layout->tensors[k];
    *values = MEM_ARRAY(float, (*head)->count);
    REQUIRE(model_weights_read(w, *head, *values));
}

// Every bit of the policy's head stays, whatever the optimiser; all else moves. The reference's
// head comes nearer to it.
static void head_stays(void **state)
{
    (void)state;
    static const char *const keys[] = {"{}", "{\"optim\": \"adamw_8bit\"}", "{\"dtype\": \"bf16\"}",
                                       "{\"dtype\": \"bf16\", \"gradient_dtype\": \"bf16\"}"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct trial t;
        float *before, *after, *start, *end, *ref_before, *ref_after;
        const struct model_tensor *head;
        open(&t, keys[i], 400, true);
        start = trial_values(&t.policy);
        head_of(&t.policy, &before, &head);
        head_of(&t.ref, &ref_before, &head);
        for (int step = 1; step <= TRIAL_STEPS; step++)
            trial_step(&t, step);
        end = trial_values(&t.policy);
        head_of(&t.policy, &after, &head);
        head_of(&t.ref, &ref_after, &head);
        assert_memory_equal(before, after, head->count * sizeof(float));
        double was = 0, is = 0;
        for (uint64_t k = 0; k < head->count; k++) {
            was += fabs((double)ref_before[k] - (double)before[k]);
            is += fabs((double)ref_after[k] - (double)before[k]);
        }
        assert_true(is < was);
        for (size_t k = 0; k < t.f.layout.tensor_count; k++) {
            const struct model_tensor *tensor = &t.f.layout.tensors[k];
            bool same = memcmp(start + tensor->offset, end + tensor->offset,
                               tensor->count * sizeof(float)) == 0;
            assert_true(same == is_head(&t.policy, tensor));
        }
        float *all[] = {before, after, start, end, ref_before, ref_after};
        for (size_t k = 0; k < 6; k++)
            mem_free(all[k]);
        trial_close(&t);
    }
}

// ---- runs ----

static enum train_outcome go(const char *dir, const char *model, const char *freeze,
                             const char *checkpointing, const char *resume, int64_t stop_at)
{
    struct train_config c;
    RUNNING_CONFIG(&c, dir, "model_name_or_path", model, "max_steps", "6",
                   "per_device_train_batch_size", "3", "gradient_accumulation_steps", "2",
                   "save_steps", "3", "ref_model_sync_steps", "2", "token_budget", "400",
                   "weight_decay", "0.1", "freeze_head", freeze, "gradient_checkpointing",
                   checkpointing, "resume_from_checkpoint", resume);
    enum train_outcome outcome = running_go(&c, device, stop_at);
    train_config_finish(&c);
    return outcome;
}

static void resumes_exactly(void **state)
{
    (void)state;
    assert_int_equal(go(WHOLE, MODEL, "true", "off", "false", 0), TRAIN_FINISHED);
    assert_int_equal(go(CUT, MODEL, "true", "on", "false", 4), TRAIN_STOPPED);
    assert_int_equal(go(CUT, MODEL, "true", "off", "true", 0), TRAIN_FINISHED);
    running_same_metrics(WHOLE, CUT);
    running_same_checkpoint(WHOLE, CUT, 6);
    expect_same_file(scratch("whole/model.safetensors"), scratch("cut/model.safetensors"));
}

static void refused(void **state)
{
    (void)state;
    // A head that is the embedding; and nothing is left behind.
    REQUIRE(file_remove_tree(CUT));
    assert_int_equal(go(CUT, TEST_FIXTURES "/tiny-gqa", "true", "off", "false", 0), TRAIN_FAILED);
    assert_int_equal(err_current(), ERR_USER);
    assert_non_null(strstr(err_message(), "freeze_head: the head of"));
    assert_non_null(strstr(err_message(), "tie_word_embeddings"));
    assert_false(file_is_dir(CUT));
    err_clear();
    // A head with an optimiser on its way.
    assert_int_equal(go(CUT, MODEL, "false", "off", "false", 4), TRAIN_STOPPED);
    assert_int_equal(go(CUT, MODEL, "true", "off", "true", 0), TRAIN_FAILED);
    assert_int_equal(err_current(), ERR_USER);
    assert_non_null(strstr(err_message(), "freeze_head: the head was trained before"));
    err_clear();
    // The other way round it begins to move.
    REQUIRE(file_remove_tree(CUT));
    assert_int_equal(go(CUT, MODEL, "true", "off", "false", 4), TRAIN_STOPPED);
    assert_int_equal(go(CUT, MODEL, "false", "off", "true", 0), TRAIN_FINISHED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_but_for_the_head),
        cmocka_unit_test(head_stays),
        cmocka_unit_test(resumes_exactly),
        cmocka_unit_test(refused),
    };
    if (device_skip()) return device_skip();
    device_scratch = SCRATCH;
    return cmocka_run_group_tests(tests, device_begin, device_end);
}
