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

float position_weight(pref_completion c, uint i)
{
    return i < c.shared_end ? 1.0 : c.tail;
}

float scored_tokens(pref_completion c)
{
    return float(c.end - c.begin);
}

struct pref_sums {
    float logp, ref_logp;          // all tokens alike, with the bits of sequence_sum()
    float score, ref_score, ratio; // tail weighed: of logp, ref_logp, logp - ref_logp
    float weight;                  // WPO: exp of the mean of logp - log sum p^2; 1 without
};

// Those of the arrays that the settings ask for; else 0.
f32 used_reference(f32 ref_logp, pref_settings_ref settings)
{
    return (settings.v[0].flags & PREF_REFERENCE_FREE) != 0u ? f32(uvec2(0)) : ref_logp;
}

f32 used_collision(f32 collision, pref_settings_ref settings)
{
    return (settings.v[0].flags & PREF_WEIGHTED) != 0u ? collision : f32(uvec2(0));
}

// ref_logp and collision may be 0: the reference's log-probs then count as 0.
pref_sums sums_of(f32 logp, f32 ref_logp, f32 collision, pref_completion c)
{
    vec4 a = vec4(0.0);
    vec2 b = vec2(0.0);
    bool reference = given(ref_logp), weighted = given(collision);
    for (uint i = c.begin + local_index; i < c.end; i += local_size) {
        float x = logp.v[i], y = reference ? ref_logp.v[i] : 0.0, tail = position_weight(c, i);
        a += vec4(x, y, tail * x, tail * y);
        b += vec2(tail * (x - y), weighted ? x - collision.v[i] : 0.0);
    }
    a = workgroup_sum(a);
    b = workgroup_sum(b);
    return pref_sums(a.x, a.y, a.z, a.w, b.x,
                     weighted ? exp_any(b.y / max(scored_tokens(c), 1.0)) : 1.0);
}

#endif
