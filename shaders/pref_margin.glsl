// Losses of D = score(u_w) - score(u_l), or of scores for each token, by z = beta D: (loss,
// dloss/dz).
#ifndef TRDPO_PREF_MARGIN_GLSL
#define TRDPO_PREF_MARGIN_GLSL

#include "pref_pair.glsl"
#include "pref_score.glsl"

// sigmoid and simpo: -(1 - E) ls(z) - E ls(-z); simpo's z has gamma taken off.
// robust: [-(1 - E) ls(z) + E ls(-z)] / (1 - 2E), the same with -E / (1 - 2E) for E.
// sigmoid_norm: -ls(z).
vec2 sigmoid_loss(uint type, logistic s, float z, float smoothing)
{
    float of_robust = -smoothing / (1.0 - 2.0 * smoothing);
    float used = type == PREF_ROBUST ? of_robust : type == PREF_SIGMOID_NORM ? 0.0 : smoothing;
    return smoothed(s, z, used);
}

// max(0, 1 - z)
vec2 hinge_loss(float z)
{
    return z < 1.0 ? vec2(1.0 - z, -1.0) : vec2(0.0);
}

// (D - 1 / (2 beta))^2 = (z - 1/2)^2 / beta^2
vec2 ipo_loss(float z, float beta)
{
    float d = (z - 0.5) / beta;
    return vec2(d * d, 2.0 * d / beta);
}

// s(z) (ls(z) - log(1 - E)) + s(-z) (ls(-z) - log E); slope s(z) s(-z) (z - log(1 - E) + log E).
vec2 exo_pair_loss(logistic s, float z, float smoothing)
{
    float log_right = log_one_plus(-smoothing), log_wrong = log_any(smoothing);
    return vec2(s.yes * (s.log_yes - log_right) + s.no * (s.log_no - log_wrong),
                s.yes * s.no * (z - log_right + log_wrong));
}

// -ls(z) (1 - m) + exp(-z) m, m = s(z / tau). exp(-z) m is one exponential: where z is far below 0
// the first alone overflows, though the second is far below 1 / exp(-z).
vec2 discopop_loss(logistic s, float z, float tau)
{
    logistic m = logistic_of(z / tau);
    float blended = exp_any(m.log_yes - z);
    return vec2(-s.log_yes * m.no + blended,
                -s.no * m.no + (s.log_yes * m.yes + blended) * m.no / tau - blended);
}

bool is_margin_loss(uint type)
{
    return type <= PREF_EXO_PAIR || type == PREF_DISCOPOP || type == PREF_SIMPO;
}

// NaN where z is NaN or infinite.
vec2 margin_loss(uint type, float z, pref_settings_ref settings)
{
    float beta = settings.v[0].beta, smoothing = settings.v[0].label_smoothing;
    logistic s = logistic_of(z);
    if (is_nonfinite(z)) return vec2(NOT_A_NUMBER);
    switch (type) {
    case PREF_HINGE:
        return hinge_loss(z);
    case PREF_IPO:
    case PREF_IPO_SUM:
        return ipo_loss(z, beta);
    case PREF_EXO_PAIR:
        return exo_pair_loss(s, z, smoothing);
    case PREF_DISCOPOP:
        return discopop_loss(s, z, settings.v[0].discopop_tau);
    }
    return sigmoid_loss(type, s, z, smoothing);
}

// The score of a completion: AlphaPO's is made of the mean where the loss takes means, a
// divergence's is divided by the length.
pref_score margin_score(float u, float length, uint divergence, pref_settings_ref settings)
{
    float alpha = settings.v[0].alpha;
    pref_score s;
    if (alpha != 0.0)
        s = alphapo_score(u / length, alpha);
    else {
        s = divergence_score(u, divergence, settings.v[0].divergence_coef);
        s.value /= length;
    }
    s.slope /= length;
    return s;
}

pref_term margin_term(uint type, pref_pair pair, pref_settings_ref settings)
{
    bool free = type == PREF_SIMPO, means = free || type == PREF_IPO || type == PREF_SIGMOID_NORM;
    // A loss without a reference knows no divergence.
    uint divergence = free ? DIVERGENCE_REVERSE_KL : settings.v[0].divergence;
    pref_score w =
        margin_score(free ? pair.logp_w : pair.u_w, means ? pair.n_w : 1.0, divergence, settings);
    pref_score l =
        margin_score(free ? pair.logp_l : pair.u_l, means ? pair.n_l : 1.0, divergence, settings);
    float beta = settings.v[0].beta, gamma = free ? settings.v[0].simpo_gamma : 0.0;
    vec2 f = margin_loss(type, beta * (w.value - l.value) - gamma, settings);
    return pref_term(f.x, beta * f.y * w.slope, -beta * f.y * l.slope, 0.0);
}

#endif
