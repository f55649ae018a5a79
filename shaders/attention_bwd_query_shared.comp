// delta = sum over D of dout o, p = exp(scale q k^T - lse), ds = p (dout v^T - delta),
// dq = scale ds k, over each query's ranges. Assigns delta and dq. Grid: as the forward kernel.
#version 460
#include "common.glsl"
#include "attention_tiled.glsl"

ARGS(attention_bwd_query_args);

void main()
{
    uint group = args.heads / args.kv_heads, kv_head = gl_WorkGroupID.y;
    uint items = live_rows(args.live, uvec2(args.q), args.rows) * group;
    uint tile = (args.first + gl_WorkGroupID.x) * TILE_OWN;
    if (tile >= items)
        return;
    if (local_index < TILE_OWN) {
        uint item = min(tile + local_index, items - 1), t = item / group;
        own_rows[local_index] = uvec2(t, kv_head * group + item % group);
        own_ranges[local_index] = range_pair(args.spans.v[t]);
    }
    barrier();

    rows_ref q = rows_ref(args.q, args.q_stride), dout = rows_ref(args.dout, args.o_stride);
    rows_ref o = rows_ref(args.o, args.o_stride);
    rows_ref k = rows_ref(args.k, args.kv_stride), v = rows_ref(args.v, args.kv_stride);
    vec4 dq[4][QUADS], delta = vec4(0), lse;
    [[unroll]] for (uint i = 0; i < 4; i++) {
        uvec2 own = own_rows[4 * tile_row + i];
        lse[i] = args.lse.v[own.x * args.heads + own.y];
        [[unroll]] for (uint c = 0; c < QUADS; c++)
            dq[i][c] = vec4(0);
    }
    // Written out for wide heads, this overflows some GPUs' registers.
    [[dont_unroll]] for (uint d = 2 * tile_col; d < D; d += 16)
        [[unroll]] for (uint i = 0; i < 4; i++) {
            uvec2 own = own_rows[4 * tile_row + i];
            delta[i] += dot(row_pair(dout, own.x, own.y, d), row_pair(o, own.x, own.y, d));
        }
    delta = sum_across(delta);

    uint begin, end = 0;
    while (next_run(end, begin, end)) {
        for (uint slot = begin; slot < end; slot += TILE_OTHER) {
            other_rows others = other_rows(slot, end, kv_head);
            vec4 p[4], ds[4];
            dot_tile(p, q, k, others);
            dot_tile(ds, dout, v, others);
            [[unroll]] for (uint i = 0; i < 4; i++) {
                p[i] = exp2((p[i] * args.scale - lse[i]) * LOG2_E);
                ds[i] = mix(vec4(0), p[i] * (ds[i] - delta[i]), tile_attends(i, others));
            }
            put_weights(ds);
            add_tile(dq, k, others);
        }
    }

    [[unroll]] for (uint i = 0; i < 4; i++)
        if (tile + 4 * tile_row + i < items) {
            store_row(rows_ref(args.dq, args.q_stride), i, dq[i], args.scale);
            uvec2 own = own_rows[4 * tile_row + i];
            if (tile_col == 0 && gl_WorkGroupID.z == 0)
                args.delta.v[own.x * args.heads + own.y] = delta[i];
        }
}
