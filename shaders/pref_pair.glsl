// What a loss of pairs is given and what it gives. Losses by family: pref_margin.glsl (of one
// difference of scores), pref_ratio.glsl (of the two log ratios apart), pref_odds.glsl (of the two
// mean probabilities), pref_batch.glsl (of the whole batch).
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

#endif
