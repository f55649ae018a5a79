// dv = p^T dout and dk = scale ds^T q, with p and ds as in the pass by query, over the queries
// [t, key_end[t]) of each key t and the heads of its group, from the last query on: the first keys'
// largest terms are those of the first queries, and are best added to sums that are complete. On
// matrix units. Assigns. Grid: x tiles of TILE_OWN keys, y key/value heads.
#version 460
#include "common.glsl"
#define OWN_ARRAYS 2
#define OTHER_ARRAYS 2
#define WEIGHT_ARRAYS 2
#include "attention_coopmat.glsl"

ARGS(attention_bwd_key_args);

shared vec2 statistics[TILE_OTHER]; // lse and delta

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
    SUMS place = find_places();
    rows_ref q = rows_ref(args.q, args.q_stride), dout = rows_ref(args.dout, args.o_stride);
    load_own(0, rows_ref(args.k, args.kv_stride));
    load_own(OWN_SIZE, rows_ref(args.v, args.kv_stride));
    SUMS dk[ACROSS], dv[ACROSS];
    for (uint c = 0; c < ACROSS; c++)
        dk[c] = dv[c] = SUMS(0);

    uint begin = NO_SLOT, end;
    while (last_run(begin, begin, end)) {
        uint blocks = (end - begin + TILE_OTHER - 1) / TILE_OTHER, head = kv_head * group;
        uint slot = begin + (blocks - 1) * TILE_OTHER;
        for (uint turn = blocks * group; turn > 0; turn--) {
            other_rows others = other_rows(slot, end, head);
            load_others(OTHERS, q, others);
            load_others(OTHERS + OTHER_SIZE, dout, others);
            for (uint i = local_index; i < TILE_OTHER; i += local_size) {
                uint at = min(slot + i, end - 1) * args.heads + head;
                statistics[i] = vec2(args.lse.v[at], args.delta.v[at]);
            }
            barrier();
            SUMS s[SCORES], ds[SCORES];
            dot_tiles(s, 0, OTHERS);
            dot_tiles(ds, OWN_SIZE, OTHERS + OTHER_SIZE);
            for (uint n = 0; n < SCORES; n++)
                for (uint i = 0; i < place.length(); i++) {
                    uint r = row_at(place[i]), col = col_at(n, place[i]);
                    if (col < TILE_OTHER) {
                        bool attends = meet(r, col, others);
                        float p = exp2((s[n][i] * args.scale - statistics[col].x) * LOG2_E);
                        float x = p * (ds[n][i] - statistics[col].y);
                        weights[r * WEIGHTS_LINE + col] = UNIT_FLOAT(attends ? p : 0);
                        weights[WEIGHTS_SIZE + r * WEIGHTS_LINE + col] =
                            UNIT_FLOAT(attends ? x : 0);
                    }
                }
            barrier();
            add_tiles(dv, 0, OTHERS + OTHER_SIZE);
            add_tiles(dk, WEIGHTS_SIZE, OTHERS);
            barrier();
            if (++head == (kv_head + 1) * group) {
                head = kv_head * group;
                slot -= TILE_OTHER;
            }
        }
    }
    store_sums(rows_ref(args.dk, args.kv_stride), dk, place, args.scale, rows - tile);
    store_sums(rows_ref(args.dv, args.kv_stride), dv, place, 1, rows - tile);
}
