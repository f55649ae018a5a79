// Attention on matrix units. A workgroup owns TILE_OWN rows (queries, or keys in the pass by key),
// which lie in shared memory, and walks over the other side's rows, TILE_OTHER at a time. Factors of
// all products are rounded to what the units take (units.glsl), sums are fp32.
//
// Matrices are M x N: the subgroups stand in ROW_GROUPS x COL_GROUPS, each with the rows of one matrix
// and every COL_GROUPS'th matrix across, of the scores and of the sums. Which element of a matrix a
// lane holds is the driver's choice: places() finds it out.
#ifndef TRDPO_ATTENTION_COOPMAT_GLSL
#define TRDPO_ATTENTION_COOPMAT_GLSL

#include "units.glsl"

layout(constant_id = 1) const uint D = 64; // head size, a multiple of N and K
layout(constant_id = 2) const uint M = 16;
layout(constant_id = 3) const uint N = 16;
layout(constant_id = 4) const uint K = 16;
layout(constant_id = 5) const uint SUBGROUPS = 4; // a multiple of TILE_OWN / M
layout(constant_id = 6) const uint TILE_OWN = 64; // a multiple of M; at most the workgroup's size
layout(constant_id = 7) const uint TILE_OTHER = 32; // a multiple of N and K

#include "attention_rows.glsl"

#define FACTOR_A coopmat<UNIT_FLOAT, gl_ScopeSubgroup, M, K, gl_MatrixUseA>
#define FACTOR_B coopmat<UNIT_FLOAT, gl_ScopeSubgroup, K, N, gl_MatrixUseB>
#define SUMS coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>
#define ROWS_FIRST gl_CooperativeMatrixLayoutRowMajor
#define COLUMNS_FIRST gl_CooperativeMatrixLayoutColumnMajor

const uint ROW_GROUPS = TILE_OWN / M, COL_GROUPS = SUBGROUPS / ROW_GROUPS;
const uint SCORES = (TILE_OTHER / N + COL_GROUPS - 1) / COL_GROUPS; // a subgroup's, across
const uint ACROSS = (D / N + COL_GROUPS - 1) / COL_GROUPS;          // and of a sum
const uint LANES = gl_WorkGroupSize.x / TILE_OWN;                   // that share a row

// Rows in vectors of four, with a gap of 16 bytes, what a matrix unit reads at once, to keep banks
// apart. What stands where: OWN_ARRAYS of own rows, then OTHER_ARRAYS of the others.
const uint LINE = D / 4 + 2, OWN_SIZE = TILE_OWN * LINE, OTHER_SIZE = TILE_OTHER * LINE;
const uint OTHERS = OWN_ARRAYS * OWN_SIZE;
shared UNIT_VEC4 tiles[OTHERS + OTHER_ARRAYS * OTHER_SIZE];

// Weights of own rows and others, [own][other].
const uint WEIGHTS_LINE = TILE_OTHER + 8, WEIGHTS_SIZE = TILE_OWN * WEIGHTS_LINE;
shared UNIT_FLOAT weights[WEIGHT_ARRAYS * WEIGHTS_SIZE];

// A number for each lane: what the lanes of a row exchange. Also finds out the elements' places.
const uint EXCHANGED = gl_WorkGroupSize.x > M * N ? gl_WorkGroupSize.x : M * N;
shared float exchange[EXCHANGED];

#define own_row_of_lane (local_index / LANES)
#define lane_of_row (local_index % LANES)
#define row_group (gl_SubgroupID / COL_GROUPS)
#define col_group (gl_SubgroupID % COL_GROUPS)

// Row * N + column of each element.
SUMS find_places()
{
    for (uint i = local_index; i < M * N; i += local_size)
        exchange[i] = float(i);
    barrier();
    SUMS place;
    coopMatLoad(place, exchange, 0, N, ROWS_FIRST);
    barrier();
    return place;
}

UNIT_VEC4 row_halves(rows_ref rows, uint slot, uint head, uint quad)
{
    return UNIT_VEC4(vec4(row_pair(rows, slot, head, 4 * quad), row_pair(rows, slot, head, 4 * quad + 2)));
}

void load_own(uint to, rows_ref rows)
{
    for (uint i = local_index; i < TILE_OWN * (D / 4); i += local_size) {
        uvec2 own = own_rows[i / (D / 4)];
        tiles[to + i / (D / 4) * LINE + i % (D / 4)] = row_halves(rows, own.x, own.y, i % (D / 4));
    }
}

void load_others(uint to, rows_ref rows, other_rows o)
{
    for (uint i = local_index; i < TILE_OTHER * (D / 4); i += local_size) {
        uint slot = min(o.slot + i / (D / 4), o.end - 1);
        tiles[to + i / (D / 4) * LINE + i % (D / 4)] = row_halves(rows, slot, o.head, i % (D / 4));
    }
}

// dot = own rows times other rows, over D
void dot_tiles(out SUMS dot[SCORES], uint own, uint other)
{
    for (uint n = 0; n < SCORES; n++)
        dot[n] = SUMS(0);
    for (uint d = 0; d < D; d += K) {
        FACTOR_A a;
        coopMatLoad(a, tiles, own + row_group * M * LINE + d / 4, LINE, ROWS_FIRST);
        for (uint n = 0; n < SCORES; n++) {
            uint col = (n * COL_GROUPS + col_group) * N;
            if (col < TILE_OTHER) {
                FACTOR_B b;
                coopMatLoad(b, tiles, other + col * LINE + d / 4, LINE, COLUMNS_FIRST);
                dot[n] = coopMatMulAdd(a, b, dot[n]);
            }
        }
    }
}

// sum += weights times other rows
void add_tiles(inout SUMS sum[ACROSS], uint weight, uint other)
{
    for (uint k = 0; k < TILE_OTHER; k += K) {
        FACTOR_A a;
        coopMatLoad(a, weights, weight + row_group * M * WEIGHTS_LINE + k, WEIGHTS_LINE, ROWS_FIRST);
        for (uint c = 0; c < ACROSS; c++) {
            uint col = (c * COL_GROUPS + col_group) * N;
            if (col < D) {
                FACTOR_B b;
                coopMatLoad(b, tiles, other + k * LINE + col / 4, LINE, ROWS_FIRST);
                sum[c] = coopMatMulAdd(a, b, sum[c]);
            }
        }
    }
}

// Sum over the lanes of a row, in their order. Holds barriers.
float sum_of_row(float mine)
{
    exchange[local_index] = mine;
    barrier();
    float total = 0;
    for (uint lane = 0; lane < LANES; lane++)
        total += exchange[own_row_of_lane * LANES + lane];
    barrier();
    return total;
}

// Row of the tile and column of matrix n across, of an element's place.
uint row_at(float place) { return row_group * M + uint(place) / N; }
uint col_at(uint n, float place) { return (n * COL_GROUPS + col_group) * N + uint(place) % N; }

// Whether an own row and a column of the others meet.
bool meet(uint row, uint col, other_rows o)
{
    return o.slot + col < o.end && in_ranges(own_ranges[row], o.slot + col);
}

// Writes sum * factor of the first `count` own rows.
void store_sums(rows_ref rows, SUMS sum[ACROSS], SUMS place, float factor, uint count)
{
    for (uint c = 0; c < ACROSS; c++)
        for (uint i = 0; i < place.length(); i++) {
            uint row = row_at(place[i]), col = col_at(c, place[i]);
            if (row < count && col < D) {
                uvec2 own = own_rows[row];
                rows.base.v[own.x * rows.stride + own.y * D + col] = sum[c][i] * factor;
            }
        }
}

#endif
