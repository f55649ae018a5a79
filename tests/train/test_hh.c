// TR-DPO on real preferences: Anthropic HH from a small Llama, where the data is present. Some
// minutes on a CPU.
#include "running.h"

#include "../common/device.h"
#include "../common/fixture.h"
#include "../common/scratch.h"

#include "base/file.h"
#include "base/log.h"
#include "model/generator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define MODEL TEST_SHARED "/models/hh-llama"
#define DATA TEST_SHARED "/hh"
#define STEPS 60

static bool count_token(void *ctx, size_t prompt, int32_t id)
{
    (void)prompt;
    (void)id;
    ++*(int *)ctx;
    return true;
}

// The trained folder opens like any model, and goes on writing text.
static void expect_model(const char *dir)
{
    struct hf_config hf;
    struct model_layout layout;
    struct model_weights w;
    struct hf_ids ids = {0};
    struct hf_tokenizer *tokenizer = hf_tokenizer_load(dir);
    REQUIRE(tokenizer && hf_config_load(&hf, dir));
    struct model_config config = model_config_from_hf(&hf);
    REQUIRE(model_layout_init(&layout, &config, 0));
    REQUIRE(model_weights_init(&w, device, &layout, MODEL_F32, "trained"));
    REQUIRE(model_weights_load(&w, dir, ""));
    const char text[] = "\n\nHuman: How do I bake bread?\n\nAssistant:";
    REQUIRE(hf_tokenizer_encode(tokenizer, text, sizeof text - 1, true, &ids));
    struct model_generator *g = model_generator_create(
        device, &w, &(struct model_generator_params){.sequences = 1, .max_length = 128});
    REQUIRE(g);
    struct model_prompt prompt = {ids.items, (uint32_t)ids.count};
    int tokens = 0;
    REQUIRE(model_generate(
        g, &prompt, 1,
        &(struct model_generation){.max_new_tokens = 16, .on_token = count_token, .ctx = &tokens}));
    assert_int_equal(tokens, 16);
    model_generator_destroy(g);
    model_weights_finish(&w);
    model_layout_finish(&layout);
    ARRAY_FREE(&ids);
    hf_tokenizer_destroy(tokenizer);
}

static void preferences_are_learnt(void **state)
{
    (void)state;
    struct train_config c;
    const char *dir = "test_hh.scratch/run";
    RUNNING_CONFIG(&c, dir, "model_name_or_path", MODEL, "dataset_name", DATA "/train.jsonl.gz",
                   "eval_dataset_name", DATA "/test.jsonl.gz", "learning_rate", "1e-4", "beta",
                   "0.5", "warmup_steps", "0.1", "max_length", "512", "max_steps", "60",
                   "logging_steps", "20", "ref_model_mixup_alpha", "0.6", "ref_model_sync_steps",
                   "16");
    if (running_go(&c, device, 0) != TRAIN_FINISHED) fail_msg("%s", err_message());
    cJSON *last = running_metrics(dir, STEPS / 20 - 1),
          *held_out = running_metrics(dir, STEPS / 20);
    assert_true(last && held_out);
    double loss = fixture_number(last, "loss", NULL);
    double accuracy = fixture_number(held_out, "eval_rewards/accuracies", NULL);
    print_message("%d steps: loss of the last 20 %.4f, held out: loss %.4f, reward accuracy %.3f, "
                  "margins to the start %.3f, kl to the start %.2f; %.0f tokens/s\n",
                  STEPS, loss, fixture_number(held_out, "eval_loss", NULL), accuracy,
                  fixture_number(held_out, "eval_rewards/sft_margins", NULL),
                  fixture_number(held_out, "eval_kl/sft", NULL),
                  fixture_number(last, "tokens_per_second", NULL));
    assert_true(loss < log(2));
    assert_true(fixture_number(held_out, "eval_loss", NULL) < log(2));
    assert_true(accuracy > 0.5);
    assert_true(fixture_number(last, "ref_updates", NULL) == 3);
    cJSON_Delete(last);
    cJSON_Delete(held_out);
    train_config_finish(&c);
    expect_model(dir);
}

static int begin(void **state)
{
    scratch_init("test_hh.scratch");
    return device_open(state);
}

static int end(void **state)
{
    scratch_finish();
    return device_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(preferences_are_learnt)};
    if (!file_exists(MODEL "/model.safetensors") || !file_exists(DATA "/train.jsonl.gz")) {
        fprintf(stderr, "skipped: %s and %s are not there\n", MODEL, DATA);
        return 77;
    }
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, begin, end);
}
