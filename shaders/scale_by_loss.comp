// y[i] *= results.grad_scale, the loss scale. Updates. Grid: groups_of(count, FILL_WORDS_PER_GROUP).
#version 460
#include "common.glsl"

ARGS(scale_by_loss_args);

void main()
{
    f32 y = args.y;
    float scale = args.results.v[0].grad_scale;
    uint begin = group_index() * FILL_WORDS_PER_GROUP;
    uint end = min(begin + FILL_WORDS_PER_GROUP, live_rows(args.live, uvec2(args.y), args.count));
    for (uint i = begin + local_index; i < end; i += local_size)
        y.v[i] *= scale;
}
