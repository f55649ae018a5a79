// dweight[unique_ids[u], c] += sum of dx[unique_slots[j], c] over j in [unique_first[u],
// unique_first[u + 1]), in that order. Accumulates; each id has workgroups of its own, so nothing is
// written twice. Grid: row_parts(unique ids, C).
#version 460
#include "common.glsl"
#include "rows.glsl"
#include "storage.glsl"

ARGS(embed_bwd_args);

void main()
{
    GRADS dweight = GRADS(uvec2(args.dweight));
    f32 dx = args.dx;
    u32 slots = args.unique_slots;
    uint cols = args.cols;
    row_part part = this_row_part(cols);
    if (part.row >= live_rows(args.live, uvec2(args.unique_first), args.unique))
        return;
    uint to = args.unique_ids.v[part.row] * cols;
    uint first = args.unique_first.v[part.row], end = args.unique_first.v[part.row + 1u];
    for (uint c = part.begin + local_index; c < part.end; c += local_size) {
        float sum = 0.0;
        for (uint j = first; j < end; j++)
            sum += dx.v[slots.v[j] * cols + c];
        put_grad(dweight, to + c, grad_at(dweight, to + c) + sum);
    }
}
