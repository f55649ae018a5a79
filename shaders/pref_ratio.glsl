// Losses that look at the log ratios u_w and u_l apart; w and l are beta times those. Slopes by w,
// l.
#ifndef TRDPO_PREF_RATIO_GLSL
#define TRDPO_PREF_RATIO_GLSL

#include "pref_pair.glsl"

// -ls(w) - ls(-w) / 2 - ls(-l) / 2
pref_term nca_pair_loss(logistic w, logistic l)
{
    return pref_term(-w.log_yes - 0.5 * w.log_no - 0.5 * l.log_no, 0.5 * w.yes - w.no, 0.5 * l.yes,
                     0.0);
}

// -ls(w) - ls(-l)
pref_term bco_pair_loss(logistic w, logistic l)
{
    return pref_term(-w.log_yes - l.log_no, -w.no, l.yes, 0.0);
}

// (u_w - 1 / (2 beta))^2 + (u_l + 1 / (2 beta))^2
pref_term sppo_hard_loss(float w, float l, float beta)
{
    float right = (w - 0.5) / beta, wrong = (l + 0.5) / beta;
    return pref_term(right * right + wrong * wrong, 2.0 * right / beta, 2.0 * wrong / beta, 0.0);
}

// 1 - s(w) + s(l)
pref_term apo_zero_loss(logistic w, logistic l)
{
    return pref_term(w.no + l.yes, -w.yes * w.no, l.yes * l.no, 0.0);
}

// s(w) + 1 - s(w - l)
pref_term apo_down_loss(logistic w, logistic difference)
{
    float together = difference.yes * difference.no;
    return pref_term(w.yes + difference.no, w.yes * w.no - together, together, 0.0);
}

bool is_ratio_loss(uint type)
{
    return type >= PREF_NCA_PAIR && type <= PREF_APO_DOWN;
}

pref_term ratio_loss(uint type, float w, float l, float beta)
{
    logistic of_w = logistic_of(w), of_other = logistic_of(type == PREF_APO_DOWN ? w - l : l);
    switch (type) {
    case PREF_NCA_PAIR:
        return nca_pair_loss(of_w, of_other);
    case PREF_BCO_PAIR:
        return bco_pair_loss(of_w, of_other);
    case PREF_SPPO_HARD:
        return sppo_hard_loss(w, l, beta);
    case PREF_APO_ZERO:
        return apo_zero_loss(of_w, of_other);
    }
    return apo_down_loss(of_w, of_other);
}

pref_term ratio_term(uint type, pref_pair pair, pref_settings_ref settings)
{
    float beta = settings.v[0].beta;
    pref_term t = ratio_loss(type, beta * pair.u_w, beta * pair.u_l, beta);
    return pref_term(t.loss, beta * t.dw, beta * t.dl, 0.0);
}

#endif
