// dv = p^T dout and dk = scale ds^T q, with p and ds as in the pass by query, over the queries
// [t, key_end[t]) of each key t and the heads of its group, from the last query on: the first keys'
// largest terms are those of the first queries, and are best added to sums that are complete. Assigns.
// Grid: x tiles of OWN * local_size keys, y key/value heads.
#version 460
#include "common.glsl"
#include "attention_direct.glsl"

ARGS(attention_bwd_key_args);

void main()
{
    uint group = args.heads / args.kv_heads, kv_head = gl_WorkGroupID.y;
    uint rows = live_rows(args.live, uvec2(args.q), args.rows);
    uint tile = (args.first + gl_WorkGroupID.x) * OWN * local_size;
    if (tile >= rows)
        return;

    uint kv_at[OWN];
    uvec4 ranges[OWN]; // of queries
    float k[OWN_FLOATS], v[OWN_FLOATS], dk[OWN_FLOATS], dv[OWN_FLOATS];
    [[unroll]] for (uint r = 0; r < OWN; r++) {
        uint t = min(tile + r * local_size + local_index, rows - 1);
        kv_at[r] = t * args.kv_stride + kv_head * D;
        ranges[r] = uvec4(t, min(args.key_end.v[t], rows), 0, 0);
    }
    load_own(k, args.k, kv_at, args.scale);
    load_own(v, args.v, kv_at, 1);
    [[unroll]] for (uint i = 0; i < OWN_FLOATS; i++)
        dk[i] = dv[i] = 0;

    f32 q = args.q, dout = args.dout;
    uint heads = args.heads, q_stride = args.q_stride, o_stride = args.o_stride;
    uint begin = NO_SLOT, end;
    while (last_run(ranges, begin, begin, end)) {
        uint blocks = (end - begin + SHARED - 1) / SHARED, head = kv_head * group;
        uint slot = begin + (blocks - 1) * SHARED;
        for (uint turn = blocks * group; turn > 0; turn--) {
            uint at[SHARED];
            float x[SHARED_FLOATS], y[SHARED_FLOATS], p[PAIRS], ds[PAIRS];
            float lse[SHARED], delta[SHARED];
            [[unroll]] for (uint j = 0; j < SHARED; j++) {
                uint t = min(slot + j, end - 1);
                lse[j] = args.lse.v[t * heads + head];
                delta[j] = args.delta.v[t * heads + head];
                at[j] = t * q_stride + head * D;
            }
            load_shared(x, q, at);
            [[unroll]] for (uint j = 0; j < SHARED; j++)
                at[j] = min(slot + j, end - 1) * o_stride + head * D;
            load_shared(y, dout, at);
            dot_shared(p, k, x);
            dot_shared(ds, v, y);
            [[unroll]] for (uint r = 0; r < OWN; r++)
                [[unroll]] for (uint j = 0; j < SHARED; j++) {
                    bool attends = slot + j < end && in_ranges(ranges[r], slot + j);
                    float e = exp2((p[r * SHARED + j] - lse[j]) * LOG2_E);
                    p[r * SHARED + j] = attends ? e : 0;
                    ds[r * SHARED + j] = attends ? e * (ds[r * SHARED + j] - delta[j]) : 0;
                }
            add_shared(dv, p, y);
            add_shared(dk, ds, x);
            if (++head == (kv_head + 1) * group) {
                head = kv_head * group;
                slot -= SHARED;
            }
        }
    }

    float scale = args.scale;
    [[unroll]] for (uint r = 0; r < OWN; r++)
        if (tile + r * local_size + local_index < rows) {
            [[unroll]] for (uint d = 0; d < D; d += 2) {
                store_pair(args.dk, kv_at[r] + d, vec2(dk[r * D + d], dk[r * D + d + 1]) * scale);
                store_pair(args.dv, kv_at[r] + d, vec2(dv[r * D + d], dv[r * D + d + 1]));
            }
        }
}
