// Losses without a reference, of the mean log-probs m = logp / n of a token.
#ifndef TRDPO_PREF_FREE_GLSL
#define TRDPO_PREF_FREE_GLSL

#include "pref_pair.glsl"
#include "pref_score.glsl"

// Smoothed -ls(beta (m_w - m_l) - gamma); AlphaPO's rewards in place of m.
pref_term simpo_term(pref_pair pair, pref_settings_ref settings)
{
    float beta = settings.v[0].beta, alpha = settings.v[0].alpha;
    pref_score w = alphapo_score(pair.logp_w / pair.n_w, alpha), l = alphapo_score(pair.logp_l / pair.n_l, alpha);
    vec2 f = smoothed(beta * (w.value - l.value) - settings.v[0].simpo_gamma, settings.v[0].label_smoothing);
    return pref_term(f.x, beta * f.y * w.slope / pair.n_w, -beta * f.y * l.slope / pair.n_l, 0.0);
}

// log(e^m / (1 - e^m)) for m < 0, and its slope 1 / (1 - e^m).
vec2 log_odds(float m)
{
    float rest = -exp_minus_one(m);
    return vec2(m - (rest > 0.5 ? log_one_plus(-exp_any(m)) : log_any(rest)), 1.0 / rest);
}

// -beta ls(log odds of w - log odds of l)
pref_term odds_ratio_term(pref_pair pair, float beta)
{
    vec2 w = log_odds(pair.logp_w / pair.n_w), l = log_odds(pair.logp_l / pair.n_l);
    vec2 f = beta * smoothed(w.x - l.x, 0.0);
    return pref_term(f.x, f.y * w.y / pair.n_w, -f.y * l.y / pair.n_l, 0.0);
}

#endif
