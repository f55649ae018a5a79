// A reference that only visits the device, and scores the steps to come at one visit, leaves what
// one on the device leaves: bit for bit, weights, reference, optimiser and metrics.
#include "running.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SCRATCH "test_offload.scratch"
#define KEYS 4 // pairs of key and value

struct trial {
    const char *name;
    const char *keys[2 * KEYS];
};

static const struct trial trials[] = {
    {"fixed", {"sync_ref_model", "false"}},
    {"soft", {"ref_model_sync_steps", "1"}},
    {"hard", {"ref_model_sync_steps", "4", "ref_model_mixup_alpha", "1"}},
    {"general", {"ref_model_sync_steps", "3", "loss_type", "ipo"}},
    {"its own reference",
     {"ref_model_name_or_path", TEST_FIXTURES "/tiny-gqa-ref", "ref_model_sync_steps", "5"}},
    {"a list", {"loss_type", "sigmoid,sft", "ref_model_sync_steps", "4"}},
    {"batch-wide", {"loss_type", "aot", "ref_model_sync_steps", "4"}},
    {"halves", {"dtype", "bf16", "ref_model_sync_steps", "2"}},
    {"batch-wide in many packs",
     {"loss_type", "aot_unpaired", "ref_model_sync_steps", "4", "token_budget", "170"}},
    {"unpaired", {"method", "kto", "loss_type", "kto", "ref_model_sync_steps", "4"}},
    {"unpaired in many packs",
     {"method", "kto", "loss_type", "kto", "ref_model_sync_steps", "4", "token_budget", "170"}},
};
#define COUNT (sizeof trials / sizeof *trials)
#define STEPS 10

static void configure(struct train_config *c, const struct trial *t, const char *dir,
                      const char *offload)
{
    // Three steps an epoch of 16 pairs; evaluation and checkpoints in the midst of windows.
    RUNNING_CONFIG(c, dir, "max_steps", "10", "per_device_train_batch_size", "3",
                   "gradient_accumulation_steps", "2", "logging_steps", "1", "eval_dataset_name",
                   TEST_FIXTURES "/prefs.jsonl", "eval_steps", "5", "save_steps", "3",
                   "ref_offload", offload);
    for (int i = 0; i < 2 * KEYS && t->keys[i]; i += 2)
        REQUIRE(train_config_set(c, t->keys[i], t->keys[i + 1], "test"));
}

static void go(const struct trial *t, const char *dir, const char *offload, int64_t stop_at)
{
    struct train_config c;
    configure(&c, t, dir, offload);
    if (stop_at) {
        assert_int_equal(running_go(&c, device, stop_at), TRAIN_STOPPED);
        REQUIRE(train_config_set(&c, "resume_from_checkpoint", "true", "test"));
    }
    if (running_go(&c, device, 0) != TRAIN_FINISHED) fail_msg("%s: %s", t->name, err_message());
    train_config_finish(&c);
}

static void expect_same(const char *a, const char *b)
{
    running_same_metrics(a, b);
    for (int step = 3; step <= 9; step += 3)
        running_same_checkpoint(a, b, step);
    running_same_checkpoint(a, b, STEPS);
}

static void same_bits(void **state)
{
    (void)state;
    const char *stays = SCRATCH "/stays", *visits = SCRATCH "/visits";
    for (size_t i = 0; i < COUNT; i++) {
        REQUIRE(file_remove_tree(stays));
        REQUIRE(file_remove_tree(visits));
        go(&trials[i], stays, "off", 0);
        go(&trials[i], visits, "on", 0);
        expect_same(stays, visits);
        print_message("%s: the same bits\n", trials[i].name);
    }
}

// Stopped within a window, and resumed there.
static void same_bits_resumed(void **state)
{
    (void)state;
    const char *stays = SCRATCH "/stays", *visits = SCRATCH "/visits";
    const struct trial *t = &trials[2];
    REQUIRE(file_remove_tree(stays));
    go(t, stays, "off", 0);
    for (int64_t at = 1; at < STEPS - 1; at += 3) {
        REQUIRE(file_remove_tree(visits));
        go(t, visits, "on", at);
        expect_same(stays, visits);
    }
}

// The plan has no place for the reference on the device, and says where it is.
static void plan_says_so(void **state)
{
    (void)state;
    const char *dir = SCRATCH "/plan";
    go(&trials[2], dir, "on", 0);
    size_t len;
    char *log = file_read(scratch("plan/train.log"), 0, &len);
    REQUIRE(log);
    assert_non_null(strstr(log, "stays in host memory"));
    assert_non_null(strstr(log, "stands still for 4 steps at a time"));
    assert_non_null(strstr(log, "the reference came to the device 3 times to score"));
    assert_null(strstr(log, ", reference"));
    mem_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),
        cmocka_unit_test(same_bits_resumed),
        cmocka_unit_test(plan_says_so),
    };
    if (device_skip()) return device_skip();
    device_scratch = SCRATCH;
    return cmocka_run_group_tests(tests, device_begin, device_end);
}
