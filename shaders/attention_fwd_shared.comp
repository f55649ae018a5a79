// o = softmax(scale q k^T) v over each query's ranges, lse = log of the softmax's denominator.
// Assigns. Grid: x tiles of TILE_OWN items (t, head of the group), y key/value heads, z parts of the
// columns.
#version 460
#include "common.glsl"
#include "attention_tiled.glsl"

ARGS(attention_fwd_args);

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

    rows_ref q = rows_ref(args.q, args.q_stride);
    rows_ref k = rows_ref(args.k, args.kv_stride), v = rows_ref(args.v, args.kv_stride);
    float factor = args.scale * LOG2_E;
    vec4 o[4][QUADS], largest = vec4(MASKED), sum = vec4(0); // `sum` of this invocation's columns
    [[unroll]] for (uint i = 0; i < 4; i++)
        [[unroll]] for (uint c = 0; c < QUADS; c++)
            o[i][c] = vec4(0);

    uint begin, end = 0;
    while (next_run(end, begin, end)) {
        for (uint slot = begin; slot < end; slot += TILE_OTHER) {
            other_rows others = other_rows(slot, end, kv_head);
            vec4 p[4], most = vec4(MASKED), before = largest;
            bvec4 attends[4];
            dot_tile(p, q, k, others);
            [[unroll]] for (uint i = 0; i < 4; i++) {
                attends[i] = tile_attends(i, others);
                p[i] = mix(vec4(MASKED), p[i] * factor, attends[i]);
                most[i] = max(max(p[i].x, p[i].y), max(p[i].z, p[i].w));
            }
            largest = max(before, max_across(most));
            vec4 rescale = exp2(before - largest);
            sum *= rescale;
            [[unroll]] for (uint i = 0; i < 4; i++) {
                p[i] = mix(vec4(0), exp2(p[i] - largest[i]), attends[i]);
                sum[i] += p[i].x + p[i].y + p[i].z + p[i].w;
                [[unroll]] for (uint c = 0; c < QUADS; c++)
                    o[i][c] *= rescale[i];
            }
            put_weights(p);
            add_tile(o, v, others);
        }
    }

    sum = sum_across(sum);
    [[unroll]] for (uint i = 0; i < 4; i++)
        if (tile + 4 * tile_row + i < items) {
            store_row(rows_ref(args.o, args.o_stride), i, o[i], sum[i] > 0 ? 1 / sum[i] : 0);
            uvec2 own = own_rows[4 * tile_row + i];
            if (tile_col == 0 && gl_WorkGroupID.z == 0)
                args.lse.v[own.x * args.heads + own.y] =
                    sum[i] > 0 ? (largest[i] + log2(sum[i])) * LN_2 : MASKED;
        }
}
