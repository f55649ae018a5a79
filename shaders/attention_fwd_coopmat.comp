// o = softmax(scale q k^T) v over each query's ranges, lse = log of the softmax's denominator, on
// matrix units. Assigns. Grid: x tiles of TILE_OWN items (t, head of the group), y key/value heads.
#version 460
#include "common.glsl"
#define OWN_ARRAYS 1
#define OTHER_ARRAYS 1
#define WEIGHT_ARRAYS 1
#include "attention_coopmat.glsl"

ARGS(attention_fwd_args);

const uint SCORES_LINE = TILE_OTHER + 4;
shared float scores[TILE_OWN * SCORES_LINE];
shared float factors[TILE_OWN]; // of the rows of o

void multiply_rows(inout SUMS o[ACROSS], SUMS place)
{
    SUMS factor;
    for (uint i = 0; i < place.length(); i++)
        factor[i] = factors[row_at(place[i])];
    for (uint c = 0; c < ACROSS; c++)
        o[c] = o[c] * factor;
}

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
    load_own(0, rows_ref(args.q, args.q_stride));
    rows_ref k = rows_ref(args.k, args.kv_stride), v = rows_ref(args.v, args.kv_stride);
    float factor = args.scale * LOG2_E, largest = MASKED, sum = 0; // of the lane's row
    uint row = own_row_of_lane;
    uvec4 ranges = own_ranges[row];
    SUMS o[ACROSS];
    for (uint c = 0; c < ACROSS; c++)
        o[c] = SUMS(0);

    uint begin, end = 0;
    while (next_run(end, begin, end)) {
        for (uint slot = begin; slot < end; slot += TILE_OTHER) {
            other_rows others = other_rows(slot, end, kv_head);
            load_others(OTHERS, k, others);
            barrier();
            SUMS s[SCORES];
            dot_tiles(s, 0, OTHERS);
            for (uint n = 0; n < SCORES; n++) {
                uint col = (n * COL_GROUPS + col_group) * N;
                if (col < TILE_OTHER)
                    coopMatStore(s[n], scores, row_group * M * SCORES_LINE + col, SCORES_LINE,
                                 ROWS_FIRST);
            }
            barrier();
            load_others(OTHERS, v, others);
            // Every lane of a row finds its largest score, and makes its part of the weights.
            float before = largest;
            for (uint col = 0; col < TILE_OTHER; col++)
                if (slot + col < end && in_ranges(ranges, slot + col))
                    largest = max(largest, scores[row * SCORES_LINE + col] * factor);
            float rescale = exp2(before - largest);
            sum *= rescale;
            for (uint col = lane_of_row; col < TILE_OTHER; col += LANES) {
                float p = exp2(scores[row * SCORES_LINE + col] * factor - largest);
                p = slot + col < end && in_ranges(ranges, slot + col) ? p : 0;
                sum += p;
                weights[row * WEIGHTS_LINE + col] = UNIT_FLOAT(p);
            }
            if (lane_of_row == 0)
                factors[row] = rescale;
            barrier();
            multiply_rows(o, place);
            add_tiles(o, 0, OTHERS);
            barrier();
        }
    }

    sum = sum_of_row(sum);
    if (lane_of_row == 0) {
        factors[row] = sum > 0 ? 1 / sum : 0;
        if (tile + row < items)
            args.lse.v[own_rows[row].x * args.heads + own_rows[row].y] =
                sum > 0 ? (largest + log2(sum)) * LN_2 : MASKED;
    }
    barrier();
    multiply_rows(o, place);
    store_sums(rows_ref(args.o, args.o_stride), o, place, 1, items - tile);
}
