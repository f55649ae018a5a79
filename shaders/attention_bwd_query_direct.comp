// delta = sum over D of dout o, p = exp(scale q k^T - lse), ds = p (dout v^T - delta),
// dq = scale ds k, over each query's ranges. Assigns delta and dq. Grid: as the forward kernel.
#version 460
#include "common.glsl"
#include "attention_direct.glsl"

ARGS(attention_bwd_query_args);

void main()
{
    uint group = args.heads / args.kv_heads, kv_head = gl_WorkGroupID.y;
    uint items = live_rows(args.live, uvec2(args.q), args.rows) * group;
    uint tile = (args.first + gl_WorkGroupID.x) * OWN * local_size;
    if (tile >= items)
        return;

    uint q_at[OWN], o_at[OWN], item_at[OWN];
    uvec4 ranges[OWN];
    float q[OWN_FLOATS], dout[OWN_FLOATS], dq[OWN_FLOATS], delta[OWN], lse[OWN];
    [[unroll]] for (uint r = 0; r < OWN; r++) {
        uint item = min(tile + r * local_size + local_index, items - 1), t = item / group;
        uint head = kv_head * group + item % group;
        q_at[r] = t * args.q_stride + head * D;
        o_at[r] = t * args.o_stride + head * D;
        item_at[r] = t * args.heads + head;
        ranges[r] = range_pair(args.spans.v[t]);
        lse[r] = args.lse.v[item_at[r]];
        delta[r] = 0;
    }
    load_own(q, args.q, q_at, args.scale);
    load_own(dout, args.dout, o_at, 1);
    [[unroll]] for (uint r = 0; r < OWN; r++)
        [[unroll]] for (uint d = 0; d < D; d += 2) {
            vec2 o = load_pair(args.o, o_at[r] + d);
            delta[r] += dout[r * D + d] * o.x + dout[r * D + d + 1] * o.y;
            dq[r * D + d] = dq[r * D + d + 1] = 0;
        }

    f32 k = args.k, v = args.v;
    uint stride = args.kv_stride, head_at = kv_head * D;
    uint begin, end = 0;
    while (next_run(ranges, end, begin, end)) {
        for (uint slot = begin; slot < end; slot += SHARED) {
            uint at[SHARED];
            [[unroll]] for (uint j = 0; j < SHARED; j++)
                at[j] = min(slot + j, end - 1) * stride + head_at;
            float x[SHARED_FLOATS], y[SHARED_FLOATS], s[PAIRS], ds[PAIRS];
            load_shared(x, k, at);
            load_shared(y, v, at);
            dot_shared(s, q, x);
            dot_shared(ds, dout, y);
            [[unroll]] for (uint r = 0; r < OWN; r++)
                [[unroll]] for (uint j = 0; j < SHARED; j++) {
                    bool attends = slot + j < end && in_ranges(ranges[r], slot + j);
                    float p = exp2((s[r * SHARED + j] - lse[r]) * LOG2_E);
                    ds[r * SHARED + j] = attends ? p * (ds[r * SHARED + j] - delta[r]) : 0;
                }
            add_shared(dq, ds, x);
        }
    }

    float scale = args.scale;
    [[unroll]] for (uint r = 0; r < OWN; r++)
        if (tile + r * local_size + local_index < items) {
            [[unroll]] for (uint d = 0; d < D; d += 2)
                store_pair(args.dq, q_at[r] + d, vec2(dq[r * D + d], dq[r * D + d + 1]) * scale);
            args.delta.v[item_at[r]] = delta[r];
        }
}
