// out_sums[r] = sum of logp over sequence r. Assigns. Grid: groups(sequences).
#version 460
#include "common.glsl"
#include "sequences.glsl"

ARGS(sequence_sums_args);

void main()
{
    uint r = group_index();
    if (r >= min(args.counts.v[0].sequences, args.max_sequences))
        return;
    float sum = sequence_sum(args.logp, sequence_range(args.sequence_first, r, args.scored));
    if (local_index == 0u)
        args.out_sums.v[r] = sum;
}
