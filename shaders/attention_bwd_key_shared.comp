// dv = p^T dout and dk = scale ds^T q, with p and ds as in the pass by query, over the queries
// [t, key_end[t]) of each key t and the heads of its group, from the last query on: the first keys'
// largest terms are those of the first queries, and are best added to sums that are complete. Assigns.
// Grid: x tiles of TILE_OWN keys, y key/value heads, z parts of the columns.
#version 460
#include "common.glsl"
#include "attention_tiled.glsl"

ARGS(attention_bwd_key_args);

void main()
{
    uint group = args.heads / args.kv_heads, kv_head = gl_WorkGroupID.y;
    uint rows = live_rows(args.live, uvec2(args.q), args.rows);
    uint tile = (args.first + gl_WorkGroupID.x) * TILE_OWN;
    if (tile >= rows)
        return;
    if (local_index < TILE_OWN) {
        uint t = min(tile + local_index, rows - 1);
        own_rows[local_index] = uvec2(t, kv_head);
        own_ranges[local_index] = uvec4(t, min(args.key_end.v[t], rows), 0, 0); // of queries
    }
    barrier();

    rows_ref k = rows_ref(args.k, args.kv_stride), v = rows_ref(args.v, args.kv_stride);
    rows_ref q = rows_ref(args.q, args.q_stride), dout = rows_ref(args.dout, args.o_stride);
    vec4 dk[4][QUADS], dv[4][QUADS];
    [[unroll]] for (uint i = 0; i < 4; i++)
        [[unroll]] for (uint c = 0; c < QUADS; c++)
            dk[i][c] = dv[i][c] = vec4(0);

    uint begin = NO_SLOT, end;
    while (last_run(begin, begin, end)) {
        uint blocks = (end - begin + TILE_OTHER - 1) / TILE_OTHER, head = kv_head * group;
        uint slot = begin + (blocks - 1) * TILE_OTHER;
        for (uint turn = blocks * group; turn > 0; turn--) {
            other_rows others = other_rows(slot, end, head);
            vec4 lse, delta, p[4], ds[4];
            [[unroll]] for (uint j = 0; j < 4; j++) {
                uint at = min(slot + 4 * tile_col + j, end - 1) * args.heads + head;
                lse[j] = args.lse.v[at];
                delta[j] = args.delta.v[at];
            }
            dot_tile(p, k, q, others);
            dot_tile(ds, v, dout, others);
            [[unroll]] for (uint i = 0; i < 4; i++) {
                bvec4 attends = tile_attends(i, others);
                p[i] = exp2((p[i] * args.scale - lse) * LOG2_E);
                ds[i] = mix(vec4(0), p[i] * (ds[i] - delta), attends);
                p[i] = mix(vec4(0), p[i], attends);
            }
            put_weights(p);
            add_tile(dv, dout, others);
            barrier();
            put_weights(ds);
            add_tile(dk, q, others);
            if (++head == (kv_head + 1) * group) {
                head = kv_head * group;
                slot -= TILE_OTHER;
            }
        }
    }

    [[unroll]] for (uint i = 0; i < 4; i++)
        if (tile + 4 * tile_row + i < rows) {
            store_row(rows_ref(args.dk, args.kv_stride), i, dk[i], args.scale);
            store_row(rows_ref(args.dv, args.kv_stride), i, dv[i], 1);
        }
}
