// delta = sum over D of dout o, p = exp(scale q k^T - lse), ds = p (dout v^T - delta),
// dq = scale ds k, over each query's ranges, on matrix units. delta is that of dout as it is rounded
// for dout v^T, whose mean it is. Assigns delta and dq. Grid: as the forward kernel.
#version 460
#include "common.glsl"
#define OWN_ARRAYS 2
#define OTHER_ARRAYS 2
#define WEIGHT_ARRAYS 1
#include "attention_coopmat.glsl"

ARGS(attention_bwd_query_args);

shared vec2 statistics[TILE_OWN]; // lse and delta

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
    SUMS place = find_places();
    rows_ref dout = rows_ref(args.dout, args.o_stride), o = rows_ref(args.o, args.o_stride);
    rows_ref k = rows_ref(args.k, args.kv_stride), v = rows_ref(args.v, args.kv_stride);
    load_own(0, rows_ref(args.q, args.q_stride));
    load_own(OWN_SIZE, dout);

    uint row = own_row_of_lane;
    uvec2 own = own_rows[row];
    float delta = 0;
    for (uint d = 2 * lane_of_row; d < D; d += 2 * LANES)
        delta += dot(vec2(UNIT_VEC2(row_pair(dout, own.x, own.y, d))), row_pair(o, own.x, own.y, d));
    delta = sum_of_row(delta);
    if (lane_of_row == 0) {
        statistics[row] = vec2(args.lse.v[own.x * args.heads + own.y], delta);
        if (tile + row < items)
            args.delta.v[own.x * args.heads + own.y] = delta;
    }

    SUMS dq[ACROSS];
    for (uint c = 0; c < ACROSS; c++)
        dq[c] = SUMS(0);
    uint begin, end = 0;
    while (next_run(end, begin, end)) {
        for (uint slot = begin; slot < end; slot += TILE_OTHER) {
            other_rows others = other_rows(slot, end, kv_head);
            load_others(OTHERS, k, others);
            load_others(OTHERS + OTHER_SIZE, v, others);
            barrier();
            SUMS s[SCORES], ds[SCORES];
            dot_tiles(s, 0, OTHERS);
            dot_tiles(ds, OWN_SIZE, OTHERS + OTHER_SIZE);
            for (uint n = 0; n < SCORES; n++)
                for (uint i = 0; i < place.length(); i++) {
                    uint r = row_at(place[i]), col = col_at(n, place[i]);
                    if (col < TILE_OTHER) {
                        float p = exp2((s[n][i] * args.scale - statistics[r].x) * LOG2_E);
                        float x = p * (ds[n][i] - statistics[r].y);
                        weights[r * WEIGHTS_LINE + col] = UNIT_FLOAT(meet(r, col, others) ? x : 0);
                    }
                }
            barrier();
            add_tiles(dq, 0, OTHERS);
            barrier();
        }
    }
    store_sums(rows_ref(args.dq, args.q_stride), dq, place, args.scale, items - tile);
}
