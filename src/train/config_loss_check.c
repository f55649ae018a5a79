// Losses and their options: what makes no sense together is refused by name, what has no effect is
// said.
#include "train/config_keys.h"

#include "base/error.h"
#include "base/log.h"

#include "args.h" // the folder shaders/

#include <string.h>

// What a loss takes.
enum {
    OF_DPO = 1,
    OF_KTO = 2,
    OF_CPO = 4,
    SMOOTHS = 8,         // label_smoothing
    DIVERGES = 16,       // another f_divergence_type, or is untouched by it
    WEIGHS = 32,         // use_weighting
    TOTALS = 64,         // sums over a completion, in which ld_alpha weighs the tokens
    IS_BATCH_RATIO = 128 // the divergence over the batch counts
};

static const unsigned traits[] = {
    [PREF_SIGMOID] = OF_DPO | OF_CPO | SMOOTHS | DIVERGES | WEIGHS | TOTALS,
    [PREF_ROBUST] = OF_DPO | SMOOTHS | DIVERGES | WEIGHS | TOTALS,
    [PREF_HINGE] = OF_DPO | OF_CPO | DIVERGES | WEIGHS | TOTALS,
    [PREF_IPO] = OF_DPO | OF_CPO | DIVERGES | WEIGHS | TOTALS,
    [PREF_IPO_SUM] = OF_DPO | DIVERGES | WEIGHS | TOTALS,
    [PREF_SIGMOID_NORM] = OF_DPO | DIVERGES | WEIGHS | TOTALS,
    [PREF_EXO_PAIR] = OF_DPO | SMOOTHS | DIVERGES | WEIGHS | TOTALS,
    [PREF_NCA_PAIR] = OF_DPO | WEIGHS | TOTALS,
    [PREF_BCO_PAIR] = OF_DPO | WEIGHS | TOTALS,
    [PREF_SPPO_HARD] = OF_DPO | WEIGHS | TOTALS,
    [PREF_APO_ZERO] = OF_DPO | WEIGHS | TOTALS,
    [PREF_APO_DOWN] = OF_DPO | WEIGHS | TOTALS,
    [PREF_AOT] = OF_DPO | SMOOTHS | TOTALS,
    [PREF_AOT_UNPAIRED] = OF_DPO | SMOOTHS | TOTALS,
    [PREF_DISCOPOP] = OF_DPO | DIVERGES | WEIGHS | TOTALS,
    [PREF_SFT] = OF_DPO | DIVERGES | WEIGHS,
    [PREF_KTO_PAIR] = OF_DPO | TOTALS | IS_BATCH_RATIO,
    [PREF_SIMPO] = OF_DPO | OF_CPO | SMOOTHS | WEIGHS,
    [PREF_ORPO] = OF_DPO | WEIGHS,
    [UNPAIRED_KTO] = OF_KTO | IS_BATCH_RATIO,
    [UNPAIRED_APO_ZERO] = OF_KTO,
    [TRAIN_ALPHAPO] = OF_CPO,
};

static const char *const method_names[] = {
    [TRAIN_DPO] = "dpo", [TRAIN_SFT] = "sft", [TRAIN_KTO] = "kto", [TRAIN_CPO] = "cpo"};
static const unsigned method_bits[] = {
    [TRAIN_DPO] = OF_DPO, [TRAIN_KTO] = OF_KTO, [TRAIN_CPO] = OF_CPO};

static bool uses(const struct train_config *c, int64_t type)
{
    for (size_t i = 0; i < c->loss_types; i++)
        if (c->loss_type[i] == type) return true;
    return false;
}

static bool any(const struct train_config *c, unsigned trait)
{
    for (size_t i = 0; i < c->loss_types; i++)
        if (traits[c->loss_type[i]] & trait) return true;
    return false;
}

// Appends the names of the losses with all of the traits.
static void append_losses(unsigned wanted, struct str *out)
{
    const char *choices = train_key_find("loss_type")->choices, *comma = "";
    for (size_t i = 0; i < sizeof traits / sizeof *traits; i++) {
        if ((traits[i] & wanted) != wanted) continue;
        str_append(out, comma);
        train_choice_append(choices, (int64_t)i, out);
        comma = ", ";
    }
}

static void append_loss(int64_t type, struct str *out)
{
    train_choice_append(train_key_find("loss_type")->choices, type, out);
}

// ---- losses ----

// Refuses the first loss without the trait. `what` tells what needs it: "use_weighting: true".
static bool need_all(const struct train_config *c, unsigned trait, const char *what)
{
    for (size_t i = 0; i < c->loss_types; i++) {
        if (traits[c->loss_type[i]] & trait) continue;
        struct str loss = {0}, able = {0};
        append_loss(c->loss_type[i], &loss);
        append_losses(trait | method_bits[c->method], &able);
        err_user("%s cannot go with loss_type %s; it goes with %s", what, str_text(&loss),
                 str_text(&able));
        str_finish(&loss);
        str_finish(&able);
        return false;
    }
    return true;
}

// Refuses where no loss has the trait.
static bool need_any(const struct train_config *c, unsigned trait, const char *what)
{
    return any(c, trait) || need_all(c, trait, what);
}

static bool check_method(const struct train_config *c)
{
    const char *method = method_names[c->method];
    if (c->method == TRAIN_SFT) {
        if (c->loss_types)
            return err_user("loss_type: method sft has one loss, the next token's: leave loss_type "
                            "out, or set method: dpo");
        if (c->loss_weights_given)
            return err_user("loss_weights: method sft has one loss: leave loss_weights out");
        return true;
    }
    for (size_t i = 0; i < c->loss_types; i++) {
        unsigned of = traits[c->loss_type[i]];
        if (of & method_bits[c->method]) continue;
        struct str loss = {0}, able = {0};
        append_loss(c->loss_type[i], &loss);
        append_losses(method_bits[c->method], &able);
        err_user("loss_type: %s is a loss of method %s; method %s has %s", str_text(&loss),
                 of & OF_DPO   ? "dpo"
                 : of & OF_KTO ? "kto"
                               : "cpo",
                 method, str_text(&able));
        str_finish(&loss);
        str_finish(&able);
        return false;
    }
    if (c->method != TRAIN_DPO && c->loss_types > 1)
        return err_user("loss_type: method %s takes one loss, not %zu: lists are for method dpo",
                        method, c->loss_types);
    return true;
}

static bool check_weights(const struct train_config *c)
{
    if (!c->loss_weights_given) return true;
    if (c->loss_weights_given != c->loss_types)
        return err_user("loss_weights: %zu weights for %zu losses: give one for each loss of "
                        "loss_type, or leave loss_weights out",
                        c->loss_weights_given, c->loss_types);
    double sum = 0;
    for (size_t i = 0; i < c->loss_types; i++)
        sum += c->loss_weights[i];
    if (sum == 0 && (c->method != TRAIN_CPO || c->cpo_alpha == 0))
        return err_user("loss_weights: all are 0, so nothing would be trained");
    if (c->method == TRAIN_KTO && sum != 1)
        return err_user("loss_weights: method kto has one loss, of weight 1: use desirable_weight "
                        "and undesirable_weight");
    return true;
}

// ---- options ----

static bool check_options(const struct train_config *c)
{
    bool cpo = c->method == TRAIN_CPO, dpo = c->method == TRAIN_DPO;
    if (c->label_smoothing > 0 && c->method != TRAIN_SFT &&
        !need_any(c, SMOOTHS, "label_smoothing above 0"))
        return false;
    if (uses(c, PREF_EXO_PAIR) && c->label_smoothing == 0)
        return err_user("label_smoothing: exo_pair needs more than 0: its authors advise 1e-3");
    if (c->f_divergence_type != DIVERGENCE_REVERSE_KL) {
        if (!dpo || !train_config_has_reference(c))
            return err_user("f_divergence_type: there is no pair of divergences from a reference "
                            "here: it is for method dpo with a loss that has a reference");
        if (!need_all(c, DIVERGES, "f_divergence_type other than reverse_kl")) return false;
    }
    if (c->use_weighting) {
        if (!dpo)
            return err_user("use_weighting: WPO is for method dpo, not %s",
                            method_names[c->method]);
        if (!need_all(c, WEIGHS, "use_weighting")) return false;
    }
    if (c->ld_alpha < 1) {
        if (!dpo)
            return err_user("ld_alpha: it is for method dpo, not %s", method_names[c->method]);
        if (!need_any(c, TOTALS, "ld_alpha below 1")) return false;
        // A mean over tokens knows no length that ld_alpha could hold down.
        if (uses(c, PREF_SIMPO) || uses(c, PREF_ORPO))
            return err_user("ld_alpha: simpo and orpo take means over tokens, not sums: leave "
                            "ld_alpha out, or those losses");
    }
    if (c->alpha != 0 && !cpo)
        return err_user("alpha: AlphaPO's reward is for method cpo, without a reference, not %s%s",
                        method_names[c->method],
                        dpo ? " (the weight of the policy in a reference update is "
                              "ref_model_mixup_alpha)"
                            : "");
    return true;
}

static bool check_kto(const struct train_config *c)
{
    if (c->method != TRAIN_KTO) return true;
    if (c->desirable_weight == 0 && c->undesirable_weight == 0)
        return err_user("desirable_weight and undesirable_weight are both 0, so nothing would be "
                        "trained");
    if (!uses(c, UNPAIRED_KTO)) return true;
    const char *small = c->per_device_train_batch_size < 2  ? "per_device_train_batch_size"
                        : c->per_device_eval_batch_size < 2 ? "per_device_eval_batch_size"
                                                            : NULL;
    if (small)
        return err_user("%s: loss_type kto compares rows with the others of their batch: give 2 or "
                        "more, or set loss_type: apo_zero_unpaired",
                        small);
    return true;
}

// ---- reference ----

static bool check_reference(const struct train_config *c)
{
    if (train_config_has_reference(c)) {
        if (c->precompute_ref_log_probs && c->ref_offload == TRAIN_OFFLOAD_OFF)
            return err_user("precompute_ref_log_probs: true means ref_offload: on, but ref_offload "
                            "is off: leave one of them out");
        return true;
    }
    struct str why = {0};
    if (c->method != TRAIN_DPO)
        str_appendf(&why, "method %s", method_names[c->method]);
    else
        for (size_t i = 0; i < c->loss_types; i++) {
            str_append(&why, i ? ", " : "loss_type ");
            append_loss(c->loss_type[i], &why);
        }
    bool ok = true;
    if (c->ref_model_name_or_path)
        ok = err_user("ref_model_name_or_path: %s has no reference: leave it out", str_text(&why));
    else if (c->sync_ref_model)
        ok = err_user("sync_ref_model: %s has no reference that could follow: set it to false or "
                      "leave it out",
                      str_text(&why));
    else if (c->precompute_ref_log_probs)
        ok =
            err_user("precompute_ref_log_probs: %s has no reference: leave it out", str_text(&why));
    else if (c->ref_offload == TRAIN_OFFLOAD_ON)
        ok = err_user("ref_offload: %s has no reference: leave it out", str_text(&why));
    str_finish(&why);
    return ok;
}

bool train_config_check_loss(const struct train_config *c)
{
    return check_method(c) && check_weights(c) && check_options(c) && check_kto(c) &&
           check_reference(c);
}

// ---- what has no effect ----

void train_config_warn_loss(const struct train_config *c)
{
    bool kto = c->method == TRAIN_KTO, cpo = c->method == TRAIN_CPO;
    const struct {
        const char *key;
        bool used;
        const char *by;
    } options[] = {
        {"f_alpha_divergence_coef", c->f_divergence_type == DIVERGENCE_ALPHA,
         "f_divergence_type: alpha_divergence"},
        {"discopop_tau", uses(c, PREF_DISCOPOP), "loss_type: discopop"},
        {"simpo_gamma", uses(c, PREF_SIMPO), "loss_type: simpo"},
        {"cpo_alpha", cpo, "method: cpo"},
        {"desirable_weight", kto, "method: kto"},
        {"undesirable_weight", kto, "method: kto"},
        {"label_smoothing", c->method != TRAIN_SFT, "a loss of preferences"},
        {"completion_only", c->method == TRAIN_SFT, "method: sft"},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (!options[i].used && train_config_changed(c, train_key_find(options[i].key)))
            log_warn("%s has no effect without %s", options[i].key, options[i].by);
    if (cpo && c->alpha > 0 && !uses(c, PREF_SIMPO) && !uses(c, PREF_IPO))
        log_warn("alpha: of the sum of a completion's log-probs AlphaPO's reward grows beyond all "
                 "bounds; loss_type simpo takes their mean");
    if (uses(c, PREF_ROBUST) && c->label_smoothing == 0)
        log_warn("loss_type robust with label_smoothing 0 is sigmoid");
    if (c->method == TRAIN_DPO && any(c, IS_BATCH_RATIO) && c->per_device_train_batch_size < 2)
        log_warn("loss_type kto_pair takes its divergence from a batch, and "
                 "per_device_train_batch_size is 1");
    if (c->precompute_ref_log_probs && c->sync_ref_model)
        log_warn(
            "precompute_ref_log_probs: the reference moves, so its log-probs are computed ahead "
            "between its updates (set sync_ref_model: false for a fixed reference)");
    else if (c->precompute_ref_log_probs)
        log_info("precompute_ref_log_probs: as ref_offload: on");
}
