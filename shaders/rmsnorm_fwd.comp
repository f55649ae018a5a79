// rstd[t] = 1 / sqrt(mean_c x[t, c]^2 + eps), y[t, c] = x[t, c] rstd[t] w[c]. Assigns; rstd is
// optional. Grid: groups(T).
#version 460
#include "common.glsl"
#include "storage.glsl"

ARGS(rmsnorm_fwd_args);

void main()
{
    f32 y = args.y, x = args.x;
    WEIGHTS w = WEIGHTS(uvec2(args.w));
    uint row = group_index(), cols = args.cols, at = row * cols;
    if (row >= live_rows(args.live, uvec2(args.x), args.rows))
        return;
    READ_AHEAD(x, at, cols);
    float sum = 0.0;
    for (uint c = local_index; c < cols; c += local_size) {
        float value = x.v[at + c];
        sum += value * value;
    }
    float rstd = 1.0 / sqrt(workgroup_sum(sum) / float(cols) + args.eps);
    if (local_index == 0u && given(args.rstd))
        args.rstd.v[row] = rstd;
    for (uint c = local_index; c < cols; c += local_size)
        y.v[at + c] = x.v[at + c] * rstd * weight_at(w, c);
    END_READ_AHEAD(cols == 0u, y);
}
