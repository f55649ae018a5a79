// What batch-wide losses look at (struct pair_sums) of pair p, the sequences w = 2p and l = 2p + 1.
// Assigns. Grid: groups(pairs), one workgroup a pair.
#version 460
#include "common.glsl"
#include "pref_sums.glsl"

ARGS(pair_sums_args);

void main()
{
    uint p = group_index();
    if (p >= min(args.counts.v[0].sequences / 2u, args.max_pairs))
        return;
    scored_range w = sequence_range(args.sequence_first, 2u * p, args.scored);
    scored_range l = sequence_range(args.sequence_first, 2u * p + 1u, args.scored);
    f32 ref_logp = used_reference(args.ref_logp, args.settings);
    f32 collision = used_collision(args.collision, args.settings);
    float tail = args.settings.v[0].ld_alpha;
    pref_sums sw = sums_of(args.logp, ref_logp, collision, completion(w, l, tail));
    pref_sums sl = sums_of(args.logp, ref_logp, collision, completion(l, w, tail));
    uint place = args.counts.v[0].first_row + p;
    if (local_index == 0u && place < args.out_count)
        args.out_sums.v[place] = pair_sums(sw.score, sl.score, sw.ref_score, sl.ref_score, sw.ratio, sl.ratio,
                                           sw.weight * sl.weight);
}
