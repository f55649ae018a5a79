// Losses that look at the log ratios u_w and u_l apart; w and l are beta times those.
#ifndef TRDPO_PREF_RATIO_GLSL
#define TRDPO_PREF_RATIO_GLSL

#include "pref_pair.glsl"

// -ls(w) - ls(-w) / 2 - ls(-l) / 2
pref_term nca_pair_loss(float w, float l)
{
    logistic sw = logistic_of(w), sl = logistic_of(l);
    return pref_term(-sw.log_yes - 0.5 * sw.log_no - 0.5 * sl.log_no, 0.5 * sw.yes - sw.no, 0.5 * sl.yes,
                     0.0);
}

// -ls(w) - ls(-l)
pref_term bco_pair_loss(float w, float l)
{
    logistic sw = logistic_of(w), sl = logistic_of(l);
    return pref_term(-sw.log_yes - sl.log_no, -sw.no, sl.yes, 0.0);
}

// (u_w - 1 / (2 beta))^2 + (u_l + 1 / (2 beta))^2
pref_term sppo_hard_loss(float w, float l, float beta)
{
    float right = (w - 0.5) / beta, wrong = (l + 0.5) / beta;
    return pref_term(right * right + wrong * wrong, 2.0 * right / beta, 2.0 * wrong / beta, 0.0);
}

// 1 - s(w) + s(l)
pref_term apo_zero_loss(float w, float l)
{
    logistic sw = logistic_of(w), sl = logistic_of(l);
    return pref_term(sw.no + sl.yes, -sw.yes * sw.no, sl.yes * sl.no, 0.0);
}

// s(w) + 1 - s(w - l)
pref_term apo_down_loss(float w, float l, float difference)
{
    logistic sw = logistic_of(w), sd = logistic_of(difference);
    float together = sd.yes * sd.no;
    return pref_term(sw.yes + sd.no, sw.yes * sw.no - together, together, 0.0);
}

bool is_ratio_loss(uint type) { return type >= PREF_NCA_PAIR && type <= PREF_APO_DOWN; }

pref_term ratio_loss(uint type, float w, float l, float beta, pref_pair pair)
{
    switch (type) {
    case PREF_NCA_PAIR: return nca_pair_loss(w, l);
    case PREF_BCO_PAIR: return bco_pair_loss(w, l);
    case PREF_SPPO_HARD: return sppo_hard_loss(w, l, beta);
    case PREF_APO_ZERO: return apo_zero_loss(w, l);
    case PREF_APO_DOWN: return apo_down_loss(w, l, beta * (pair.u_w - pair.u_l));
    }
    return pref_term(NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER, 0.0);
}

pref_term ratio_term(uint type, pref_pair pair, pref_settings_ref settings)
{
    float beta = settings.v[0].beta;
    pref_term t = ratio_loss(type, beta * pair.u_w, beta * pair.u_l, beta, pair);
    return pref_term(t.loss, beta * t.dw, beta * t.dl, 0.0);
}

#endif
