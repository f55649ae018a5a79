// Attention through shared memory: a workgroup of 128 owns TILE_OWN rows (queries, or keys in the
// pass by key) and walks over the other side's rows, TILE_OTHER at a time. It makes the tile of
// scores and then adds the other rows to sums of its own, weighted by the tile.
//
// Invocation (row, col) of 16 x 8 holds the scores of own rows 4 row + 0..3 with other rows
// 4 col + 0..3, and of each of its own rows the sums' columns 32 i + 4 col + 0..3. Heads wider than
// COLUMNS are shared out to several workgroups (z), each with all scores and that many columns.
#ifndef TRDPO_ATTENTION_TILED_GLSL
#define TRDPO_ATTENTION_TILED_GLSL


layout(constant_id = 1) const uint D = 64;     // head size
layout(constant_id = 2) const uint UNROLL = 4; // turns of the inner loops written out, a power of two
layout(constant_id = 3) const uint COLUMNS = 128; // of a workgroup's sums: 32, 64 or 128

const uint TILE_OWN = ATTENTION_TILE_OWN, TILE_OTHER = 32, STEP = 16;
#include "attention_rows.glsl"

const uint QUADS = D > COLUMNS ? COLUMNS / 32 : (D + 31) / 32; // of an invocation's columns
const uint STAGED = QUADS == 1 ? 32 : QUADS <= 3 ? 16 : 8; // rows that `stage` holds at a time

// Rows of a tile stand transposed, by fours; one spare quad a line keeps banks apart.
const uint OWN_LINE = TILE_OWN / 4 + 1, OTHER_LINE = TILE_OTHER / 4 + 1;
const uint STAGE_OTHER = STEP * OWN_LINE;
shared vec4 stage[STEP * (OWN_LINE + OTHER_LINE)];
shared vec4 weights[TILE_OTHER * OWN_LINE]; // [other row][own row]; also exchanges rows' partials

// for (uint pass = 0; pass < count; pass++), with UNROLL turns written out, so that their loads are
// in flight together. Compilers of CPU devices take minutes over more of them.
#define LOAD_PASSES(pass, count)                                                                   \
    [[dont_unroll]] for (uint pass##_first = 0; pass##_first < count; pass##_first += UNROLL)      \
        [[unroll]] for (uint pass##_turn = 0, pass; pass##_turn < UNROLL; pass##_turn++)           \
            if ((pass = pass##_first + pass##_turn) < count)

#define tile_row (local_index / 8u)
#define tile_col (local_index % 8u)

// tile[i][j] = sum over d of own row 4 row + i times other row 4 col + j. Each STEP columns are summed
// first: one sum over a wide head loses twice the digits.
void dot_tile(out vec4 tile[4], rows_ref own, rows_ref others, other_rows o)
{
    uint row = tile_row, col = tile_col, pair = 2 * (local_index % (STEP / 2));
    [[unroll]] for (uint i = 0; i < 4; i++)
        tile[i] = vec4(0);
    [[dont_unroll]] for (uint d = 0; d < D; d += STEP) {
        bool inside = d + pair < D;
        barrier();
        LOAD_PASSES(pass, TILE_OWN * STEP / 256) {
            uint r = pass * 16 + local_index / (STEP / 2);
            vec2 x = inside ? row_pair(own, own_rows[r].x, own_rows[r].y, d + pair) : vec2(0);
            stage[pair * OWN_LINE + r / 4][r % 4] = x.x;
            stage[(pair + 1) * OWN_LINE + r / 4][r % 4] = x.y;
        }
        LOAD_PASSES(pass, TILE_OTHER * STEP / 256) {
            uint r = pass * 16 + local_index / (STEP / 2);
            uint slot = min(o.slot + r, o.end - 1);
            vec2 x = inside ? row_pair(others, slot, o.head, d + pair) : vec2(0);
            stage[STAGE_OTHER + pair * OTHER_LINE + r / 4][r % 4] = x.x;
            stage[STAGE_OTHER + (pair + 1) * OTHER_LINE + r / 4][r % 4] = x.y;
        }
        barrier();
        vec4 part[4] = vec4[4](vec4(0), vec4(0), vec4(0), vec4(0));
        [[dont_unroll]] for (uint e = 0; e < STEP; e += UNROLL)
            [[unroll]] for (uint f = 0; f < UNROLL; f++) {
                vec4 a = stage[(e + f) * OWN_LINE + row];
                vec4 b = stage[STAGE_OTHER + (e + f) * OTHER_LINE + col];
                [[unroll]] for (uint i = 0; i < 4; i++)
                    part[i] += a[i] * b;
            }
        [[unroll]] for (uint i = 0; i < 4; i++)
            tile[i] += part[i];
    }
}

// Makes `tile` the weights of add_tile(). Earlier reads of `weights` must be behind a barrier.
void put_weights(vec4 tile[4])
{
    [[unroll]] for (uint j = 0; j < 4; j++)
        weights[(4 * tile_col + j) * OWN_LINE + tile_row] =
            vec4(tile[0][j], tile[1][j], tile[2][j], tile[3][j]);
}

void add_part(inout vec4 sum[4][QUADS], inout vec4 part[4][QUADS])
{
    [[unroll]] for (uint i = 0; i < 4; i++)
        [[unroll]] for (uint c = 0; c < QUADS; c++) {
            sum[i][c] += part[i][c];
            part[i][c] = vec4(0);
        }
}

// sum[i][c] += weight of own row 4 row + i and other row times the other row's columns, over the
// other rows; columns are those of part z. Long sums lose fewer digits if parts are summed first:
// UNROLL products where registers are few, and on CPU devices the whole tile.
void add_tile(inout vec4 sum[4][QUADS], rows_ref others, other_rows o)
{
    const uint pairs = QUADS * 16; // of a staged row
    uint row = tile_row, col = tile_col, first = gl_WorkGroupID.z * COLUMNS;
    vec4 part[4][QUADS];
    [[unroll]] for (uint i = 0; i < 4; i++)
        [[unroll]] for (uint c = 0; c < QUADS; c++)
            part[i][c] = vec4(0);
    [[dont_unroll]] for (uint begin = 0; begin < TILE_OTHER; begin += STAGED) {
        barrier();
        LOAD_PASSES(pass, STAGED * pairs / 128) {
            uint at = pass * 128 + local_index, d = 2 * (at % pairs);
            uint slot = min(o.slot + begin + at / pairs, o.end - 1);
            vec2 x = first + d < D ? row_pair(others, slot, o.head, first + d) : vec2(0);
            if (at % 2 == 0)
                stage[at / 2].xy = x;
            else
                stage[at / 2].zw = x;
        }
        barrier();
        [[dont_unroll]] for (uint k = 0; k < STAGED; k += UNROLL) {
            [[unroll]] for (uint f = 0; f < UNROLL; f++) {
                vec4 w = weights[(begin + k + f) * OWN_LINE + row];
                [[unroll]] for (uint c = 0; c < QUADS; c++) {
                    vec4 x = stage[(k + f) * QUADS * 8 + c * 8 + col];
                    [[unroll]] for (uint i = 0; i < 4; i++)
                        part[i][c] += w[i] * x;
                }
            }
            if (UNROLL > 1)
                add_part(sum, part);
        }
    }
    if (UNROLL == 1)
        add_part(sum, part);
}

// A value of each of the four own rows from every one of the eight columns, combined in their
// order. Holds barriers.
#define ACROSS_COLUMNS(name, combine)                                                              \
    vec4 name(vec4 mine)                                                                           \
    {                                                                                              \
        barrier();                                                                                 \
        weights[tile_col * OWN_LINE + tile_row] = mine;                                            \
        barrier();                                                                                 \
        vec4 total = weights[tile_row];                                                            \
        [[dont_unroll]] for (uint c = 1; c < 8; c++)                                               \
            total = combine(total, weights[c * OWN_LINE + tile_row]);                              \
        barrier();                                                                                 \
        return total;                                                                              \
    }
ACROSS_COLUMNS(sum_across, REDUCE_ADD)
ACROSS_COLUMNS(max_across, max)

// Whether own row 4 row + i and other row 4 col + j meet.
bvec4 tile_attends(uint i, other_rows o)
{
    uvec4 r = own_ranges[4 * tile_row + i];
    bvec4 attends;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        uint slot = o.slot + 4 * tile_col + j;
        attends[j] = slot < o.end && in_ranges(r, slot);
    }
    return attends;
}

// Writes sum * factor to own row 4 row + i.
void store_row(rows_ref rows, uint i, vec4 sum[QUADS], float factor)
{
    uvec2 own = own_rows[4 * tile_row + i];
    uint first = gl_WorkGroupID.z * COLUMNS, at = own.x * rows.stride + own.y * D;
    [[unroll]] for (uint c = 0; c < QUADS; c++) {
        uint d = first + c * 32 + 4 * tile_col;
        vec4 x = sum[c] * factor;
        if (d < D)
            f32x2(rows.base).v[(at + d) / 2] = x.xy;
        if (d + 2 < D)
            f32x2(rows.base).v[(at + d) / 2 + 1] = x.zw;
    }
}

#endif
