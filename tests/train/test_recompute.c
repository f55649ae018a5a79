// Gradient checkpointing leaves what a run without it leaves: bit for bit, weights, reference,
// optimiser and metrics. When it is chosen, and what the plan says of it.
#include "running.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define SCRATCH "test_recompute.scratch"
#define KEPT SCRATCH "/kept"
#define AGAIN SCRATCH "/again"
#define KEYS 4 // pairs of key and value
#define STEPS 8

struct trial {
    const char *name;
    const char *keys[2 * KEYS];
};

static const struct trial trials[] = {
    {"DPO", {"ref_model_sync_steps", "3"}},
    {"DPO in many packs", {"ref_model_sync_steps", "1", "token_budget", "170"}},
    {"DPO, the other fixture",
     {"model_name_or_path", TEST_FIXTURES "/tiny-llama3", "token_budget", "700"}},
    {"DPO, a reference that visits", {"ref_model_sync_steps", "4", "ref_offload", "on"}},
    {"KTO", {"method", "kto", "loss_type", "kto", "ref_model_sync_steps", "3"}},
    {"KTO in many packs",
     {"method", "kto", "loss_type", "kto", "ref_model_sync_steps", "3", "token_budget", "170"}},
    {"a loss of batches", {"loss_type", "aot", "token_budget", "170"}},
};
#define COUNT (sizeof trials / sizeof *trials)

static void go(const struct trial *t, const char *dir, const char *checkpointing, int64_t stop_at,
               const char *then)
{
    struct train_config c;
    RUNNING_CONFIG(&c, dir, "max_steps", "8", "per_device_train_batch_size", "3",
                   "gradient_accumulation_steps", "2", "eval_dataset_name",
                   TEST_FIXTURES "/prefs.jsonl", "eval_steps", "4", "save_steps", "3",
                   "gradient_checkpointing", checkpointing);
    for (int i = 0; i < 2 * KEYS && t->keys[i]; i += 2)
        REQUIRE(train_config_set(&c, t->keys[i], t->keys[i + 1], "test"));
    if (stop_at) {
        assert_int_equal(running_go(&c, device, stop_at), TRAIN_STOPPED);
        REQUIRE(train_config_set(&c, "resume_from_checkpoint", "true", "test"));
        REQUIRE(train_config_set(&c, "gradient_checkpointing", then, "test"));
    }
    if (running_go(&c, device, 0) != TRAIN_FINISHED) fail_msg("%s: %s", t->name, err_message());
    train_config_finish(&c);
}

static void expect_same(void)
{
    running_same_metrics(KEPT, AGAIN);
    for (int step = 3; step < STEPS; step += 3)
        running_same_checkpoint(KEPT, AGAIN, step);
    running_same_checkpoint(KEPT, AGAIN, STEPS);
}

static void begin_anew(void)
{
    REQUIRE(file_remove_tree(KEPT));
    REQUIRE(file_remove_tree(AGAIN));
}

static void same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        begin_anew();
        go(&trials[i], KEPT, "off", 0, NULL);
        go(&trials[i], AGAIN, "on", 0, NULL);
        expect_same();
        print_message("%s: the same bits\n", trials[i].name);
    }
}

static char *log_of(const char *run)
{
    char *path = file_join(run, "train.log");
    size_t len;
    char *text = file_read(path, 0, &len);
    REQUIRE(text);
    mem_free(path);
    return text;
}

// It may be switched on and off where a run is resumed, without a warning.
static void same_bits_resumed(void **state)
{
    (void)state;
    static const char *const ways[][2] = {{"on", "on"}, {"on", "off"}, {"off", "on"}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        begin_anew();
        go(&trials[1], KEPT, "off", 0, NULL);
        go(&trials[1], AGAIN, ways[i][0], 4, ways[i][1]);
        expect_same();
        char *log = log_of(AGAIN);
        assert_non_null(strstr(log, "gradient checkpointing: "));
        assert_null(strstr(log, "when the run began"));
        mem_free(log);
    }
}

// Bytes of "activations 12.3 MiB" in the plan.
static double activations_in(const char *log)
{
    const char *at = strstr(log, "activations ");
    assert_non_null(at);
    char *unit;
    double amount = strtod(at + strlen("activations "), &unit);
    assert_memory_equal(unit, " MiB", 4);
    return amount * 0x1p20;
}

// tiny-gqa has 2 layers, 48 channels, 6 heads of 12, 2 key/value heads, 56 of the feed-forward:
// what one layer keeps beside its input goes.
static void plan_says_so(void **state)
{
    (void)state;
    static const struct trial wide = {"wide", {"token_budget", "8192"}};
    begin_anew();
    go(&wide, KEPT, "off", 0, NULL);
    go(&wide, AGAIN, "on", 0, NULL);
    char *kept = log_of(KEPT), *again = log_of(AGAIN), line[64], bytes[32];
    uint64_t saved = 4 * 8192 * (1 + (72 + 2 * 24) + 72 + 6 + 48 + 1 + 2 * 56);
    snprintf(line, sizeof line, "which saves %s;", str_bytes(bytes, saved));
    assert_non_null(strstr(again, line));
    assert_null(strstr(kept, "gradient checkpointing: "));
    double less = activations_in(kept) - activations_in(again);
    if (!(less > (double)saved - 0x1p20 / 9 && less < (double)saved + 0x1p20 / 9)) // tenths of MiB
        fail_msg("the plan says %g bytes less, not %g", less, (double)saved);
    mem_free(kept);
    mem_free(again);
}

// Where memory suffices nothing is given up for it.
static void automatic_is_off_where_it_fits(void **state)
{
    (void)state;
    begin_anew();
    go(&trials[0], KEPT, "auto", 0, NULL);
    char *log = log_of(KEPT);
    assert_null(strstr(log, "gradient checkpointing: "));
    mem_free(log);
}

enum { NEITHER, OFFLOAD, RECOMPUTE, BOTH };

static void choices(void **state)
{
    (void)state;
    enum { A = TRAIN_OFFLOAD_AUTO, ON = TRAIN_OFFLOAD_ON, OFF = TRAIN_OFFLOAD_OFF };
    assert_true(A == (int)TRAIN_CHECKPOINTING_AUTO && ON == (int)TRAIN_CHECKPOINTING_ON);
    static const struct {
        uint64_t reference, kept, available;
        int64_t ref_offload, checkpointing;
        bool pays;
        int want;
    } cases[] = {
        // 100 bytes, of which the reference is 20 and what checkpointing saves 30.
        {20, 30, 100, A, A, true, NEITHER},
        {20, 30, 99, A, A, true, OFFLOAD},
        {20, 30, 80, A, A, true, OFFLOAD},
        {20, 30, 79, A, A, true, RECOMPUTE}, // which alone does it
        {20, 30, 70, A, A, true, RECOMPUTE},
        {20, 30, 69, A, A, true, BOTH},
        {20, 30, 50, A, A, true, BOTH},
        {20, 30, 9, A, A, true, BOTH}, // and is refused
        {20, 30, 99, A, A, false, RECOMPUTE},
        {20, 30, 60, A, A, false, RECOMPUTE},
        {0, 30, 99, A, A, true, RECOMPUTE}, // no reference
        {20, 0, 79, A, A, true, OFFLOAD},   // one layer: nothing to save
        {0, 0, 79, A, A, true, NEITHER},
        // What is asked for is done, and no less.
        {20, 30, 100, ON, A, false, OFFLOAD},
        {20, 30, 79, ON, A, false, BOTH},
        {20, 30, 100, A, ON, true, RECOMPUTE},
        {20, 30, 69, A, ON, true, BOTH},
        {20, 30, 69, A, ON, false, RECOMPUTE},
        {20, 30, 100, ON, ON, false, BOTH},
        {20, 30, 9, OFF, A, true, RECOMPUTE},
        {20, 30, 99, OFF, OFF, true, NEITHER},
        {20, 30, 9, A, OFF, true, OFFLOAD},
        {20, 30, 99, A, OFF, false, NEITHER},
        {0, 0, 100, A, ON, true, RECOMPUTE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct train_plan_choice got = train_plan_choose(&(struct train_plan_needs){
            .total = 100,
            .reference = cases[i].reference,
            .kept = cases[i].kept,
            .available = cases[i].available,
            .ref_offload = cases[i].ref_offload,
            .gradient_checkpointing = cases[i].checkpointing,
            .visits_pay = cases[i].pays,
        });
        int choice = (got.offloaded ? OFFLOAD : NEITHER) + (got.recompute ? RECOMPUTE : NEITHER);
        if (choice != cases[i].want)
            fail_msg("case %zu: choice %d, not %d", i, choice, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),    cmocka_unit_test(same_bits_resumed),
        cmocka_unit_test(plan_says_so), cmocka_unit_test(automatic_is_off_where_it_fits),
        cmocka_unit_test(choices),
    };
    if (device_skip()) return device_skip();
    device_scratch = SCRATCH;
    return cmocka_run_group_tests(tests, device_begin, device_end);
}
