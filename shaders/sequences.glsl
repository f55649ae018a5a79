// Sums over the scored positions of a sequence. All kernels that sum log-probs do it here, in one
// order: equal log-probs have equal sums, whichever kernel made them.
#ifndef TRDPO_SEQUENCES_GLSL
#define TRDPO_SEQUENCES_GLSL

struct scored_range {
    uint begin, end;
};

// Positions of sequence r, at most `scored`.
scored_range sequence_range(u32 sequence_first, uint r, uint scored)
{
    uint begin = min(sequence_first.v[r], scored);
    return scored_range(begin, clamp(sequence_first.v[r + 1u], begin, scored));
}

float sequence_sum(f32 values, scored_range range)
{
    float sum = 0.0;
    for (uint i = range.begin + local_index; i < range.end; i += local_size)
        sum += values.v[i];
    return workgroup_sum(sum);
}

// Sum of a - b: far more of it is kept than of the difference of two sums.
float sequence_sum_difference(f32 a, f32 b, scored_range range)
{
    float sum = 0.0;
    for (uint i = range.begin + local_index; i < range.end; i += local_size)
        sum += a.v[i] - b.v[i];
    return workgroup_sum(sum);
}

#endif
