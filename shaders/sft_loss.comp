// dlogp = -scale over the scored positions, scale = step.loss_scale; sums of log-prob, entropy and
// right predictions per sequence. Assigns. Grid: groups(sequences).
#version 460
#include "common.glsl"
#include "sequences.glsl"

ARGS(sft_loss_args);

void main()
{
    uint r = group_index();
    if (r >= min(args.counts.v[0].sequences, args.max_sequences))
        return;
    scored_range range = sequence_range(args.sequence_first, r, args.scored);
    sequence_metrics m;
    m.logp = sequence_sum(args.logp, range);
    m.entropy = sequence_sum(args.entropy, range);
    m.accurate = sequence_sum(args.is_argmax, range);
    m.tokens = float(range.end - range.begin);

    f32 dlogp = args.dlogp;
    float scale = args.step.v[0].loss_scale;
    for (uint i = range.begin + local_index; i < range.end; i += local_size)
        dlogp.v[i] = -scale;
    uint place = args.counts.v[0].first_row + r;
    if (local_index == 0u && place < args.sequences_out_count)
        args.sequences_out.v[place] = m;
}
