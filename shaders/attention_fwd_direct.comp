// o = softmax(scale q k^T) v over each query's ranges, lse = log of the softmax's denominator.
// Assigns. Grid: x tiles of OWN * local_size items (t, head of the group), y key/value heads.
#version 460
#include "common.glsl"
#include "attention_direct.glsl"

ARGS(attention_fwd_args);

void main()
{
    uint group = args.heads / args.kv_heads, kv_head = gl_WorkGroupID.y;
    uint items = live_rows(args.live, uvec2(args.q), args.rows) * group;
    uint tile = (args.first + gl_WorkGroupID.x) * OWN * local_size;
    if (tile >= items)
        return;

    uint q_at[OWN];
    uvec4 ranges[OWN];
    [[unroll]] for (uint r = 0; r < OWN; r++) {
        uint item = min(tile + r * local_size + local_index, items - 1), t = item / group;
        q_at[r] = t * args.q_stride + (kv_head * group + item % group) * D;
        ranges[r] = range_pair(args.spans.v[t]);
    }
    float q[OWN_FLOATS], o[OWN_FLOATS], largest[OWN], sum[OWN];
    load_own(q, args.q, q_at, args.scale * LOG2_E);
    [[unroll]] for (uint i = 0; i < OWN_FLOATS; i++)
        o[i] = 0;
    [[unroll]] for (uint r = 0; r < OWN; r++) {
        largest[r] = MASKED;
        sum[r] = 0;
    }

    f32 k = args.k, v = args.v;
    uint stride = args.kv_stride, head_at = kv_head * D;
    uint begin, end = 0;
    while (next_run(ranges, end, begin, end)) {
        for (uint slot = begin; slot < end; slot += SHARED) {
            uint at[SHARED];
            [[unroll]] for (uint j = 0; j < SHARED; j++)
                at[j] = min(slot + j, end - 1) * stride + head_at;
            float x[SHARED_FLOATS], p[PAIRS];
            load_shared(x, k, at);
            dot_shared(p, q, x);
            load_shared(x, v, at);
            [[unroll]] for (uint r = 0; r < OWN; r++) {
                bool attends[SHARED];
                float before = largest[r];
                [[unroll]] for (uint j = 0; j < SHARED; j++) {
                    attends[j] = slot + j < end && in_ranges(ranges[r], slot + j);
                    largest[r] = max(largest[r], attends[j] ? p[r * SHARED + j] : MASKED);
                }
                float rescale = exp2(before - largest[r]);
                sum[r] *= rescale;
                [[unroll]] for (uint d = 0; d < D; d++)
                    o[r * D + d] *= rescale;
                [[unroll]] for (uint j = 0; j < SHARED; j++) {
                    float e = exp2(p[r * SHARED + j] - largest[r]);
                    p[r * SHARED + j] = attends[j] ? e : 0;
                    sum[r] += p[r * SHARED + j];
                }
            }
            add_shared(o, p, x);
        }
    }

    [[unroll]] for (uint r = 0; r < OWN; r++) {
        uint item = tile + r * local_size + local_index;
        if (item < items) {
            uint t = item / group, head = kv_head * group + item % group;
            float factor = sum[r] > 0 ? 1 / sum[r] : 0;
            [[unroll]] for (uint d = 0; d < D; d += 2)
                store_pair(args.o, t * args.o_stride + head * D + d,
                           vec2(o[r * D + d], o[r * D + d + 1]) * factor);
            args.lse.v[t * args.heads + head] =
                sum[r] > 0 ? (largest[r] + log2(sum[r])) * LN_2 : MASKED;
        }
    }
}
