// y[i, j] = sum over k of a(i, k) b(k, j) + bias[j] + add[i, j]. Assigns. For GPUs.
// Grid: (columns / TILE_COLS, rows / TILE_ROWS, slices of the depth). With several slices each
// writes its own sum, without bias and add, to y[slice][i][j]; matmul_sum.comp adds them up.
//
// A workgroup goes through k in steps of DEPTH: all lanes copy a strip of a and of b to shared
// memory while the registers already load the next strip, and each lane multiplies ROWS_PER_LANE
// rows by COLS_PER_LANE columns. A lane's rows and columns are groups of four that lie TILE / groups
// apart, so that neighbouring lanes read neighbouring shared memory. With SWIGLU the first half of a
// tile's columns is of gate and the other of up, so that a lane's two groups belong together.
#version 460
#include "common.glsl"
#include "activation.glsl"
#include "matmul_bounds.glsl"
#include "storage.glsl"

layout(constant_id = 1) const uint TILE_ROWS = 64;
layout(constant_id = 2) const uint TILE_COLS = 64;
layout(constant_id = 3) const uint ROWS_PER_LANE = 4; // multiples of 4; the workgroup size is
layout(constant_id = 4) const uint COLS_PER_LANE = 4; // the quotient of the areas
layout(constant_id = 5) const bool A_BY_DEPTH = true; // neighbours in memory differ in k
layout(constant_id = 6) const bool B_BY_DEPTH = true;
layout(constant_id = 7) const bool VECTORS = true; // operands, y and h take loads and stores of four
layout(constant_id = 8) const bool SWIGLU = false; // with B_BY_DEPTH, eight columns a lane; no slices

ARGS(matmul_args);

const uint DEPTH = 16;
const uint LANE_COLUMNS = TILE_COLS / COLS_PER_LANE; // lanes side by side
const uint ROW_GROUPS = ROWS_PER_LANE / 4;
const uint COL_GROUPS = COLS_PER_LANE / 4;
const uint LANES = TILE_ROWS / ROWS_PER_LANE * LANE_COLUMNS;
const uint A_LOADS = TILE_ROWS * DEPTH / 4 / LANES; // vectors that a lane copies
const uint B_LOADS = TILE_COLS * DEPTH / 4 / LANES;
const uint A_PITCH = TILE_ROWS / 4 + 1; // one vector of padding against bank conflicts
const uint B_PITCH = TILE_COLS / 4 + 1;

shared vec4 a_strip[DEPTH * A_PITCH]; // [k][i]
shared vec4 b_strip[DEPTH * B_PITCH]; // [k][j]

// x[at], ... of which `valid` exist; zero for the others.
#define LOAD4(name, type, four_at, one_at)                                                         \
    vec4 name(type x, uint at, int valid)                                                          \
    {                                                                                              \
        vec4 v = vec4(0.0);                                                                        \
        if (VECTORS) {                                                                             \
            if (valid >= 4)                                                                        \
                v = four_at(x, at / 4u);                                                           \
        }                                                                                          \
        if (!VECTORS || (valid > 0 && valid < 4)) {                                                \
            if (valid > 0)                                                                         \
                v.x = one_at(x, at);                                                               \
            if (valid > 1)                                                                         \
                v.y = one_at(x, at + 1u);                                                          \
            if (valid > 2)                                                                         \
                v.z = one_at(x, at + 2u);                                                          \
            if (valid > 3)                                                                         \
                v.w = one_at(x, at + 3u);                                                          \
        }                                                                                          \
        return v;                                                                                  \
    }

vec4 four_floats(f32 x, uint i) { return f32x4(uvec2(x)).v[i]; }
float one_float(f32 x, uint i) { return x.v[i]; }
LOAD4(load_floats, f32, four_floats, one_float)

#if defined(WEIGHTS_BF16) || defined(GRADS_BF16)
vec4 four_halves(u16 x, uint i)
{
    uvec2 words = u32x2(uvec2(x)).v[i];
    return vec4(from_bf16x2(words.x), from_bf16x2(words.y));
}
float one_half(u16 x, uint i) { return from_bf16(uint(x.v[i])); }
LOAD4(load_halves, u16, four_halves, one_half)
#endif

#ifdef WEIGHTS_BF16
#define load_weights load_halves
#else
#define load_weights load_floats
#endif

#ifdef GRADS_BF16
#define load_grads load_halves
#else
#define load_grads load_floats
#endif

void put4(GRADS y, uint i, vec4 value)
{
#ifdef GRADS_BF16
    u32x2(uvec2(y)).v[i] = uvec2(to_bf16x2(value.xy), to_bf16x2(value.zw));
#else
    f32x4(uvec2(y)).v[i] = value;
#endif
}

// Vector number n of a strip of `tile` lines: line and k of its first element.
uvec2 strip_place(uint n, uint tile, bool by_depth)
{
    return by_depth ? uvec2(n / (DEPTH / 4u), n % (DEPTH / 4u) * 4u)
                    : uvec2(n % (tile / 4u) * 4u, n / (tile / 4u));
}

// What to load for a vector of a strip: its place, and how much of it there is.
struct strip_load {
    uint at;
    int valid;
};
strip_load strip_of(uint n, uint tile, bool by_depth, uint stride, uint line, uint k, uint lines,
                    uint depth)
{
    uvec2 place = strip_place(n, tile, by_depth);
    line += place.x;
    k += place.y;
    if (by_depth)
        return strip_load(line * stride + k, line < lines ? int(depth) - int(k) : 0);
    return strip_load(k * stride + line, k < depth ? int(lines) - int(line) : 0);
}

// The same for b with SWIGLU, from column `col` of `half_cols` of gate, and of as many of up.
strip_load strip_of_halves(uint n, uint stride, uint col, uint k, uint half_cols, uint depth)
{
    uvec2 place = strip_place(n, TILE_COLS, true);
    bool up = place.x >= TILE_COLS / 2u;
    col += up ? place.x - TILE_COLS / 2u : place.x;
    k += place.y;
    return strip_load((up ? half_cols + col : col) * stride + k,
                      col < half_cols ? int(depth) - int(k) : 0);
}

// y[at], ... = value, of which `valid` exist.
#define STORE4(name, type, put_four, put_one)                                                      \
    void name(type y, uint at, int valid, vec4 value)                                              \
    {                                                                                              \
        if (VECTORS) {                                                                             \
            put_four(y, at / 4u, value);                                                           \
        } else {                                                                                   \
            put_one(y, at, value.x);                                                               \
            if (valid > 1)                                                                         \
                put_one(y, at + 1u, value.y);                                                      \
            if (valid > 2)                                                                         \
                put_one(y, at + 2u, value.z);                                                      \
            if (valid > 3)                                                                         \
                put_one(y, at + 3u, value.w);                                                      \
        }                                                                                          \
    }

void put_four_floats(f32 y, uint i, vec4 value) { f32x4(uvec2(y)).v[i] = value; }
void put_float(f32 y, uint i, float value) { y.v[i] = value; }
STORE4(store_floats, f32, put_four_floats, put_float)
STORE4(store_grads, GRADS, put4, put_grad)

void main()
{
    f32 a = args.a;
    WEIGHTS b = WEIGHTS(uvec2(args.b)), bias = WEIGHTS(uvec2(args.bias));
    GRADS y = GRADS(uvec2(args.y)), add = GRADS(uvec2(args.add));
    uint rows = args.rows, cols = args.cols, depth = args.depth;
    uint a_stride = A_BY_DEPTH ? args.a_row : args.a_col;
    uint b_stride = B_BY_DEPTH ? args.b_col : args.b_row;
    const uint half_cols = cols / 2u; // SWIGLU: from gate to up, and a row of h
    uint row = gl_WorkGroupID.y * TILE_ROWS;
    uint col = gl_WorkGroupID.x * (SWIGLU ? TILE_COLS / 2u : TILE_COLS);
    uint k_begin = args.slice * gl_WorkGroupID.z;
    uint y_from = rows * cols * gl_WorkGroupID.z;
    matmul_bounds(args.live, uvec2(args.a), args.live_from, args.live_depth != 0u, rows, depth);
    // All lanes alike: an empty sum changes nothing, but an empty slice must be there as zeros.
    if (row >= rows || (depth == 0u && args.slice == 0u))
        return;
    if (args.slice != 0u)
        depth = min(depth, k_begin + args.slice);

    uint lane_row = local_index / LANE_COLUMNS * 4u, lane_col = local_index % LANE_COLUMNS * 4u;
    const uint row_step = TILE_ROWS / ROW_GROUPS, col_step = TILE_COLS / COL_GROUPS;
    vec4 sum[ROWS_PER_LANE][COL_GROUPS];
    [[unroll]] for (uint i = 0; i < ROWS_PER_LANE; i++)
        [[unroll]] for (uint j = 0; j < COL_GROUPS; j++)
            sum[i][j] = vec4(0.0);

#define LOAD_STRIP(next, load4, x, tile, by_depth, stride, line, k, lines)                                \
    {                                                                                              \
        strip_load load =                                                                          \
            strip_of(local_index + n * LANES, tile, by_depth, stride, line, k, lines, depth);      \
        next[n] = load4(x, load.at, load.valid);                                                   \
    }
#define LOAD_A(k) LOAD_STRIP(a_next, load_floats, a, TILE_ROWS, A_BY_DEPTH, a_stride, row, k, rows)
#define LOAD_B(k)                                                                                  \
    if (SWIGLU) {                                                                                  \
        strip_load load =                                                                          \
            strip_of_halves(local_index + n * LANES, b_stride, col, k, half_cols, depth);          \
        b_next[n] = load_weights(b, load.at, load.valid);                                          \
    } else                                                                                         \
        LOAD_STRIP(b_next, load_weights, b, TILE_COLS, B_BY_DEPTH, b_stride, col, k, cols)
    vec4 a_next[A_LOADS], b_next[B_LOADS];
    for (uint k = k_begin; k < depth; k += DEPTH) {
        if (k == k_begin) {
            [[unroll]] for (uint n = 0; n < A_LOADS; n++)
                LOAD_A(k)
            [[unroll]] for (uint n = 0; n < B_LOADS; n++)
                LOAD_B(k)
        }
        [[unroll]] for (uint n = 0; n < A_LOADS; n++) {
            uvec2 at = strip_place(local_index + n * LANES, TILE_ROWS, A_BY_DEPTH);
            if (A_BY_DEPTH) {
                [[unroll]] for (uint c = 0; c < 4; c++)
                    a_strip[(at.y + c) * A_PITCH + at.x / 4u][at.x % 4u] = a_next[n][c];
            } else
                a_strip[at.y * A_PITCH + at.x / 4u] = a_next[n];
        }
        [[unroll]] for (uint n = 0; n < B_LOADS; n++) {
            uvec2 at = strip_place(local_index + n * LANES, TILE_COLS, B_BY_DEPTH);
            if (B_BY_DEPTH) {
                [[unroll]] for (uint c = 0; c < 4; c++)
                    b_strip[(at.y + c) * B_PITCH + at.x / 4u][at.x % 4u] = b_next[n][c];
            } else
                b_strip[at.y * B_PITCH + at.x / 4u] = b_next[n];
        }
        barrier();
        if (k + DEPTH < depth) {
            [[unroll]] for (uint n = 0; n < A_LOADS; n++)
                LOAD_A(k + DEPTH)
            [[unroll]] for (uint n = 0; n < B_LOADS; n++)
                LOAD_B(k + DEPTH)
        }
        [[unroll]] for (uint d = 0; d < DEPTH; d++) {
            vec4 bk[COL_GROUPS];
            [[unroll]] for (uint j = 0; j < COL_GROUPS; j++)
                bk[j] = b_strip[d * B_PITCH + (lane_col + j * col_step) / 4u];
            [[unroll]] for (uint g = 0; g < ROW_GROUPS; g++) {
                vec4 ak = a_strip[d * A_PITCH + (lane_row + g * row_step) / 4u];
                [[unroll]] for (uint i = 0; i < 4; i++)
                    [[unroll]] for (uint j = 0; j < COL_GROUPS; j++)
                        sum[g * 4 + i][j] += ak[i] * bk[j];
            }
        }
        barrier();
    }

    if (SWIGLU) {
        uint at_col = col + lane_col;
        int valid = int(half_cols) - int(at_col);
        vec4 base_gate = vec4(0.0), base_up = vec4(0.0);
        if (given(bias)) {
            base_gate = load_weights(bias, at_col, valid);
            base_up = load_weights(bias, at_col + half_cols, valid);
        }
        [[unroll]] for (uint i = 0; i < ROWS_PER_LANE; i++) {
            uint at_row = row + lane_row + i / 4u * row_step + i % 4u;
            uint at = at_row * cols + at_col, at_up = at + half_cols;
            if (at_row < rows && valid > 0) {
                vec4 gate = sum[i][0] + base_gate, up = sum[i][COL_GROUPS - 1u] + base_up;
                if (given(add)) {
                    gate += load_grads(add, at, valid);
                    up += load_grads(add, at_up, valid);
                }
                store_grads(y, at, valid, gate);
                store_grads(y, at_up, valid, up);
                if (given(args.h))
                    store_floats(args.h, at_row * half_cols + at_col, valid, swiglu(gate, up));
            }
        }
        return;
    }
    [[unroll]] for (uint j = 0; j < COL_GROUPS; j++) {
        uint at_col = col + lane_col + j * col_step;
        int valid = int(cols) - int(at_col);
        vec4 base = vec4(0.0);
        if (given(bias))
            base = load_weights(bias, at_col, valid);
        [[unroll]] for (uint i = 0; i < ROWS_PER_LANE; i++) {
            uint at_row = row + lane_row + i / 4u * row_step + i % 4u;
            uint at = y_from + at_row * cols + at_col;
            if (at_row < rows && valid > 0) {
                vec4 value = sum[i][j] + base;
                if (given(add))
                    value += load_grads(add, at, valid);
                store_grads(y, at, valid, value);
            }
        }
    }
}
