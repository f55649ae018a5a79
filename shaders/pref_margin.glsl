// Losses of D = score(u_w) - score(u_l), or of scores for each token, by z = beta D: (loss, dloss/dz).
#ifndef TRDPO_PREF_MARGIN_GLSL
#define TRDPO_PREF_MARGIN_GLSL

#include "pref_pair.glsl"
#include "pref_score.glsl"

// [-(1 - E) ls(z) + E ls(-z)] / (1 - 2E), which is smoothed() with -E / (1 - 2E) for E.
vec2 robust_loss(float z, float smoothing) { return smoothed(z, -smoothing / (1.0 - 2.0 * smoothing)); }

// max(0, 1 - z)
vec2 hinge_loss(float z)
{
    if (is_nonfinite(z))
        return vec2(NOT_A_NUMBER);
    return z < 1.0 ? vec2(1.0 - z, -1.0) : vec2(0.0);
}

// (D - 1 / (2 beta))^2 = (z - 1/2)^2 / beta^2
vec2 ipo_loss(float z, float beta)
{
    float d = (z - 0.5) / beta;
    return vec2(d * d, 2.0 * d / beta);
}

// s(z) (ls(z) - log(1 - E)) + s(-z) (ls(-z) - log E); slope s(z) s(-z) (z - log(1 - E) + log E).
vec2 exo_pair_loss(float z, float smoothing)
{
    logistic s = logistic_of(z);
    float log_right = log_one_plus(-smoothing), log_wrong = log_any(smoothing);
    return vec2(s.yes * (s.log_yes - log_right) + s.no * (s.log_no - log_wrong),
                s.yes * s.no * (z - log_right + log_wrong));
}

// -ls(z) (1 - m) + exp(-z) m, m = s(z / tau). exp(-z) m is one exponential where z < 0: alone, the
// first overflows there, though the second is far below 1 / exp(-z).
vec2 discopop_loss(float z, float tau)
{
    logistic s = logistic_of(z), m = logistic_of(z / tau);
    float blended = z < 0.0 ? exp_any(m.log_yes - z) : exp_any(-z) * m.yes;
    return vec2(-s.log_yes * m.no + blended,
                -s.no * m.no + (s.log_yes * m.yes + blended) * m.no / tau - blended);
}

bool is_margin_loss(uint type)
{
    return type <= PREF_EXO_PAIR || type == PREF_DISCOPOP;
}

vec2 margin_loss(uint type, float z, pref_settings_ref settings)
{
    float beta = settings.v[0].beta, smoothing = settings.v[0].label_smoothing;
    switch (type) {
    case PREF_SIGMOID: return smoothed(z, smoothing);
    case PREF_ROBUST: return robust_loss(z, smoothing);
    case PREF_HINGE: return hinge_loss(z);
    case PREF_IPO:
    case PREF_IPO_SUM: return ipo_loss(z, beta);
    case PREF_SIGMOID_NORM: return smoothed(z, 0.0);
    case PREF_EXO_PAIR: return exo_pair_loss(z, smoothing);
    case PREF_DISCOPOP: return discopop_loss(z, settings.v[0].discopop_tau);
    }
    return vec2(NOT_A_NUMBER);
}

// The score of a completion: AlphaPO's is made of the mean where the loss takes means, a divergence's
// is divided by the length.
pref_score margin_score(float u, float length, pref_settings_ref settings)
{
    float alpha = settings.v[0].alpha;
    pref_score s;
    if (alpha != 0.0)
        s = alphapo_score(u / length, alpha);
    else {
        s = divergence_score(u, settings.v[0].divergence, settings.v[0].divergence_coef);
        s.value /= length;
    }
    s.slope /= length;
    return s;
}

pref_term margin_term(uint type, pref_pair pair, pref_settings_ref settings)
{
    bool means = type == PREF_IPO || type == PREF_SIGMOID_NORM;
    pref_score w = margin_score(pair.u_w, means ? pair.n_w : 1.0, settings);
    pref_score l = margin_score(pair.u_l, means ? pair.n_l : 1.0, settings);
    float beta = settings.v[0].beta;
    vec2 f = margin_loss(type, beta * (w.value - l.value), settings);
    return pref_term(f.x, beta * f.y * w.slope, -beta * f.y * l.slope, 0.0);
}

#endif
