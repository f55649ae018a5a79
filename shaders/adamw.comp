// g = grad clip_factor; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr wd w where the
// block decays; w -= lr (m / c1) / (sqrt(v / c2) + eps); grad = 0. Updates w, m, v, assigns grad;
// nothing if the step has non-finite gradients. Grid: groups_of(tiles, tiles of a workgroup).
#version 460
#include "common.glsl"
#include "arena.glsl"

ARGS(adamw_args);

void main()
{
    if (args.results.v[0].nonfinite != 0u)
        return;
    span_table weights = args.weight, grads = args.grad, ms = args.m, vs = args.v;
    u32 decay = args.decay;
    uint blocks = args.blocks, span_shift = args.span_shift, tiles = args.tiles;
    float clip = args.results.v[0].clip_factor, rate = args.step.v[0].learning_rate;
    float correction1 = args.step.v[0].correction1, correction2 = args.step.v[0].correction2;
    float beta1 = args.beta1, beta2 = args.beta2, epsilon = args.epsilon;
    float beta1_rest = args.one_minus_beta1, beta2_rest = args.one_minus_beta2;
    float shrink = rate * args.weight_decay;
    bool all_decay = !given(decay);

    uint first = group_index() * tiles;
    for (uint t = first; t < first + tiles; t++) {
        arena_tile tile = tile_of(t, blocks, span_shift);
        if (tile.vectors == 0u)
            return;
        f32x4 weight = f32x4(weights.v[tile.span]), grad = f32x4(grads.v[tile.span]);
        f32x4 m_span = f32x4(ms.v[tile.span]), v_span = f32x4(vs.v[tile.span]);
        // Bits of the tile's four blocks of 256 elements, which stand in one word.
        uint decays = all_decay ? 15u : decay.v[t / 8u] >> (t % 8u * 4u);
        for (uint i = local_index; i < tile.vectors; i += local_size) {
            uint at = tile.at + i;
            vec4 g = grad.v[at] * clip, w = weight.v[at];
            vec4 m = beta1 * m_span.v[at] + beta1_rest * g;
            vec4 v = beta2 * v_span.v[at] + beta2_rest * (g * g);
            if ((decays >> (i / 64u) & 1u) != 0u)
                w -= shrink * w;
            w -= rate * (m / correction1) / (sqrt(v / correction2) + epsilon);
            m_span.v[at] = m;
            v_span.v[at] = v;
            weight.v[at] = w;
            grad.v[at] = vec4(0.0);
        }
    }
}
