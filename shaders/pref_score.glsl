// Scores: what stands in for a log ratio u where a loss takes the difference of two.
#ifndef TRDPO_PREF_SCORE_GLSL
#define TRDPO_PREF_SCORE_GLSL

#include "logistic.glsl"

struct pref_score {
    float value, slope; // slope: by u
};

// (exp(k u) - 1) / k, or u where k is 0; the exponent ends at `cap`, and the slope with it.
pref_score power_score(float u, float k, float cap)
{
    if (abs(k) < 1e-6) return pref_score(u, 1.0);
    bool capped = k * u > cap;
    vec2 e = exp_and_less(capped ? cap : k * u);
    return pref_score(e.y / k, capped ? 0.0 : e.x);
}

// log 2 + ls(u) = -log(1 + (exp(-u) - 1) / 2), the latter where the first would cancel.
pref_score js_score(float u)
{
    logistic s = logistic_of(u);
    float near = -log_one_plus(0.5 * exp_and_less(-max(u, -1.0)).y);
    return pref_score(u > -1.0 ? near : 0.693147181 + s.log_yes, s.no);
}

// forward_kl 1 - exp(-u); js_divergence log 2 + ls(u); alpha_divergence (exp((a - 1) u) - 1) / (a -
// 1) with the exponent capped at 80; reverse_kl u.
pref_score divergence_score(float u, uint divergence, float coef)
{
    if (divergence == DIVERGENCE_JS) return js_score(u);
    float k = divergence == DIVERGENCE_FORWARD_KL ? -1.0
              : divergence == DIVERGENCE_ALPHA    ? coef - 1.0
                                                  : 0.0;
    return power_score(u, k, divergence == DIVERGENCE_ALPHA ? 80.0 : INFINITE);
}

// AlphaPO's reward: (1 - exp(-alpha x)) / alpha of a log-prob x, sum or mean; x itself at alpha =
// 0.
pref_score alphapo_score(float x, float alpha)
{
    return power_score(x, -alpha, INFINITE);
}

#endif
