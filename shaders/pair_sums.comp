// What batch-wide losses look at (struct pair_sums) of pair p, the sequences w = 2p and l = 2p + 1.
// Assigns. Grid: groups(pairs), one workgroup a pair.
#version 460
#include "common.glsl"
#include "pref_sums.glsl"

ARGS(pair_sums_args);

void main()
{
    uint p = group_index(), scored = args.scored, flags = args.settings.v[0].flags;
    if (p >= min(args.counts.v[0].sequences / 2u, args.max_pairs))
        return;
    f32 logp = args.logp, ref_logp = args.ref_logp;
    scored_range w = sequence_range(args.sequence_first, 2u * p, scored);
    scored_range l = sequence_range(args.sequence_first, 2u * p + 1u, scored);
    float tail = args.settings.v[0].ld_alpha;
    pref_completion cw = completion(w, l, tail), cl = completion(l, w, tail);

    pair_sums s;
    s.ratio_chosen = s.logp_chosen = pref_sum(logp, cw);
    s.ratio_rejected = s.logp_rejected = pref_sum(logp, cl);
    s.ref_logp_chosen = s.ref_logp_rejected = 0.0;
    if (given(ref_logp) && (flags & PREF_REFERENCE_FREE) == 0u) {
        s.ref_logp_chosen = pref_sum(ref_logp, cw);
        s.ref_logp_rejected = pref_sum(ref_logp, cl);
        s.ratio_chosen = pref_sum_difference(logp, ref_logp, cw);
        s.ratio_rejected = pref_sum_difference(logp, ref_logp, cl);
    }
    s.weight = 1.0;
    if ((flags & PREF_WEIGHTED) != 0u)
        s.weight = pref_weight(logp, args.collision, w, l);
    uint place = args.counts.v[0].first_row + p;
    if (local_index == 0u && place < args.out_count)
        args.out_sums.v[place] = s;
}
