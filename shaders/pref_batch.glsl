// Losses that look at all pairs of the batch, by the table that pair_sums.comp made. To be called
// in uniform control flow: the workgroup shares out the batch.
#ifndef TRDPO_PREF_BATCH_GLSL
#define TRDPO_PREF_BATCH_GLSL

#include "pref_pair.glsl"

struct pref_batch {
    pair_sums_ref table;
    uint begin, end, own; // entries of the batch, and of this pair
};

// What is sorted.
#define LIST_POLICY 0u // logp_w - logp_l
#define LIST_REF 1u    // the reference's
#define LIST_CHOSEN 2u // u_w
#define LIST_REJECTED 3u

float listed(pref_batch b, uint list, uint i)
{
    if (list == LIST_POLICY) return b.table.v[i].logp_chosen - b.table.v[i].logp_rejected;
    if (list == LIST_REF) return b.table.v[i].ref_logp_chosen - b.table.v[i].ref_logp_rejected;
    return list == LIST_CHOSEN ? b.table.v[i].ratio_chosen : b.table.v[i].ratio_rejected;
}

// Words in the order of the numbers; -0 is 0.
uint listed_key(pref_batch b, uint list, uint i)
{
    uint bits = floatBitsToUint(listed(b, list, i));
    return bits > 0x80000000u ? ~bits : bits | 0x80000000u;
}

// How many come before this pair's value in the sorted list; equal ones stand by their index.
uint own_rank(pref_batch b, uint list)
{
    uint own = listed_key(b, list, b.own), before = 0u;
    for (uint i = b.begin + local_index; i < b.end; i += local_size) {
        uint key = listed_key(b, list, i);
        before += key < own || (key == own && i < b.own) ? 1u : 0u;
    }
    return workgroup_sum(before);
}

// The entry that has this rank: its key bit by bit, as the largest of which at most `rank` keys are
// below, then in the same way which of the equal ones.
uint entry_of_rank(pref_batch b, uint list, uint rank)
{
    uint key = 0u, entry = 0u, smaller = 0u;
    for (int bit = 31; bit >= 0; bit--) {
        uint trial = key | 1u << bit, below = 0u;
        for (uint i = b.begin + local_index; i < b.end; i += local_size)
            below += listed_key(b, list, i) < trial ? 1u : 0u;
        below = workgroup_sum(below);
        if (below <= rank) {
            key = trial;
            smaller = below;
        }
    }
    for (int bit = findMSB(b.end - b.begin); bit >= 0; bit--) {
        uint trial = min(entry | 1u << bit, b.end - b.begin), equal = 0u;
        for (uint i = b.begin + local_index; i < b.begin + trial; i += local_size)
            equal += listed_key(b, list, i) == key ? 1u : 0u;
        if (smaller + workgroup_sum(equal) <= rank) entry = trial;
    }
    return b.begin + min(entry, b.end - b.begin - 1u);
}

// Both lists sorted, d the difference of their elements of one rank: -(1 - E) ls(beta d) - E
// ls(-beta d).
pref_term aot_term(pref_batch b, float weight, pref_settings_ref settings)
{
    float beta = settings.v[0].beta;
    uint other = entry_of_rank(b, LIST_REF, own_rank(b, LIST_POLICY));
    float z = beta * (listed(b, LIST_POLICY, b.own) - listed(b, LIST_REF, other));
    vec2 f = weight * smoothed(logistic_of(z), z, settings.v[0].label_smoothing);
    return pref_term(f.x, beta * f.y, -beta * f.y, 0.0);
}

// The same of sorted u_w minus sorted u_l. A pair's chosen and its rejected stand in two terms; the
// loss, and WPO's weight, of a term are those of the pair that the chosen comes from.
pref_term aot_unpaired_term(pref_batch b, float weight, pref_settings_ref settings)
{
    float beta = settings.v[0].beta, smoothing = settings.v[0].label_smoothing;
    uint rejected = entry_of_rank(b, LIST_REJECTED, own_rank(b, LIST_CHOSEN));
    uint chosen = entry_of_rank(b, LIST_CHOSEN, own_rank(b, LIST_REJECTED));
    float z_w = beta * (listed(b, LIST_CHOSEN, b.own) - listed(b, LIST_REJECTED, rejected));
    float z_l = beta * (listed(b, LIST_CHOSEN, chosen) - listed(b, LIST_REJECTED, b.own));
    vec2 of_w = weight * smoothed(logistic_of(z_w), z_w, smoothing);
    vec2 of_l = b.table.v[chosen].weight * smoothed(logistic_of(z_l), z_l, smoothing);
    return pref_term(of_w.x, beta * of_w.y, -beta * of_l.y, 0.0);
}

// max(0, mean of u_w), max(0, mean of u_l).
vec2 batch_divergences(pref_batch b)
{
    vec2 sum = vec2(0.0);
    for (uint i = b.begin + local_index; i < b.end; i += local_size)
        sum += vec2(b.table.v[i].ratio_chosen, b.table.v[i].ratio_rejected);
    vec2 mean = workgroup_sum(sum) / float(b.end - b.begin);
    return vec2(is_nonfinite(mean.x) || mean.x > 0.0 ? mean.x : 0.0,
                is_nonfinite(mean.y) || mean.y > 0.0 ? mean.y : 0.0);
}

// 1 - s(beta (u_w - KL_l)) + 1 - s(beta (KL_w - u_l)); no gradient through KL.
pref_term kto_pair_term(pref_batch b, pref_pair pair, pref_settings_ref settings)
{
    float beta = settings.v[0].beta;
    vec2 kl = batch_divergences(b);
    logistic w = logistic_of(beta * (pair.u_w - kl.y)), l = logistic_of(beta * (kl.x - pair.u_l));
    return pref_term(w.no + l.no, -beta * w.yes * w.no, beta * l.yes * l.no, 0.0);
}

// Mean of WPO's weights.
float batch_weight(pref_batch b)
{
    float sum = 0.0;
    for (uint i = b.begin + local_index; i < b.end; i += local_size)
        sum += b.table.v[i].weight;
    return workgroup_sum(sum) / float(b.end - b.begin);
}

#endif
