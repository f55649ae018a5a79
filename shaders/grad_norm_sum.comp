// results.grad_norm = sqrt(sum of the partial sums), NaN if a gradient is not finite;
// results.clip_factor = min(1, max_norm / (norm + 1e-6)), 1 if max_norm is 0;
// results.nonfinite = count of such gradients. Assigns. Grid: one workgroup.
#version 460
#include "common.glsl"

ARGS(grad_norm_sum_args);

void main()
{
    u32x2 partial = args.partial;
    uint partials = args.partials;
    float sum = 0.0;
    uint bad = 0u;
    for (uint i = local_index; i < partials; i += local_size) {
        uvec2 of_group = partial.v[i];
        sum += uintBitsToFloat(of_group.x);
        bad += of_group.y;
    }
    sum = workgroup_sum(sum);
    bad = workgroup_sum(bad);
    if (local_index != 0u)
        return;
    float norm = sqrt(sum), max_norm = args.max_norm, factor = 1.0;
    if (max_norm > 0.0 && bad == 0u)
        factor = min(1.0, max_norm / (norm + 1e-6));
    step_results_ref results = args.results;
    results.v[0].grad_norm = bad == 0u ? norm : uintBitsToFloat(0x7fc00000u);
    results.v[0].clip_factor = factor;
    results.v[0].nonfinite = bad;
}
