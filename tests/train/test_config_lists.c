// Configuration: values of more than one part, and of none: lists, lr_scheduler_kwargs, null.
#include "../common/scratch.h"

#include "base/mem.h"
#include "train/config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static int init(void **state)
{
    static struct train_config c;
    train_config_init(&c);
    *state = &c;
    return 0;
}

static int finish(void **state)
{
    train_config_finish(*state);
    return 0;
}

static bool read_text(struct train_config *c, const char *text)
{
    return train_config_read(c, scratch_write("config.yaml", text));
}

// A list on the command line, and every way to write one wrongly.
static void lists(void **state)
{
    struct train_config *c = *state;
    static const char *const fine[] = {"hinge,sft", "[hinge,sft]", " [ hinge , sft ] ",
                                       "hinge, 'sft'", "[\"hinge\",\"sft\"]"};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        c->loss_types = 0;
        REQUIRE(train_config_set(c, "loss_type", fine[i], "test"));
        assert_true(c->loss_types == 2 && c->loss_type[0] == 2 && c->loss_type[1] == 15);
    }
    REQUIRE(train_config_set(c, "loss_type", "hinge", "test"));
    assert_true(c->loss_types == 1 && c->loss_type[0] == 2);
    REQUIRE(train_config_set(c, "loss_weights", "[1, 0.25,3e-1]", "test"));
    assert_true(c->loss_weights_given == 3 && c->loss_weights[1] == 0.25);
    assert_true(c->loss_weights[2] == 0.3 && c->loss_weights[3] == 1);
    REQUIRE(train_config_set(c, "loss_weights", "none", "test"));
    assert_true(c->loss_weights_given == 0 && c->loss_weights[1] == 1);
    static const struct {
        const char *key, *value, *says;
    } wrong[] = {
        {"loss_type", "sigmoid,hinge,sigmoid", "sigmoid is in the list twice"},
        {"loss_type", "sigmoyd", "'sigmoyd' is not one of sigmoid|"},
        {"loss_type", "sigmoyd", "did you mean 'sigmoid'?"},
        {"loss_type", "hinge,sigmoyd", "did you mean 'sigmoid'?"},
        {"loss_type", "", "'' is not one of"},
        {"loss_type", "[]", "'' is not one of"},
        {"loss_type", "hinge,", "'' is not one of"},
        {"loss_type", "[hinge", "lacks its ']'"},
        {"loss_type", "[", "lacks its ']'"},
        {"loss_type", "hinge]", "'hinge]' is not one of"},
        {"loss_type", "hinge sft", "'hinge sft' is not one of"},
        {"loss_type", "[[hinge]]", "'[hinge]' is not one of"},
        {"loss_type", "1", "'1' is not one of"},
        {"loss_type", "sigmoid,robust,hinge,ipo,ipo_sum,aot,sft,simpo,orpo", "8 entries at most"},
        {"loss_weights", "1,1,1,1,1,1,1,1,1", "8 entries at most"},
        {"loss_weights", "1,,2", "expected a number"},
        {"loss_weights", "sigmoid", "expected a number, not 'sigmoid'"},
        {"loss_weights", "1,-1", "-1 is out of range"},
        {"loss_weights", "1,nan", "expected a number, not 'nan'"},
        {"beta", "0.1,0.2", "expected a number"},
        {"method", "dpo,sft", "'dpo,sft' is not one of"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (train_config_set(c, wrong[i].key, wrong[i].value, "--option"))
            fail_msg("accepted %s: %s", wrong[i].key, wrong[i].value);
        EXPECT_USER_ERROR("--option", wrong[i].key, wrong[i].says);
    }
    assert_true(c->loss_types == 1 && c->loss_type[0] == 2); // a refusal leaves what was
    assert_true(c->loss_weights_given == 0 && c->loss_weights[0] == 1);
}

static void null_puts_back(void **state)
{
    struct train_config *c = *state;
    static const char *const words[] = {"null", "none", "None"};
    assert_true(isnan(c->min_lr) && isnan(c->min_lr_rate) && c->ld_alpha == 1);
    assert_true(c->num_decay_steps == TRAIN_UNSET && c->loss_types == 0);
    static const char *const keys[][2] = {{"min_lr", "0.1"},        {"ld_alpha", "0.5"},
                                          {"num_decay_steps", "5"}, {"loss_type", "hinge"},
                                          {"loss_weights", "2"},    {"seed", "3"}};
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            const struct train_key *key = train_key_find(keys[i][0]);
            REQUIRE(train_config_set(c, keys[i][0], keys[i][1], "test"));
            assert_true(train_config_changed(c, key));
            REQUIRE(train_config_set(c, keys[i][0], words[w], "test"));
            assert_false(train_config_changed(c, key));
        }
    // Words and texts have no such value.
    assert_false(train_config_set(c, "method", "null", "test"));
    EXPECT_USER_ERROR("'null' is not one of");
    assert_false(train_config_set(c, "sync_ref_model", "none", "test"));
    EXPECT_USER_ERROR("expected true or false");
}

static void settings_of_a_schedule(void **state)
{
    struct train_config *c = *state;
    REQUIRE(read_text(c, "lr_scheduler_kwargs:\n  min_lr_rate: 0.1\n  num_cycles: 2\nbeta: 0.3\n"));
    assert_true(c->min_lr_rate == 0.1 && c->num_cycles == 2 && c->beta == 0.3);
    REQUIRE(
        read_text(c, "{\"lr_scheduler_kwargs\": {\"num_decay_steps\": 7, \"min_lr_rate\": null}}"));
    assert_int_equal(c->num_decay_steps, 7);
    REQUIRE(train_config_set(c, "lr_scheduler_kwargs", "{\"decay_type\": \"1-sqrt\"}", "test"));
    assert_int_equal(c->decay_type, TRAIN_CURVE_SQRT);
    REQUIRE(read_text(c, "lr_scheduler_kwargs: '{\"num_stable_steps\": 9}'\n"));
    assert_int_equal(c->num_stable_steps, 9);
    REQUIRE(read_text(c, "lr_scheduler_kwargs: {}\n"));
    REQUIRE(read_text(c, "lr_scheduler_kwargs:\n"));
    assert_true(train_key_is_foreign("lr_scheduler_kwargs"));
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"lr_scheduler_kwargs: {beta: 1}\n", "lr_scheduler_kwargs: 'beta' is not a setting"},
        {"lr_scheduler_kwargs: {power: 1}\n", "'power' is not a setting of a schedule"},
        {"lr_scheduler_kwargs: {min_lr: [1]}\n", "single value"},
        {"lr_scheduler_kwargs: {min_lr: 1, min_lr: 1}\n", "'min_lr' is given twice"},
        {"min_lr: 1\nlr_scheduler_kwargs: {min_lr: 1}\n", "'min_lr' is given twice"},
        {"lr_scheduler_kwargs: [min_lr]\n", "single value"},
        {"lr_scheduler_kwargs: 3\n", "key: value"},
        {"lr_scheduler_kwargs: {min_lr: -1}\n", "out of range"},
        {"lr_scheduler_kwargs: {lr_scheduler_kwargs: {min_lr: 1}}\n", "not a setting"},
        {"lr_scheduler_kwargs: '{min_lr: 1'\n", "not YAML"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (read_text(c, wrong[i].text)) fail_msg("accepted: %s", wrong[i].text);
        EXPECT_USER_ERROR("line", wrong[i].says);
    }
    assert_false(
        train_config_set(c, "lr_scheduler_kwargs", "{min_lr: x}", "--lr_scheduler_kwargs"));
    EXPECT_USER_ERROR("--lr_scheduler_kwargs", "min_lr", "expected a number");
}

static void lists_in_files(void **state)
{
    struct train_config *c = *state;
    static const char *const texts[] = {
        "loss_type: [hinge, sft]\nloss_weights: [1, 0.5]\n",
        "loss_type:\n- hinge\n- sft\nloss_weights:\n  - 1\n  - 0.5\n",
        "{\"loss_type\": [\"hinge\", \"sft\"], \"loss_weights\": [1, 0.5]}",
        "loss_type: hinge,sft\nloss_weights: 1,0.5\n",
        "loss_type: '[hinge,sft]'\nloss_weights: \"[1, 0.5]\"\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        c->loss_types = c->loss_weights_given = 0;
        REQUIRE(read_text(c, texts[i]));
        assert_true(c->loss_types == 2 && c->loss_type[0] == 2 && c->loss_type[1] == 15);
        assert_true(c->loss_weights_given == 2 && c->loss_weights[1] == 0.5);
    }
    REQUIRE(read_text(c, "loss_type: [ipo]\nloss_weights: null\n"));
    assert_true(c->loss_types == 1 && c->loss_type[0] == 3);
}

static int group_begin(void **state)
{
    (void)state;
    scratch_init("test_config_lists.scratch");
    return 0;
}

static int group_end(void **state)
{
    (void)state;
    scratch_finish();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, init, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists),
        TEST(lists_in_files),
        TEST(null_puts_back),
        TEST(settings_of_a_schedule),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
