// out_sums[first_row + r] = sum of logp - ref_logp over sequence r. Assigns. Grid: groups(sequences).
#version 460
#include "common.glsl"
#include "sequences.glsl"

ARGS(ratio_sums_args);

void main()
{
    uint r = group_index();
    if (r >= min(args.counts.v[0].sequences, args.max_sequences))
        return;
    scored_range range = sequence_range(args.sequence_first, r, args.scored);
    float sum = sequence_sum_difference(args.logp, args.ref_logp, range);
    uint place = args.counts.v[0].first_row + r;
    if (local_index == 0u && place < args.out_count)
        args.out_sums.v[place] = sum;
}
