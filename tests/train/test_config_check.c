// Configuration across keys: what is settled, what is refused by name, what is told to have no
// effect, and what the loss kernels get.
#include "../common/scratch.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/config.h"

#include "args.h" // the folder shaders/

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

// A configuration of "key: value" lines over one that passes. "KEY: null" puts a key back.
static void open_config(struct train_config *c, const char *lines)
{
    train_config_init(c);
    REQUIRE(train_config_set(c, "model_name_or_path", TEST_FIXTURES "/tiny-gqa", "test"));
    REQUIRE(train_config_set(c, "dataset_name", TEST_FIXTURES "/prefs.jsonl", "test"));
    REQUIRE(train_config_set(c, "output_dir", scratch("run"), "test"));
    REQUIRE(train_config_read(c, scratch_write("config.yaml", lines)));
}

static void expect_refused(const char *lines, const char *says)
{
    struct train_config c;
    open_config(&c, lines);
    if (train_config_check(&c)) fail_msg("accepted: %s", lines);
    if (!strstr(err_message(), says)) fail_msg("%s: '%s', want '%s'", lines, err_message(), says);
    EXPECT_USER_ERROR(says);
    train_config_finish(&c);
}

static void expect_accepted(const char *lines)
{
    struct train_config c;
    open_config(&c, lines);
    if (!train_config_check(&c)) fail_msg("%s: %s", lines, err_message());
    train_config_finish(&c);
}

// ---- losses ----

static const char *const dpo_losses[] = {
    "sigmoid",  "robust",   "hinge",     "ipo",      "ipo_sum",  "sigmoid_norm", "exo_pair",
    "nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down", "aot",          "aot_unpaired",
    "discopop", "sft",      "kto_pair",  "simpo",    "orpo"};
static const char *const kto_losses[] = {"kto", "apo_zero_unpaired"};
static const char *const cpo_losses[] = {"sigmoid", "hinge", "ipo", "simpo", "alphapo"};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool is_in(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

// Every loss with every method: taken where it belongs, refused with the method's own elsewhere.
static void losses_of_methods(void **state)
{
    (void)state;
    const struct {
        const char *method;
        const char *const *losses;
        size_t count;
    } methods[] = {{"dpo", dpo_losses, COUNT(dpo_losses)},
                   {"kto", kto_losses, COUNT(kto_losses)},
                   {"cpo", cpo_losses, COUNT(cpo_losses)}};
    for (size_t m = 0; m < COUNT(methods); m++)
        for (size_t k = 0; k < COUNT(methods); k++)
            for (size_t i = 0; i < methods[k].count; i++) {
                const char *loss = methods[k].losses[i];
                char lines[128], says[128];
                snprintf(lines, sizeof lines, "method: %s\nloss_type: %s\nlabel_smoothing: %s\n",
                         methods[m].method, loss, strcmp(loss, "exo_pair") == 0 ? "1e-3" : "0");
                if (is_in(loss, methods[m].losses, methods[m].count)) {
                    expect_accepted(lines);
                    continue;
                }
                snprintf(says, sizeof says, "loss_type: %s is a loss of method ", loss);
                expect_refused(lines, says);
                snprintf(says, sizeof says, "; method %s has %s", methods[m].method,
                         methods[m].losses[0]);
                expect_refused(lines, says);
            }
    expect_refused("method: sft\nloss_type: sigmoid\n", "loss_type: method sft has one loss");
    expect_refused("method: sft\nloss_weights: 1\n", "loss_weights: method sft");
    expect_refused("method: cpo\nloss_type: [simpo, hinge]\n", "method cpo takes one loss, not 2");
    expect_refused("method: kto\nloss_type: [kto, apo_zero_unpaired]\n",
                   "method kto takes one loss, not 2");
}

static void losses_left_to_the_method(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        int64_t type;
        double cpo_alpha;
    } cases[] = {
        {"method: dpo\n", PREF_SIGMOID, 1},
        {"method: kto\n", UNPAIRED_KTO, 1},
        {"method: cpo\n", PREF_SIGMOID, 1},
        {"method: cpo\nloss_type: null\n", PREF_SIGMOID, 1},
        {"method: cpo\nloss_type: simpo\n", PREF_SIMPO, 1},
        {"method: cpo\nloss_type: alphapo\nalpha: 0.25\n", PREF_SIMPO, 0},
        {"method: cpo\nloss_type: alphapo\ncpo_alpha: 3\n", PREF_SIMPO, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct train_config c;
        open_config(&c, cases[i].lines);
        for (int again = 0; again < 2; again++) {
            train_config_resolve(&c);
            assert_int_equal(c.loss_types, 1);
            assert_int_equal(c.loss_type[0], cases[i].type);
            assert_true(c.cpo_alpha == cases[i].cpo_alpha && c.loss_weights[0] == 1);
            assert_false(c.loss_weights_given);
        }
        train_config_finish(&c);
    }
    struct train_config c;
    open_config(&c, "method: sft\n");
    train_config_resolve(&c);
    assert_int_equal(c.loss_types, 0);
    // What other keys settle is no change of one's own.
    for (size_t i = 0; i < train_key_count; i++) {
        const char *name = train_keys[i].name;
        bool set = strcmp(name, "method") == 0 || strcmp(name, "model_name_or_path") == 0 ||
                   strcmp(name, "dataset_name") == 0 || strcmp(name, "output_dir") == 0;
        if (train_config_changed(&c, &train_keys[i]) != set) fail_msg("%s", name);
    }
    train_config_finish(&c);
}

static void losses_and_weights(void **state)
{
    (void)state;
    expect_accepted("loss_type: [sigmoid, sft]\nloss_weights: [1, 0.2]\n");
    expect_accepted("loss_type: [sigmoid, bco_pair, sft]\nloss_weights: [0.8, 0.2, 1.0]\n");
    expect_accepted("loss_type: [sigmoid, simpo]\n");
    expect_accepted("loss_weights: 0.5\n");
    expect_accepted("method: cpo\nloss_weights: 0\n"); // the likelihood alone
    expect_refused("loss_type: [sigmoid, sft]\nloss_weights: 1\n", "1 weights for 2 losses");
    expect_refused("loss_weights: [1, 1]\n", "2 weights for 1 losses");
    expect_refused("loss_type: [sigmoid, sft]\nloss_weights: [0, 0]\n", "nothing would be trained");
    expect_refused("method: cpo\ncpo_alpha: 0\nloss_weights: 0\n", "nothing would be trained");
    expect_refused("method: kto\nloss_weights: 2\n", "desirable_weight");
}

// Each loss with an option that some losses lack: taken exactly by those that have it.
static void expect_option(const char *option, const char *says, const char *const *takers,
                          size_t count)
{
    for (size_t i = 0; i < COUNT(dpo_losses); i++) {
        char lines[256];
        const char *loss = dpo_losses[i];
        bool exo = strcmp(loss, "exo_pair") == 0 && !strstr(option, "label_smoothing");
        snprintf(lines, sizeof lines, "loss_type: %s\n%s%s", loss, option,
                 exo ? "label_smoothing: 0.01\n" : "");
        if (is_in(loss, takers, count))
            expect_accepted(lines);
        else
            expect_refused(lines, says);
    }
}

static void options_of_losses(void **state)
{
    (void)state;
    static const char *const smooth[] = {"sigmoid", "robust",       "exo_pair",
                                         "aot",     "aot_unpaired", "simpo"};
    static const char *const diverge[] = {"sigmoid", "robust",   "hinge",    "ipo",
                                          "ipo_sum", "exo_pair", "discopop", "sigmoid_norm"};
    static const char *const weigh[] = {"sigmoid",      "robust",   "hinge",    "ipo",
                                        "ipo_sum",      "exo_pair", "nca_pair", "bco_pair",
                                        "sigmoid_norm", "apo_zero", "apo_down", "sppo_hard",
                                        "discopop",     "sft",      "simpo",    "orpo"};
    static const char *const not_ld[] = {"sft", "simpo", "orpo"};
    const char *ld[COUNT(dpo_losses)];
    size_t lds = 0;
    for (size_t i = 0; i < COUNT(dpo_losses); i++)
        if (!is_in(dpo_losses[i], not_ld, COUNT(not_ld))) ld[lds++] = dpo_losses[i];
    expect_option("label_smoothing: 0.1\n", "label_smoothing above 0 cannot go", smooth,
                  COUNT(smooth));
    expect_option("f_divergence_type: forward_kl\n", "f_divergence_type", diverge, COUNT(diverge));
    expect_option("use_weighting: true\n", "use_weighting cannot go with", weigh, COUNT(weigh));
    expect_option("ld_alpha: 0.5\n", "ld_alpha", ld, lds);
    expect_refused("loss_type: exo_pair\n", "label_smoothing: exo_pair needs more than 0");
    // In lists: an option of one loss is well where the others pass it by, and refused where it
    // would mean something else to them.
    expect_accepted("loss_type: [hinge, robust]\nlabel_smoothing: 0.1\n");
    expect_accepted("loss_type: [sigmoid, sft]\nf_divergence_type: js_divergence\n");
    expect_refused("loss_type: [sigmoid, apo_zero]\nf_divergence_type: js_divergence\n",
                   "cannot go with loss_type apo_zero; it goes with sigmoid, robust");
    expect_refused("loss_type: [sigmoid, aot]\nuse_weighting: true\n", "loss_type aot;");
    expect_accepted("loss_type: [sigmoid, sft]\nld_alpha: 0.5\n");
    expect_refused("loss_type: [sigmoid, simpo]\nld_alpha: 0.5\n", "ld_alpha: simpo and orpo");
}

static void options_of_methods(void **state)
{
    (void)state;
    expect_accepted("method: cpo\nlabel_smoothing: 0.1\n");
    expect_refused("method: cpo\nloss_type: hinge\nlabel_smoothing: 0.1\n",
                   "it goes with sigmoid, simpo");
    expect_refused("method: kto\nlabel_smoothing: 0.1\n", "label_smoothing");
    expect_refused("method: cpo\nf_divergence_type: forward_kl\n", "f_divergence_type");
    expect_refused("method: kto\nf_divergence_type: forward_kl\n", "f_divergence_type");
    expect_refused("method: cpo\nuse_weighting: true\n", "use_weighting: WPO is for method dpo");
    expect_refused("method: kto\nuse_weighting: true\n", "use_weighting: WPO is for method dpo");
    expect_refused("method: cpo\nld_alpha: 0.5\n", "ld_alpha: it is for method dpo");
    expect_refused("method: kto\nld_alpha: 0.5\n", "ld_alpha: it is for method dpo");
    expect_accepted("method: cpo\nalpha: 0.25\n");
    expect_refused("alpha: 0.6\n", "ref_model_mixup_alpha");
    expect_refused("method: kto\nalpha: 0.25\n", "alpha: AlphaPO");
    expect_refused("method: kto\nper_device_train_batch_size: 1\n", "per_device_train_batch_size:");
    expect_refused("method: kto\nper_device_eval_batch_size: 1\n", "per_device_eval_batch_size:");
    expect_accepted("method: kto\nloss_type: apo_zero_unpaired\nper_device_train_batch_size: 1\n");
    expect_accepted("method: kto\ndesirable_weight: 0\n");
    expect_refused("method: kto\ndesirable_weight: 0\nundesirable_weight: 0\n", "both 0");
}

// ---- the reference ----

static void references(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        bool has;
    } cases[] = {
        {"", true},
        {"method: kto\n", true},
        {"method: sft\n", false},
        {"method: cpo\n", false},
        {"loss_type: sft\n", false},
        {"loss_type: simpo\n", false},
        {"loss_type: [orpo, sft]\n", false},
        {"loss_type: [orpo, hinge]\n", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct train_config c;
        open_config(&c, cases[i].lines);
        assert_int_equal(train_config_has_reference(&c), cases[i].has);
        train_config_resolve(&c);
        assert_int_equal(train_config_has_reference(&c), cases[i].has);
        assert_int_equal(c.sync_ref_model, cases[i].has);
        train_config_finish(&c);
        static const char *const keys[][2] = {
            {"sync_ref_model: true", "sync_ref_model: "},
            {"precompute_ref_log_probs: true", "precompute_ref_log_probs: "},
            {"ref_offload: on", "ref_offload: "},
            {"ref_model_name_or_path: " TEST_FIXTURES "/tiny-gqa-ref", "ref_model_name_or_path: "}};
        for (size_t k = 0; k < COUNT(keys); k++) {
            char lines[1024];
            snprintf(lines, sizeof lines, "%s%s\n", cases[i].lines, keys[k][0]);
            if (cases[i].has)
                expect_accepted(lines);
            else
                expect_refused(lines, keys[k][1]);
        }
    }
    // By default, and said to be off, it needs nothing to follow.
    expect_accepted("method: cpo\nsync_ref_model: false\n");
    expect_refused("loss_type: [simpo, sft]\nsync_ref_model: true\n",
                   "sync_ref_model: loss_type simpo, sft has no reference");
    expect_refused("precompute_ref_log_probs: true\nref_offload: off\n", "ref_offload is off");
    struct train_config c;
    open_config(&c, "precompute_ref_log_probs: true\n");
    train_config_resolve(&c);
    assert_int_equal(c.ref_offload, TRAIN_OFFLOAD_ON);
    train_config_finish(&c);
}

// ---- schedule and evaluation ----

static void schedules(void **state)
{
    (void)state;
    static const char *const stable[] = {"num_decay_steps: 4", "num_stable_steps: 4",
                                         "warmup_type: cosine", "decay_type: linear",
                                         "min_lr_ratio: 0.1"};
    static const char *const others[] = {"linear", "cosine", "constant", "constant_with_warmup",
                                         "cosine_with_min_lr"};
    char lines[128], says[128];
    for (size_t i = 0; i < COUNT(stable); i++) {
        snprintf(lines, sizeof lines, "lr_scheduler_type: warmup_stable_decay\n%s%s\n",
                 i ? "num_decay_steps: 9\n" : "", stable[i]);
        expect_accepted(lines);
        for (size_t k = 0; k < COUNT(others); k++) {
            snprintf(lines, sizeof lines, "lr_scheduler_type: %s\n%s\n", others[k], stable[i]);
            snprintf(says, sizeof says, "lr_scheduler_type %s has no such setting: it is of warmup",
                     others[k]);
            expect_refused(lines, says);
        }
    }
    expect_accepted("lr_scheduler_type: cosine\nnum_cycles: 2\n");
    expect_refused("num_cycles: 2\n", "num_cycles: lr_scheduler_type linear has no such setting");
    expect_refused("min_lr: 1e-8\n", "it is of cosine_with_min_lr");
    expect_refused("lr_scheduler_type: cosine\nmin_lr_rate: 0.1\n", "it is of cosine_with_min_lr");
    expect_accepted("lr_scheduler_type: cosine_with_min_lr\nmin_lr: 1e-7\n");
    expect_accepted("lr_scheduler_type: cosine_with_min_lr\nmin_lr_rate: 0.1\nnum_cycles: 2\n");
    expect_refused("lr_scheduler_type: cosine_with_min_lr\n", "needs min_lr or min_lr_rate");
    expect_refused("lr_scheduler_type: cosine_with_min_lr\nmin_lr: 0\nmin_lr_rate: 0\n",
                   "min_lr and min_lr_rate are both set");
    expect_refused("lr_scheduler_type: cosine_with_min_lr\nmin_lr: 1e-5\n",
                   "min_lr: 1e-05 is above learning_rate, 1e-06");
    expect_refused("lr_scheduler_type: warmup_stable_decay\n", "needs num_decay_steps");
    expect_refused("warmup_steps: 5\nwarmup_ratio: 0.1\n", "warmup_steps and warmup_ratio");
    expect_accepted("warmup_ratio: 0.1\n");
}

#define EVAL "eval_dataset_name: " TEST_FIXTURES "/prefs.jsonl\n"

static void evaluation(void **state)
{
    (void)state;
    static const char *const needing[][2] = {{"eval_steps", "5"},
                                             {"eval_strategy", "steps"},
                                             {"eval_on_start", "true"},
                                             {"load_best_model_at_end", "true"},
                                             {"early_stopping_patience", "2"},
                                             {"eval_prompts", TEST_FIXTURES "/prefs.jsonl"}};
    for (size_t i = 0; i < COUNT(needing); i++) {
        char lines[1024], says[128];
        snprintf(lines, sizeof lines, "%s: %s\n", needing[i][0], needing[i][1]);
        snprintf(says, sizeof says, "%s is set, but eval_dataset_name is not", needing[i][0]);
        expect_refused(lines, says);
        snprintf(lines, sizeof lines, "%s: %s\n%s%s", needing[i][0], needing[i][1], EVAL,
                 i ? "eval_steps: 7\n" : "");
        expect_accepted(lines);
    }
    expect_refused(EVAL "load_best_model_at_end: true\n", "set eval_steps");
    expect_refused(EVAL "early_stopping_patience: 1\n", "set eval_steps");
    expect_refused("eval_prompts: no/such.jsonl\n" EVAL, "eval_prompts: no/such.jsonl");
    expect_refused(EVAL "eval_strategy: epoch\n", "give eval_steps");
    expect_accepted("eval_strategy: no\n");
    expect_refused("eval_strategy: no\neval_steps: 5\n", "eval_strategy is no, but eval_steps");
    expect_refused("eval_strategy: no\n" EVAL, "eval_strategy is no, but eval_dataset_name");
    struct train_config c;
    open_config(&c, EVAL "eval_strategy: steps\nlogging_steps: 30\n");
    REQUIRE(train_config_check(&c));
    assert_int_equal(c.eval_steps, 30);
    train_config_finish(&c);
    open_config(&c, EVAL "eval_strategy: steps\neval_steps: 4\n");
    REQUIRE(train_config_check(&c));
    assert_int_equal(c.eval_steps, 4);
    train_config_finish(&c);
}

static void best_metrics(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *name;
        bool greater;
    } cases[] = {
        {"", "loss", false},
        {"metric_for_best_model: eval_loss\n", "loss", false},
        {"metric_for_best_model: rewards/accuracies\n", "rewards/accuracies", true},
        {"metric_for_best_model: eval_rewards/margins\n", "rewards/margins", true},
        {"metric_for_best_model: entropy\ngreater_is_better: False\n", "entropy", false},
        {"greater_is_better: yes\n", "loss", true},
        {"metric_for_best_model: ''\n", "loss", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct train_config c;
        char lines[1024];
        snprintf(lines, sizeof lines, "%sload_best_model_at_end: true\neval_steps: 2\n%s", EVAL,
                 cases[i].lines);
        open_config(&c, lines);
        assert_string_equal(train_config_best_metric(&c), cases[i].name);
        assert_int_equal(train_config_greater_is_better(&c), cases[i].greater);
        train_config_finish(&c);
        expect_accepted(lines);
    }
    expect_refused(EVAL "metric_for_best_model: rewards/acuracies\n",
                   "did you mean 'rewards/accuracies'?");
    expect_refused(EVAL "metric_for_best_model: bleu\n", "has no 'bleu'; it has loss");
    expect_refused(EVAL "method: sft\nmetric_for_best_model: rewards/margins\n",
                   "it has loss, entropy, mean_token_accuracy");
    expect_refused(EVAL "method: cpo\nmetric_for_best_model: kl/reference\n", "kl/reference");
}

// ---- what has no effect ----

// The warnings of a configuration that passes. The text is static.
static const char *warnings(const char *lines)
{
    static char text[2048];
    struct train_config c;
    const char *path = scratch("log");
    open_config(&c, lines);
    REQUIRE(log_open_file(path));
    bool ok = train_config_check(&c);
    log_close_file();
    REQUIRE(ok);
    train_config_finish(&c);
    size_t len;
    char *all = file_read(path, sizeof text - 1, &len);
    REQUIRE(all);
    memcpy(text, all, len);
    text[len] = 0;
    mem_free(all);
    remove(path);
    return text;
}

static void what_has_no_effect(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *says; // NULL: nothing
    } cases[] = {
        {"", NULL},
        {"method: sft\n", NULL},
        {"method: kto\n", NULL},
        {"method: cpo\n", NULL},
        {"discopop_tau: 0.1\n", "discopop_tau has no effect without loss_type: discopop"},
        {"discopop_tau: 0.1\nloss_type: [sigmoid, discopop]\n", NULL},
        {"simpo_gamma: 1\n", "simpo_gamma has no effect without loss_type: simpo"},
        {"method: cpo\nloss_type: alphapo\nsimpo_gamma: 1\n", NULL},
        {"loss_type: simpo\ncpo_alpha: 0\n", "cpo_alpha has no effect without method: cpo"},
        {"desirable_weight: 2\n", "desirable_weight has no effect without method: kto"},
        {"undesirable_weight: 2\n", "undesirable_weight has no effect without method: kto"},
        {"f_alpha_divergence_coef: 0.3\n", "f_alpha_divergence_coef has no effect"},
        {"f_alpha_divergence_coef: 0.3\nf_divergence_type: alpha_divergence\n", NULL},
        {"method: sft\nlabel_smoothing: 0.1\n", "label_smoothing has no effect"},
        {"completion_only: false\n", "completion_only has no effect without method: sft"},
        {"method: sft\ncompletion_only: false\n", NULL},
        {"loss_type: robust\n", "robust with label_smoothing 0 is sigmoid"},
        {"loss_type: kto_pair\nper_device_train_batch_size: 1\n", "kto_pair"},
        {"lr_scheduler_type: constant\nwarmup_steps: 4\n", "constant_with_warmup has"},
        {"eval_temperature: 0.5\n", "have no effect without eval_prompts"},
        {"early_stopping_threshold: 0.1\n", "early_stopping_threshold has no effect"},
        {EVAL "eval_steps: 5\nearly_stopping_patience: 2\n", "ends with its last model"},
        {EVAL "eval_steps: 5\nearly_stopping_patience: 2\nload_best_model_at_end: true\n", NULL},
        {"method: cpo\nalpha: 0.25\n", "grows beyond all bounds"},
        {"method: cpo\nalpha: 0.25\nloss_type: simpo\n", NULL},
        {"metric_for_best_model: entropy\n", "have no effect without load_best_model_at_end"},
        {"precompute_ref_log_probs: true\n", "the reference moves"},
        {"precompute_ref_log_probs: true\nsync_ref_model: false\n", "as ref_offload: on"},
    };
    log_set_level(LOG_QUIET);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *said = warnings(cases[i].lines);
        if (cases[i].says ? !strstr(said, cases[i].says) : *said)
            fail_msg("%s: '%s'", cases[i].lines, said);
    }
    log_set_level(LOG_INFO);
}

// ---- what the kernels get ----

static void settings_of_kernels(void **state)
{
    (void)state;
    struct train_config c;
    struct pref_settings s;
    train_config_init(&c); // as it stands, without a check
    train_config_pref_settings(&c, &s);
    assert_true(s.terms == 1 && s.type[0] == PREF_SIGMOID && s.weight[0] == 1 && s.flags == 0);
    assert_true(s.beta == 0.1F && s.ld_alpha == 1 && s.label_smoothing == 0 && s.alpha == 0);
    assert_true(s.divergence == DIVERGENCE_REVERSE_KL && s.divergence_coef == 0.5F);
    assert_int_equal(c.loss_types, 0);
    train_config_finish(&c);

    open_config(&c, "loss_type: [discopop, simpo, orpo]\nloss_weights: [0.5, 2, 0]\nbeta: 2\n"
                    "label_smoothing: 0.25\nld_alpha: 0.125\nuse_weighting: true\n"
                    "f_divergence_type: alpha_divergence\nf_alpha_divergence_coef: 3\n"
                    "discopop_tau: 4\nsimpo_gamma: 5\nalpha: 6\n");
    train_config_pref_settings(&c, &s);
    assert_int_equal(s.terms, 3);
    assert_true(s.type[0] == PREF_DISCOPOP && s.type[1] == PREF_SIMPO && s.type[2] == PREF_ORPO);
    assert_true(s.weight[0] == 0.5F && s.weight[1] == 2 && s.weight[2] == 0);
    assert_true(s.beta == 2 && s.label_smoothing == 0.25F && s.ld_alpha == 0.125F);
    assert_true(s.divergence == DIVERGENCE_ALPHA && s.divergence_coef == 3);
    assert_true(s.discopop_tau == 4 && s.simpo_gamma == 5 && s.alpha == 0); // alpha is cpo's
    assert_int_equal(s.flags, PREF_WEIGHTED);
    train_config_finish(&c);

    static const struct {
        const char *lines;
        uint32_t flags, terms, last;
        float weight, alpha;
    } cases[] = {
        {"loss_type: sft\n", PREF_REFERENCE_FREE, 1, PREF_SFT, 1, 0},
        {"loss_type: [sft, simpo]\n", PREF_REFERENCE_FREE | PREF_MEAN_REWARDS, 2, PREF_SIMPO, 1, 0},
        {"loss_type: orpo\n", PREF_REFERENCE_FREE | PREF_MEAN_REWARDS, 1, PREF_ORPO, 1, 0},
        {"loss_type: ipo\n", 0, 1, PREF_IPO, 1, 0},
        {"method: cpo\n", PREF_REFERENCE_FREE, 2, PREF_SFT, 1, 0},
        {"method: cpo\nloss_type: ipo\ncpo_alpha: 0.5\n", PREF_REFERENCE_FREE | PREF_MEAN_REWARDS,
         2, PREF_SFT, 0.5F, 0},
        {"method: cpo\nloss_type: hinge\ncpo_alpha: 0\n", PREF_REFERENCE_FREE, 1, PREF_HINGE, 1, 0},
        {"method: cpo\nloss_type: alphapo\nalpha: 0.25\n", PREF_REFERENCE_FREE | PREF_MEAN_REWARDS,
         1, PREF_SIMPO, 1, 0.25F},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        open_config(&c, cases[i].lines);
        train_config_pref_settings(&c, &s);
        if (s.flags != cases[i].flags || s.terms != cases[i].terms ||
            s.type[s.terms - 1] != cases[i].last || s.weight[s.terms - 1] != cases[i].weight ||
            s.alpha != cases[i].alpha)
            fail_msg("%s: flags %u, %u terms, the last %u times %g, alpha %g", cases[i].lines,
                     s.flags, s.terms, s.type[s.terms - 1], (double)s.weight[s.terms - 1],
                     (double)s.alpha);
        train_config_finish(&c);
    }
}

// Each choice of loss_type has the number that the kernels know it by.
static void numbers_of_losses(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t type;
    } names[] = {
        {"sigmoid", PREF_SIGMOID},
        {"robust", PREF_ROBUST},
        {"hinge", PREF_HINGE},
        {"ipo", PREF_IPO},
        {"ipo_sum", PREF_IPO_SUM},
        {"sigmoid_norm", PREF_SIGMOID_NORM},
        {"exo_pair", PREF_EXO_PAIR},
        {"nca_pair", PREF_NCA_PAIR},
        {"bco_pair", PREF_BCO_PAIR},
        {"sppo_hard", PREF_SPPO_HARD},
        {"apo_zero", PREF_APO_ZERO},
        {"apo_down", PREF_APO_DOWN},
        {"aot", PREF_AOT},
        {"aot_unpaired", PREF_AOT_UNPAIRED},
        {"discopop", PREF_DISCOPOP},
        {"sft", PREF_SFT},
        {"kto_pair", PREF_KTO_PAIR},
        {"simpo", PREF_SIMPO},
        {"orpo", PREF_ORPO},
        {"kto", UNPAIRED_KTO},
        {"apo_zero_unpaired", UNPAIRED_APO_ZERO},
    };
    static const struct {
        const char *name;
        int64_t type;
    } divergences[] = {{"reverse_kl", DIVERGENCE_REVERSE_KL},
                       {"forward_kl", DIVERGENCE_FORWARD_KL},
                       {"js_divergence", DIVERGENCE_JS},
                       {"alpha_divergence", DIVERGENCE_ALPHA}};
    struct train_config c;
    train_config_init(&c);
    for (size_t i = 0; i < COUNT(names); i++) {
        REQUIRE(train_config_set(&c, "loss_type", names[i].name, "test"));
        assert_true(c.loss_types == 1 && c.loss_type[0] == names[i].type);
    }
    for (size_t i = 0; i < COUNT(divergences); i++) {
        REQUIRE(train_config_set(&c, "f_divergence_type", divergences[i].name, "test"));
        assert_true(c.f_divergence_type == divergences[i].type);
    }
    train_config_finish(&c);
}

static int group_begin(void **state)
{
    (void)state;
    scratch_init("test_config_check.scratch");
    return 0;
}

static int group_end(void **state)
{
    (void)state;
    scratch_finish();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_of_methods),   cmocka_unit_test(losses_left_to_the_method),
        cmocka_unit_test(losses_and_weights),  cmocka_unit_test(options_of_losses),
        cmocka_unit_test(options_of_methods),  cmocka_unit_test(references),
        cmocka_unit_test(schedules),           cmocka_unit_test(evaluation),
        cmocka_unit_test(best_metrics),        cmocka_unit_test(what_has_no_effect),
        cmocka_unit_test(settings_of_kernels), cmocka_unit_test(numbers_of_losses),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
