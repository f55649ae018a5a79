// dx[t, c] = add[t, c] + rstd (dy w - x rstd^2 mean_c(dy w x)). Assigns; add is optional and may be
// dx. Grid: groups(T). The gradient of w is rmsnorm_bwd_dw's.
#version 460
#include "common.glsl"
#include "storage.glsl"

ARGS(rmsnorm_bwd_args);

void main()
{
    f32 dx = args.dx, dy = args.dy, x = args.x, add = args.add;
    WEIGHTS w = WEIGHTS(uvec2(args.w));
    uint row = group_index(), cols = args.cols, at = row * cols;
    if (row >= live_rows(args.live, uvec2(args.x), args.rows))
        return;
    bool adds = given(add);
    READ_AHEAD(x, at, cols);
    READ_AHEAD(dy, at, cols);
    if (adds)
        READ_AHEAD(add, at, cols);
    float rstd = args.rstd.v[row], sum = 0.0;
    for (uint c = local_index; c < cols; c += local_size)
        sum += dy.v[at + c] * weight_at(w, c) * x.v[at + c];
    float back = workgroup_sum(sum) / float(cols) * rstd * rstd;
    for (uint c = local_index; c < cols; c += local_size) {
        float value = rstd * (dy.v[at + c] * weight_at(w, c) - x.v[at + c] * back);
        dx.v[at + c] = adds ? add.v[at + c] + value : value;
    }
    END_READ_AHEAD(cols == 0u, dx);
}
