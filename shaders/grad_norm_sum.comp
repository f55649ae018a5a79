// results.grad_norm = sqrt(sum of the partial sums) / scale, NaN if a gradient is not finite;
// results.clip_factor = min(1, max_norm / (norm + 1e-6)) / scale, 1 / scale if max_norm is 0;
// results.nonfinite = count of such gradients. Assigns. With a loss scale (results.grad_scale) moves
// it on for the next step; without one, scale is 1. Grid: one workgroup.
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
    step_results_ref results = args.results;
    float scale = results.v[0].grad_scale, unscale = scale > 0.0 ? 1.0 / scale : 1.0;
    float norm = sqrt(sum) * unscale, max_norm = args.max_norm, factor = 1.0;
    if (max_norm > 0.0 && bad == 0u)
        factor = min(1.0, max_norm / (norm + 1e-6));
    factor *= unscale;
    results.v[0].grad_norm = bad == 0u ? norm : uintBitsToFloat(0x7fc00000u);
    results.v[0].clip_factor = factor;
    results.v[0].nonfinite = bad;
    if (scale > 0.0) {
        uint steady = bad == 0u ? results.v[0].steady + 1u : 0u;
        if (bad != 0u) {
            scale = max(scale * 0.5, 1.0);
            results.v[0].skipped += 1u;
        } else if (steady == LOSS_SCALE_GROWTH) {
            scale = min(scale * 2.0, LOSS_SCALE_MOST);
            steady = 0u;
        }
        results.v[0].grad_scale = scale;
        results.v[0].steady = steady;
    }
}
