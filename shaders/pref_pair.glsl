// What a loss of pairs is given and what it gives. Losses by family: pref_margin.glsl (of one
// difference of scores), pref_ratio.glsl (of the two log ratios apart), pref_free.glsl (without a
// reference), pref_batch.glsl (of the whole batch).
#ifndef TRDPO_PREF_PAIR_GLSL
#define TRDPO_PREF_PAIR_GLSL

#include "logistic.glsl"

// Of the pair w (chosen), l (rejected); in sums the tokens beyond the shorter completion weigh
// ld_alpha.
struct pref_pair {
    float u_w, u_l;       // sums of logp - ref_logp
    float logp_w, logp_l; // sums of logp
    float all_w;          // sum of logp over the chosen, all tokens alike
    float n_w, n_l;       // tokens, at least 1
};

// A loss and its derivatives.
struct pref_term {
    float loss;
    float dw, dl; // by logp_w and logp_l (u_w and u_l have the same)
    float token;  // by all_w
};

pref_term scaled(pref_term t, float by)
{
    return pref_term(by * t.loss, by * t.dw, by * t.dl, by * t.token);
}

pref_term sum(pref_term a, pref_term b)
{
    return pref_term(a.loss + b.loss, a.dw + b.dw, a.dl + b.dl, a.token + b.token);
}

// A loss of z = b (w - l) given as (loss, dloss/dz).
pref_term difference_term(vec2 f, float beta)
{
    return pref_term(f.x, beta * f.y, -beta * f.y, 0.0);
}

// -(1 - E) ls(z) - E ls(-z) and its slope. With e = exp(-|z|) the loss is log(1 + e) + |z| times the
// weight of the term that grows with |z|.
vec2 smoothed(float z, float smoothing)
{
    if (is_nonfinite(z))
        return vec2(NOT_A_NUMBER);
    float magnitude = abs(z), e = exp_neg(magnitude), large = 1.0 / (1.0 + e), small = e / (1.0 + e);
    bool positive = z >= 0.0;
    float wrong = positive ? smoothing : 1.0 - smoothing;
    float loss = log_one_plus(e) + wrong * magnitude;
    float slope = (positive ? large : small) * smoothing - (positive ? small : large) * (1.0 - smoothing);
    return vec2(loss, slope);
}

#endif
