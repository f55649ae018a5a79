// Sums over the completions of a pair.
#ifndef TRDPO_PREF_SUMS_GLSL
#define TRDPO_PREF_SUMS_GLSL

#include "logistic.glsl"
#include "sequences.glsl"

// A completion of a pair; positions from `shared_end` on are beyond the shorter one's length and
// weigh `tail`.
struct pref_completion {
    uint begin, shared_end, end;
    float tail;
};

pref_completion completion(scored_range own, scored_range other, float tail)
{
    uint shared_length = min(own.end - own.begin, other.end - other.begin);
    return pref_completion(own.begin, own.begin + shared_length, own.end, tail);
}

float position_weight(pref_completion c, uint i) { return i < c.shared_end ? 1.0 : c.tail; }

// With tail = 1 these have the bits of sequence_sum() and sequence_sum_difference().
float pref_sum(f32 values, pref_completion c)
{
    float sum = 0.0;
    for (uint i = c.begin + local_index; i < c.end; i += local_size)
        sum += position_weight(c, i) * values.v[i];
    return workgroup_sum(sum);
}

float pref_sum_difference(f32 a, f32 b, pref_completion c)
{
    float sum = 0.0;
    for (uint i = c.begin + local_index; i < c.end; i += local_size)
        sum += position_weight(c, i) * (a.v[i] - b.v[i]);
    return workgroup_sum(sum);
}

float scored_tokens(scored_range r) { return float(r.end - r.begin); }

// WPO: exp of the mean over tokens of logp - log sum p^2, of both completions.
float pref_weight(f32 logp, f32 collision, scored_range w, scored_range l)
{
    float mean_w = sequence_sum_difference(logp, collision, w) / max(scored_tokens(w), 1.0);
    float mean_l = sequence_sum_difference(logp, collision, l) / max(scored_tokens(l), 1.0);
    return exp_any(mean_w) * exp_any(mean_l);
}

#endif
