// The odds ratio of ORPO, of the mean log-probs m = logp / n of a token.
#ifndef TRDPO_PREF_ODDS_GLSL
#define TRDPO_PREF_ODDS_GLSL

#include "pref_pair.glsl"

// log(e^m / (1 - e^m)) for m < 0, and its slope 1 / (1 - e^m).
vec2 log_odds(float m)
{
    vec2 e = exp_and_less(m);
    return vec2(m - (e.x < 0.5 ? log_one_plus(-e.x) : log_any(-e.y)), -1.0 / e.y);
}

// -beta ls(log odds of w - log odds of l)
pref_term odds_ratio_term(pref_pair pair, float beta)
{
    vec2 w = log_odds(pair.logp_w / pair.n_w), l = log_odds(pair.logp_l / pair.n_l);
    float z = w.x - l.x;
    vec2 f = beta * smoothed(logistic_of(z), z, 0.0);
    return pref_term(f.x, f.y * w.y / pair.n_w, -f.y * l.y / pair.n_l, 0.0);
}

#endif
