// Scores: what stands in for a log ratio u where a loss takes the difference of two.
#ifndef TRDPO_PREF_SCORE_GLSL
#define TRDPO_PREF_SCORE_GLSL

#include "logistic.glsl"

struct pref_score {
    float value, slope; // slope: by u
};

// 1 - exp(-u)
pref_score forward_kl_score(float u) { return pref_score(-exp_minus_one(-u), exp_any(-u)); }

// log 2 + ls(u), near 0 as u/2 - log cosh(u/2): both scores are small there, and so is the difference.
pref_score js_score(float u)
{
    logistic s = logistic_of(u);
    float value = 0.693147181 + s.log_yes;
    if (abs(u) < 1.5) {
        float half_u = 0.5 * u, sinh_half = 0.5 * (exp_minus_one(half_u) - exp_minus_one(-half_u));
        value = half_u - 0.5 * log_one_plus(sinh_half * sinh_half);
    }
    return pref_score(value, s.no);
}

// (exp((a - 1) u) - 1) / (a - 1); the exponent ends at 80, and the slope with it.
pref_score alpha_score(float u, float coef)
{
    float a = coef - 1.0, t = a * u;
    if (abs(a) < 1e-6)
        return pref_score(u, 1.0);
    if (t > 80.0)
        return pref_score(exp_minus_one(80.0) / a, 0.0);
    return pref_score(exp_minus_one(t) / a, exp_any(t));
}

pref_score divergence_score(float u, uint divergence, float coef)
{
    if (divergence == DIVERGENCE_FORWARD_KL)
        return forward_kl_score(u);
    if (divergence == DIVERGENCE_JS)
        return js_score(u);
    if (divergence == DIVERGENCE_ALPHA)
        return alpha_score(u, coef);
    return pref_score(u, 1.0);
}

// AlphaPO's reward: (1 - exp(-alpha x)) / alpha of a log-prob x, sum or mean; x itself at alpha = 0.
pref_score alphapo_score(float x, float alpha)
{
    if (alpha == 0.0)
        return pref_score(x, 1.0);
    float t = -alpha * x;
    return pref_score(-exp_minus_one(t) / alpha, exp_any(t));
}

#endif
