// Configuration: every key, every mistake a user can make, and what is printed reads back.
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

// ---- defaults and single keys ----

static void defaults_are_those_of_the_method(void **state)
{
    const struct train_config *c = *state;
    assert_int_equal(c->method, TRAIN_DPO);
    assert_true(c->beta == 0.1 && c->label_smoothing == 0 && c->learning_rate == 1e-6);
    assert_true(c->sync_ref_model && c->ref_model_mixup_alpha == 0.6);
    assert_int_equal(c->ref_model_sync_steps, 512);
    assert_int_equal(c->lr_scheduler_type, TRAIN_LINEAR);
    assert_true(c->warmup_steps == 0 && c->num_train_epochs == 1 && c->max_steps == -1);
    assert_int_equal(c->per_device_train_batch_size, 8);
    assert_int_equal(c->gradient_accumulation_steps, 1);
    assert_true(c->adam_beta1 == 0.9 && c->adam_beta2 == 0.999 && c->adam_epsilon == 1e-8);
    assert_true(c->weight_decay == 0 && c->max_grad_norm == 1);
    assert_int_equal(c->max_length, 1024);
    assert_int_equal(c->seed, 42);
    assert_int_equal(c->logging_steps, 10);
    assert_int_equal(c->eval_steps, 0);
    assert_int_equal(c->save_steps, 500);
    assert_int_equal(c->save_total_limit, 0);
    assert_true(c->completion_only && !c->overwrite_output_dir && !c->resume_from_checkpoint);
    for (size_t i = 0; i < train_key_count; i++)
        assert_false(train_config_changed(c, &train_keys[i]));
}

static void booleans_are_yaml_words(void **state)
{
    struct train_config *c = *state;
    static const char *const words[] = {"true", "True", "yes", "on", "false", "no", "off", "FALSE"};
    for (size_t i = 0; i < 8; i++) {
        REQUIRE(train_config_set(c, "sync_ref_model", words[i], "test"));
        assert_int_equal(c->sync_ref_model, i < 4);
    }
    assert_false(train_config_set(c, "sync_ref_model", "maybe", "--sync_ref_model"));
    EXPECT_USER_ERROR("--sync_ref_model", "true or false", "maybe");
}

// The nearest value outside the range that the key's own kind can say.
static void outside(const struct train_key *key, double limit, double towards, char out[64])
{
    if (key->type == TRAIN_INT)
        snprintf(out, 64, "%.0f", limit + (towards < limit ? -1 : 1));
    else
        snprintf(out, 64, "%.17g",
                 towards < limit ? limit - 1e-9 - fabs(limit) * 1e-3
                                 : limit + 1e-9 + fabs(limit) * 1e-3);
}

static void numbers_have_ranges(void **state)
{
    struct train_config *c = *state;
    size_t numbers = 0;
    for (size_t i = 0; i < train_key_count; i++) {
        const struct train_key *key = &train_keys[i];
        if (key->type != TRAIN_INT && key->type != TRAIN_NUMBER) continue;
        char value[64];
        numbers++;
        for (int end = 0; end < 2; end++) {
            double limit = end ? key->max : key->min;
            snprintf(value, sizeof value, "%.17g", limit);
            REQUIRE(train_config_set(c, key->name, value, "test"));
            outside(key, limit, end ? INFINITY : -INFINITY, value);
            assert_false(train_config_set(c, key->name, value, "demo.yaml: line 7"));
            EXPECT_USER_ERROR("demo.yaml: line 7", key->name, value, "out of range");
        }
        static const char *const wrong[] = {"", "abc", "1x", "nan", "inf", "1e999", "--1", "1 2"};
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            assert_false(train_config_set(c, key->name, wrong[k], "test"));
            EXPECT_USER_ERROR("test", key->name, "expected a number", wrong[k]);
        }
        if (key->type == TRAIN_INT) {
            assert_false(train_config_set(c, key->name, "2.5", "test"));
            EXPECT_USER_ERROR(key->name, "whole number", "2.5");
        }
    }
    assert_true(numbers > 20);
}

static void choices_are_listed(void **state)
{
    struct train_config *c = *state;
    REQUIRE(train_config_set(c, "lr_scheduler_type", "constant_with_warmup", "test"));
    assert_int_equal(c->lr_scheduler_type, TRAIN_CONSTANT_WITH_WARMUP);
    REQUIRE(train_config_set(c, "method", "sft", "test"));
    assert_int_equal(c->method, TRAIN_SFT);
    for (size_t i = 0; i < train_key_count; i++) {
        if (train_keys[i].type != TRAIN_CHOICE) continue;
        assert_false(train_config_set(c, train_keys[i].name, "something", "test"));
        EXPECT_USER_ERROR(train_keys[i].name, "something", train_keys[i].choices);
        // A part of a choice is not the choice.
        assert_false(train_config_set(c, train_keys[i].name, "d", "test"));
        EXPECT_USER_ERROR(train_keys[i].name);
    }
}

// TRL has a boolean where there are three choices here.
static void checkpointing_is_a_boolean_too(void **state)
{
    struct train_config *c = *state;
    static const struct {
        const char *word;
        int64_t value;
    } words[] = {{"on", TRAIN_CHECKPOINTING_ON},     {"true", TRAIN_CHECKPOINTING_ON},
                 {"off", TRAIN_CHECKPOINTING_OFF},   {"True", TRAIN_CHECKPOINTING_ON},
                 {"False", TRAIN_CHECKPOINTING_OFF}, {"auto", TRAIN_CHECKPOINTING_AUTO},
                 {"false", TRAIN_CHECKPOINTING_OFF}};
    assert_int_equal(c->gradient_checkpointing, TRAIN_CHECKPOINTING_AUTO);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        REQUIRE(train_config_set(c, "gradient_checkpointing", words[i].word, "test"));
        assert_int_equal(c->gradient_checkpointing, words[i].value);
    }
    REQUIRE(read_text(c, "gradient_checkpointing: true\n"));
    assert_int_equal(c->gradient_checkpointing, TRAIN_CHECKPOINTING_ON);
    assert_false(train_config_set(c, "gradient_checkpointing", "unsloth", "test"));
    EXPECT_USER_ERROR("test", "gradient_checkpointing", "unsloth", "auto|on|off");
}

static void unknown_keys_get_suggestions(void **state)
{
    struct train_config *c = *state;
    assert_false(train_config_set(c, "learning_rat", "1", "demo.yaml: line 3"));
    EXPECT_USER_ERROR("demo.yaml: line 3", "learning_rat", "did you mean 'learning_rate'");
    assert_false(train_config_set(c, "ref_model_sync_step", "1", "test"));
    EXPECT_USER_ERROR("did you mean 'ref_model_sync_steps'");
    assert_false(train_config_set(c, "zzzzzz", "1", "test"));
    EXPECT_USER_ERROR("unknown key 'zzzzzz'", "--help");
}

static void keys_of_trl(void **state)
{
    struct train_config *c = *state;
    static const char *const fine[][2] = {{"torch_dtype", "auto"}, {"push_to_hub", "false"},
                                          {"use_peft", "false"},   {"lora_r", "64"},
                                          {"report_to", "none"},   {"disable_dropout", "true"},
                                          {"use_rslora", "true"},  {"lora_alpha", "7"}};
    static const char *const refused[][2] = {
        {"torch_dtype", "bfloat16"}, {"push_to_hub", "true"}, {"use_peft", "true"},
        {"save_strategy", "epoch"},  {"report_to", "wandb"},  {"max_prompt_length", "512"}};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        assert_true(train_key_is_foreign(fine[i][0]) && !train_key_find(fine[i][0]));
        REQUIRE(train_config_set(c, fine[i][0], fine[i][1], "test"));
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_false(train_config_set(c, refused[i][0], refused[i][1], "test"));
        EXPECT_USER_ERROR("test", refused[i][0], refused[i][1], "not available");
    }
}

static void names_of_dtypes(void **state)
{
    struct train_config *c = *state;
    static const struct {
        const char *name;
        enum train_dtype is;
    } names[] = {{"auto", TRAIN_DTYPE_AUTO},    {"fp32", TRAIN_DTYPE_FP32},
                 {"bf16", TRAIN_DTYPE_BF16},    {"fp16", TRAIN_DTYPE_FP16},
                 {"float32", TRAIN_DTYPE_FP32}, {"float16", TRAIN_DTYPE_FP16},
                 {"bfloat16", TRAIN_DTYPE_BF16}};
    assert_int_equal(c->dtype, TRAIN_DTYPE_AUTO);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        REQUIRE(train_config_set(c, "dtype", names[i].name, "test"));
        train_config_resolve(c);
        assert_int_equal(c->dtype, names[i].is);
    }
    REQUIRE(train_config_set(c, "dtype", "auto", "test"));
    REQUIRE(train_config_set(c, "bf16", "true", "test"));
    train_config_resolve(c);
    assert_int_equal(c->dtype, TRAIN_DTYPE_BF16);
}

static void names_of_optimisers(void **state)
{
    struct train_config *c = *state;
    static const struct {
        const char *name;
        enum train_optim is;
    } names[] = {{"adamw", TRAIN_ADAMW},
                 {"adamw_8bit", TRAIN_ADAMW_8BIT},
                 {"adamw_torch", TRAIN_ADAMW},
                 {"adamw_torch_fused", TRAIN_ADAMW},
                 {"adamw_bnb_8bit", TRAIN_ADAMW_8BIT}};
    assert_int_equal(c->optim, TRAIN_ADAMW);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        REQUIRE(train_config_set(c, "optim", names[i].name, "test"));
        train_config_resolve(c);
        assert_int_equal(c->optim, names[i].is);
    }
    assert_false(train_config_set(c, "optim", "sgd", "test"));
    EXPECT_USER_ERROR("optim", "sgd", "adamw_8bit");
}

// ---- files ----

static void file_of_yaml(void **state)
{
    struct train_config *c = *state;
    REQUIRE(read_text(c, "# a comment\n"
                         "beta: 0.05\n"
                         "output_dir: \"runs/a b: c\"   # quoted\n"
                         "dataset_name: 'it''s'\n"
                         "max_steps: 1e3\n"
                         "sync_ref_model: off\n"
                         "eval_dataset_name: null\n"
                         "learning_rate:\n"));
    assert_true(c->beta == 0.05 && c->max_steps == 1000 && !c->sync_ref_model);
    assert_string_equal(c->output_dir, "runs/a b: c");
    assert_string_equal(c->dataset_name, "it's");
    assert_null(c->eval_dataset_name);
    assert_true(c->learning_rate == 1e-6);
}

static void file_of_json(void **state)
{
    struct train_config *c = *state;
    REQUIRE(read_text(c, "{\"beta\": 0.25, \"output_dir\": \"r\\u00fcn\", \"max_steps\": 3,\n"
                         " \"sync_ref_model\": false, \"resume_from_checkpoint\": true}\n"));
    assert_true(c->beta == 0.25 && c->max_steps == 3 && !c->sync_ref_model);
    assert_string_equal(c->output_dir, "r\xc3\xbcn");
    assert_string_equal(c->resume_from_checkpoint, "true");
}

static void empty_files(void **state)
{
    struct train_config *c = *state;
    static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n", "--- {}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        REQUIRE(read_text(c, texts[i]));
    assert_true(c->beta == 0.1);
}

static void bad_files(void **state)
{
    struct train_config *c = *state;
    static const struct {
        const char *text, *line, *says;
    } cases[] = {
        {"beta: 1\nseed: 1\nbeta: 2\n", "line 3", "'beta' is given twice"},
        {"bf16: false\nbf16: false\n", "line 2", "'bf16' is given twice"},
        {"beta: 1\nbetta: 2\n", "line 2", "did you mean 'beta'"},
        {"beta: [1, 2]\n", "line 1", "single value"},
        {"beta:\n  inner: 1\n", "line 1", "single value"},
        {"x: &a 1\n", "line 1", "unknown key 'x'"},
        {"beta: &a 1\nseed: *a\n", "line 2", "single value"},
        {"[1, 2]\n", "line 1", "key: value"},
        {"just text\n", "line 1", "key: value"},
        {"? [a]\n: 1\n", "line 1", "expected a key"},
        {"output_dir: a\n  seed: 2\n", "line 2", "not YAML"},
        {"beta: \"1\n", "line", "not YAML"},
        {"{\"beta\": 1", "line", "not YAML"},
        {"beta: 1\n---\nbeta: 2\n", "line 2", "one document"},
        {"output_dir: \"a\\0b\"\n", "line 1", "NUL"},
        {"beta: tiny\n", "line 1", "expected a number"},
        {"\tbeta: 1\n", "line 1", "not YAML"},
        {"beta: \xff\n", "line", "not YAML"},
        {"loss_type: [sigmoid, sigmoid]\n", "line 1", "in the list twice"},
        {"loss_type: []\n", "line 1", "the list is empty"},
        {"loss_type: [sigmoid, [hinge]]\n", "line 1", "a list of single values"},
        {"loss_type: [sigmoid, ]\nloss_weights: [1, null]\n", "line 2", "expected a number"},
        {"loss_type: [sigmoid, '']\n", "line 1", "a list of single values"},
        {"loss_type: {sigmoid: 1}\n", "line 1", "a value or a list of values"},
        {"loss_type:\n- sigmoid\n- \"a\\0b\"\n", "line 1", "a list of single values"},
        {"loss_weights: [1, two]\n", "line 1", "expected a number, not 'two'"},
        {"loss_weights: [[[[1]]]]\n", "line 1", "a list of single values"},
        {"loss_type: [sigmoid\n", "line", "not YAML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (read_text(c, cases[i].text)) fail_msg("accepted: %s", cases[i].text);
        EXPECT_USER_ERROR("config.yaml", cases[i].line, cases[i].says);
    }
    assert_false(train_config_read(c, scratch("none.yaml")));
    EXPECT_USER_ERROR("none.yaml");
}

static void deep_nesting_is_refused(void **state)
{
    struct train_config *c = *state;
    size_t depth = 200000;
    char *text = mem_calloc(2 * depth + 16, 1);
    strcpy(text, "beta: ");
    memset(text + 6, '[', depth);
    memset(text + 6 + depth, ']', depth);
    assert_false(read_text(c, text));
    EXPECT_USER_ERROR("config.yaml", "line 1");
    mem_free(text);
}

static void printed_settings_read_back(void **state)
{
    struct train_config *c = *state, again;
    REQUIRE(train_config_set(c, "beta", "0.05", "test"));
    REQUIRE(train_config_set(c, "learning_rate", "3.3333333333333333e-5", "test"));
    REQUIRE(train_config_set(c, "output_dir", "with \"quotes\", \\ and\nlines", "test"));
    REQUIRE(train_config_set(c, "lr_scheduler_type", "cosine", "test"));
    REQUIRE(train_config_set(c, "seed", "9007199254740991", "test"));
    struct str all = {0}, once_more = {0}, changed = {0};
    train_config_print(c, false, &all);
    train_config_init(&again);
    REQUIRE(read_text(&again, str_text(&all)));
    train_config_print(&again, false, &once_more);
    assert_string_equal(str_text(&all), str_text(&once_more));
    assert_true(again.learning_rate == c->learning_rate && again.seed == 9007199254740991);
    assert_string_equal(again.output_dir, c->output_dir);
    train_config_print(c, true, &changed);
    size_t lines = 0, marked = 0;
    for (const char *p = str_text(&changed); *p; p++)
        lines += *p == '\n';
    for (const char *p = str_text(&all); (p = strstr(p, "# not the default")); p++)
        marked++;
    assert_int_equal(lines, 5);
    assert_int_equal(marked, 5);
    str_finish(&all);
    str_finish(&once_more);
    str_finish(&changed);
    train_config_finish(&again);
}

// A value that is not the key's default.
static void another_value(const struct train_key *key, char out[64])
{
    switch (key->type) {
    case TRAIN_BOOL:
        strcpy(out, strcmp(key->fallback, "true") == 0 ? "false" : "true");
        break;
    case TRAIN_INT:
        snprintf(out, 64, "%.0f", key->min + 3);
        break;
    case TRAIN_NUMBER:
        snprintf(out, 64, "%.17g", key->min + 0.31);
        break;
    case TRAIN_STRING:
        strcpy(out, "a: \"b\"");
        break;
    case TRAIN_CHOICE: { // the last
        const char *last = strrchr(key->choices, '|');
        strcpy(out, last ? last + 1 : key->choices);
        break;
    }
    case TRAIN_CHOICES:
        strcpy(out, "orpo, kto_pair,sigmoid");
        break;
    case TRAIN_NUMBERS:
        strcpy(out, "0.1, 3e-7,2");
        break;
    }
}

static void every_key_reads_back(void **state)
{
    struct train_config *c = *state, again;
    struct str text = {0};
    for (size_t i = 0; i < train_key_count; i++) {
        char value[64];
        another_value(&train_keys[i], value);
        REQUIRE(train_config_set(c, train_keys[i].name, value, "test"));
        bool one = train_keys[i].choices && !strchr(train_keys[i].choices, '|');
        if (train_config_changed(c, &train_keys[i]) == one) fail_msg("%s", train_keys[i].name);
        // The other methods settle keys for themselves.
        if (i == 0) REQUIRE(train_config_set(c, "method", "dpo", "test"));
    }
    train_config_print(c, true, &text);
    train_config_init(&again);
    REQUIRE(read_text(&again, str_text(&text)));
    for (size_t i = 0; i < train_key_count; i++) {
        struct str a = {0}, b = {0};
        train_config_value(c, &train_keys[i], &a);
        train_config_value(&again, &train_keys[i], &b);
        assert_string_equal(str_text(&a), str_text(&b));
        str_finish(&a);
        str_finish(&b);
    }
    assert_true(again.loss_types == 3 && again.loss_type[0] == 18 && again.loss_type[2] == 0);
    assert_true(again.loss_weights_given == 3 && again.loss_weights[1] == 3e-7);
    str_finish(&text);
    train_config_finish(&again);
}

// ---- across keys ----

static void set_all(struct train_config *c)
{
    REQUIRE(train_config_set(c, "model_name_or_path", TEST_FIXTURES "/tiny-gqa", "test"));
    REQUIRE(train_config_set(c, "dataset_name", TEST_FIXTURES "/prefs.jsonl", "test"));
    REQUIRE(train_config_set(c, "output_dir", scratch("run"), "test"));
}

static void keys_that_belong_together(void **state)
{
    struct train_config *c = *state;
    static const struct {
        const char *key, *value, *says;
    } cases[] = {
        {"model_name_or_path", "", "model_name_or_path is not set"},
        {"dataset_name", "", "dataset_name is not set"},
        {"output_dir", "", "output_dir is not set"},
        {"model_name_or_path", "no/such/folder", "model_name_or_path: no/such/folder"},
        {"ref_model_name_or_path", "no/such/ref", "ref_model_name_or_path: no/such/ref"},
        {"dataset_name", "no/such.jsonl", "dataset_name: no/such.jsonl"},
        {"eval_dataset_name", "no/such.jsonl", "eval_dataset_name: no/such.jsonl"},
        {"max_steps", "0", "max_steps"},
        {"num_train_epochs", "0", "num_train_epochs"},
        {"eval_steps", "5", "eval_dataset_name"},
    };
    set_all(c);
    REQUIRE(train_config_check(c));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        train_config_finish(c);
        train_config_init(c);
        set_all(c);
        REQUIRE(train_config_set(c, cases[i].key, cases[i].value, "test"));
        if (train_config_check(c)) fail_msg("accepted %s: %s", cases[i].key, cases[i].value);
        EXPECT_USER_ERROR(cases[i].says);
    }
    train_config_finish(c);
    train_config_init(c);
    set_all(c);
    REQUIRE(train_config_set(c, "method", "sft", "test"));
    REQUIRE(train_config_set(c, "ref_model_name_or_path", TEST_FIXTURES "/tiny-gqa-ref", "test"));
    assert_false(train_config_check(c));
    EXPECT_USER_ERROR("ref_model_name_or_path", "sft");
}

// What is saved of a run is the whole of it: read again it passes, and comes to the same.
static void settled_settings_read_back(void **state)
{
    static const char *const runs[] = {
        "",
        "method: sft\ncompletion_only: false\n",
        "method: kto\nlr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: {min_lr: 1e-7}\n",
        "method: cpo\nloss_type: alphapo\nalpha: 0.25\ncpo_alpha: 2\n",
        "loss_type: [orpo, sft]\nloss_weights: [1, 0.3]\n",
        "loss_type: [sigmoid, robust]\nlabel_smoothing: 0.1\nprecompute_ref_log_probs: true\n",
        "eval_strategy: steps\nload_best_model_at_end: true\neval_dataset_name: " TEST_FIXTURES
        "/prefs.jsonl\n",
        "lr_scheduler_type: warmup_stable_decay\nnum_decay_steps: 4\nwarmup_ratio: 0.1\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        struct train_config first, again;
        struct str once = {0}, twice = {0};
        train_config_init(&first);
        train_config_init(&again);
        set_all(&first);
        REQUIRE(read_text(&first, runs[i]));
        REQUIRE(train_config_check(&first));
        train_config_print(&first, false, &once);
        REQUIRE(read_text(&again, str_text(&once)));
        REQUIRE(train_config_check(&again));
        train_config_print(&again, false, &twice);
        assert_string_equal(str_text(&once), str_text(&twice));
        for (size_t k = 0; k < TRAIN_MAX_LOSSES; k++)
            assert_true(first.loss_weights[k] == again.loss_weights[k]);
        str_finish(&once);
        str_finish(&twice);
        train_config_finish(&first);
        train_config_finish(&again);
    }
}

// The configurations that come with the program pass, once they name files that exist.
static void shipped_configurations(void **state)
{
    static const struct {
        const char *name;
        int64_t method;
        bool moves;
    } files[] = {
        {"hh", TRAIN_DPO, true},
        {"tldr", TRAIN_DPO, true},
        {"ultrafeedback", TRAIN_DPO, true},
        {"kto", TRAIN_KTO, true},
        {"simpo", TRAIN_CPO, false},
        {"demo/sft", TRAIN_SFT, false},
        {"demo/dpo", TRAIN_DPO, false},
        {"demo/tr-dpo", TRAIN_DPO, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct train_config c;
        char path[1024];
        train_config_init(&c);
        snprintf(path, sizeof path, "%s/configs/%s.yaml", TEST_SOURCE_DIR, files[i].name);
        REQUIRE(train_config_read(&c, path));
        assert_true(c.output_dir && c.model_name_or_path && c.dataset_name);
        if (c.eval_dataset_name)
            REQUIRE(
                train_config_set(&c, "eval_dataset_name", TEST_FIXTURES "/prefs.jsonl", "test"));
        set_all(&c);
        if (!train_config_check(&c)) fail_msg("%s: %s", files[i].name, err_message());
        assert_int_equal(c.method, files[i].method);
        assert_int_equal(c.sync_ref_model, files[i].moves);
        train_config_finish(&c);
    }
}

static int group_begin(void **state)
{
    (void)state;
    scratch_init("test_config.scratch");
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
        TEST(defaults_are_those_of_the_method),
        TEST(booleans_are_yaml_words),
        TEST(numbers_have_ranges),
        TEST(choices_are_listed),
        TEST(checkpointing_is_a_boolean_too),
        TEST(unknown_keys_get_suggestions),
        TEST(keys_of_trl),
        TEST(names_of_dtypes),
        TEST(names_of_optimisers),
        TEST(file_of_yaml),
        TEST(file_of_json),
        TEST(empty_files),
        TEST(bad_files),
        TEST(deep_nesting_is_refused),
        TEST(printed_settings_read_back),
        TEST(every_key_reads_back),
        TEST(keys_that_belong_together),
        TEST(settled_settings_read_back),
        TEST(shipped_configurations),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
