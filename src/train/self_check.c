#include "train/self_check.h"

#include "base/error.h"
#include "base/log.h"

#include <math.h>
#include <stdio.h>

// A loss of a pair with u_w = u_l = D = 0, whatever the divergence (each of them is 0 there).
static bool term_of_agreement(const struct pref_settings *s, uint32_t type, double *loss)
{
    double ln2 = log(2.0), beta = s->beta, smoothing = s->label_smoothing;
    switch (type) {
    case PREF_SIGMOID:
    case PREF_ROBUST:
    case PREF_SIGMOID_NORM:
    case PREF_AOT:
    case PREF_AOT_UNPAIRED:
        return *loss = ln2, true;
    case PREF_HINGE:
    case PREF_APO_ZERO:
    case PREF_APO_DOWN:
    case PREF_KTO_PAIR:
        return *loss = 1, true;
    case PREF_IPO:
    case PREF_IPO_SUM:
        return *loss = 1 / (4 * beta * beta), true;
    case PREF_SPPO_HARD:
        return *loss = 1 / (2 * beta * beta), true;
    case PREF_NCA_PAIR:
    case PREF_BCO_PAIR:
        return *loss = 2 * ln2, true;
    case PREF_EXO_PAIR:
        return *loss = -ln2 - (log1p(-smoothing) + log(smoothing)) / 2, true;
    case PREF_DISCOPOP:
        return *loss = (ln2 + 1) / 2, true;
    default:
        return false;
    }
}

bool train_loss_of_agreement(const struct train_config *c, bool desirable, double *loss)
{
    if (!train_config_has_reference(c)) return false;
    if (c->method == TRAIN_KTO) // both of its losses are 1 - s(0) and s(0) there
        return *loss = (desirable ? c->desirable_weight : c->undesirable_weight) / 2, true;
    struct pref_settings s;
    train_config_pref_settings(c, &s);
    if (s.flags & PREF_WEIGHTED) return false;
    double sum = 0, term;
    for (uint32_t i = 0; i < s.terms; i++) {
        if (s.weight[i] == 0) continue;
        if (!term_of_agreement(&s, s.type[i], &term)) return false;
        sum += (double)s.weight[i] * term;
    }
    return *loss = sum, true;
}

static bool near(double value, double want, double tolerance)
{
    return fabs(value - want) <= tolerance * fmax(1, fabs(want)); // false for NaN
}

bool train_self_check(const struct train_config *c, const union train_row_metrics *rows,
                      uint32_t count)
{
    bool kto = c->method == TRAIN_KTO, known = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct pair_metrics *p = &rows[i].pair;
        const struct unpaired_metrics *u = &rows[i].unpaired;
        double loss = kto ? u->loss : p->loss, want = loss;
        double chosen = kto ? u->reward : p->reward_chosen;
        double rejected = kto ? u->reward : p->reward_rejected;
        known = train_loss_of_agreement(c, !kto || u->label > 0.5f, &want);
        if (near(chosen, 0, 1e-6) && near(rejected, 0, 1e-6) && near(loss, want, 1e-5)) continue;
        char expected[32] = "";
        if (known) snprintf(expected, sizeof expected, " instead of %g", want);
        return err_device(
            "self-check failed at step 1: policy and reference are the same model, but a row has "
            "rewards %g and %g instead of 0, and loss %g%s. The device computes wrongly: run "
            "'trdpo-vk doctor'",
            chosen, rejected, loss, expected);
    }
    double loss = 0;
    if (!known || kto)
        log_info("self-check passed: policy and reference agree, rewards 0%s",
                 kto ? ", losses of each class as they must be" : "");
    else if (train_loss_of_agreement(c, true, &loss) && loss == log(2.0))
        log_info("self-check passed: policy and reference agree, rewards 0, loss ln 2");
    else
        log_info("self-check passed: policy and reference agree, rewards 0, loss %g", loss);
    return true;
}
