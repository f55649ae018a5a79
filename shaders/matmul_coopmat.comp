// y[i, j] = sum over k of a(i, k) b(k, j) + bias[j] + add[i, j]. Assigns. For devices with matrix
// units: factors are rounded to what these take (units.glsl), sums are fp32.
// Grid: (columns / TILE_COLS, rows / TILE_ROWS, slices of the depth). With several slices each
// writes its own sum, without bias and add, to y[slice][i][j]; matmul_sum.comp adds them up.
//
// A workgroup goes through k in steps of DEPTH. While its subgroups multiply the strips of a and b
// that lie in shared memory, the registers already load the next strips, eight neighbouring elements
// at a time. Strips lie in shared memory the way the operands lie in memory, so nothing is
// transposed; the matrix units read either way. Each subgroup has PART_ROWS x PART_COLS of the tile,
// in matrices of M x N, and gives them out through a matrix of shared memory of its own. With SWIGLU
// every other N columns of a tile are of gate and those beside them of up, so that what belongs together
// goes through the same lanes' hands.
//
// With -DCOOPMAT2 (VK_NV_cooperative_matrix2) a part is one matrix, which the driver makes of what its
// units multiply, and which may be the whole workgroup's; its elements are given out one by one. It
// does not end in SwiGLU.
#version 460
#include "common.glsl"
#include "activation.glsl"
#include "matmul_bounds.glsl"
#include "storage.glsl"
#include "units.glsl"

layout(constant_id = 1) const uint TILE_ROWS = 64; // multiples of PART_ROWS and PART_COLS
layout(constant_id = 2) const uint TILE_COLS = 64;
layout(constant_id = 3) const uint PART_ROWS = 32; // multiples of M and N; the workgroup has as many
layout(constant_id = 4) const uint PART_COLS = 32; // subgroups as the tile has parts
#ifdef COOPMAT2
#extension GL_NV_cooperative_matrix2 : require
layout(constant_id = 5) const uint SCOPE = 3; // gl_ScopeSubgroup; gl_ScopeWorkgroup: one part
const uint M = PART_ROWS, N = PART_COLS;
#define PART (SCOPE == gl_ScopeWorkgroup ? 0u : gl_SubgroupID)
#else
layout(constant_id = 5) const uint M = 16;
layout(constant_id = 6) const uint N = 16;
#define SCOPE gl_ScopeSubgroup
#define PART gl_SubgroupID
#endif
layout(constant_id = 7) const uint K = 16; // M, N and K are powers of two and at least 8
layout(constant_id = 8) const uint FORM = 31; // MATMUL_A_BY_DEPTH and so on

ARGS(matmul_args);

const bool A_BY_DEPTH = (FORM & MATMUL_A_BY_DEPTH) != 0u;
const bool B_BY_DEPTH = (FORM & MATMUL_B_BY_DEPTH) != 0u;
const bool A_VECTORS = (FORM & MATMUL_A_VECTORS) != 0u;
const bool B_VECTORS = (FORM & MATMUL_B_VECTORS) != 0u;
const bool Y_VECTORS = (FORM & MATMUL_Y_VECTORS) != 0u;
#ifdef COOPMAT2
const bool SWIGLU = false;
#else
const bool SWIGLU = (FORM & MATMUL_SWIGLU) != 0u;
#endif

const uint DEPTH = MATMUL_COOPMAT_DEPTH;
const uint PARTS_ACROSS = TILE_COLS / PART_COLS;
const uint PARTS = TILE_ROWS / PART_ROWS * PARTS_ACROSS;
const uint ROW_STEPS = PART_ROWS / M;
const uint COL_STEPS = PART_COLS / N;
const uint A_LOADS = TILE_ROWS * DEPTH / 8 / gl_WorkGroupSize.x; // eights that a lane copies
const uint B_LOADS = TILE_COLS * DEPTH / 8 / gl_WorkGroupSize.x;

// In vectors of four. The padding keeps neighbouring lines, which lie in different banks then, and
// is as large as what a matrix unit reads at once: 16 bytes.
const uint DEPTH_PITCH = DEPTH / 4 + 2;
shared UNIT_VEC4 a_strip[TILE_ROWS * DEPTH_PITCH]; // [i][k] where A_BY_DEPTH, else [k][i]
shared UNIT_VEC4 b_strip[TILE_COLS * DEPTH_PITCH]; // [j][k] where B_BY_DEPTH, else [k][j]
#ifndef COOPMAT2
const uint OUT_PITCH = N / 4 + 1;
shared vec4 out_matrix[PARTS * M * OUT_PITCH];
const uint PART_LANES = gl_WorkGroupSize.x / PARTS;
const uint OUT_VECTORS = (M * N / 4 + PART_LANES - 1) / PART_LANES; // that a lane gives out of it
#endif

// Eight elements as they came from memory: they are converted when they are needed, not when they
// are asked for.
struct eight_floats {
    vec4 low, high;
};

// x[at], ... of which `valid` exist; zero for the others.
eight_floats load_eight_floats(f32 x, uint at, int valid, bool vectors)
{
    eight_floats e = eight_floats(vec4(0.0), vec4(0.0));
    if (vectors && valid >= 8) {
        e.low = f32x4(uvec2(x)).v[at / 4u];
        e.high = f32x4(uvec2(x)).v[at / 4u + 1u];
    } else if (valid > 0) {
        [[unroll]] for (int i = 0; i < 4; i++) {
            if (valid > i)
                e.low[i] = x.v[at + i];
            if (valid > i + 4)
                e.high[i] = x.v[at + 4 + i];
        }
    }
    return e;
}

UNIT_VEC4 low_half(eight_floats e) { return UNIT_VEC4(e.low); }
UNIT_VEC4 high_half(eight_floats e) { return UNIT_VEC4(e.high); }

#ifdef WEIGHTS_BF16
struct eight_halves {
    uvec4 words;
};

eight_halves load_eight_halves(u16 x, uint at, int valid, bool vectors)
{
    eight_halves e = eight_halves(uvec4(0u));
    if (vectors && valid >= 8) {
        e.words = u32x4(uvec2(x)).v[at / 8u];
    } else if (valid > 0) {
        [[unroll]] for (int i = 0; i < 8; i++)
            if (valid > i)
                e.words[i / 2] |= uint(x.v[at + i]) << (i % 2 * 16);
    }
    return e;
}

UNIT_VEC4 low_half(eight_halves e)
{
    return UNIT_VEC4(vec4(from_bf16x2(e.words.x), from_bf16x2(e.words.y)));
}
UNIT_VEC4 high_half(eight_halves e)
{
    return UNIT_VEC4(vec4(from_bf16x2(e.words.z), from_bf16x2(e.words.w)));
}
#define EIGHT_WEIGHTS eight_halves
#define load_eight_weights load_eight_halves
#else
#define EIGHT_WEIGHTS eight_floats
#define load_eight_weights load_eight_floats
#endif

// Eight number n of a strip of `tile` lines: line and k of its first element.
uvec2 strip_place(uint n, uint tile, bool by_depth)
{
    return by_depth ? uvec2(n / (DEPTH / 8u), n % (DEPTH / 8u) * 8u)
                    : uvec2(n % (tile / 8u) * 8u, n / (tile / 8u));
}

uint strip_pitch(uint tile, bool by_depth)
{
    return by_depth ? DEPTH_PITCH : tile / 4u + 2u;
}

// What to load for an eight of a strip: where it begins, and how much of it there is.
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
    bool up = (place.x / N & 1u) != 0u;
    col += place.x / (2u * N) * N + place.x % N;
    k += place.y;
    return strip_load((up ? half_cols + col : col) * stride + k,
                      col < half_cols ? int(depth) - int(k) : 0);
}

// Where it goes in shared memory.
uint strip_slot(uint n, uint tile, bool by_depth)
{
    uvec2 place = strip_place(n, tile, by_depth);
    uint pitch = strip_pitch(tile, by_depth);
    return by_depth ? place.x * pitch + place.y / 4u : place.y * pitch + place.x / 4u;
}

#if defined(WEIGHTS_BF16) || defined(GRADS_BF16)
vec4 four_halves(u16 x, uint i)
{
    uvec2 words = u32x2(uvec2(x)).v[i / 4u];
    return vec4(from_bf16x2(words.x), from_bf16x2(words.y));
}
#endif
vec4 four_floats(f32 x, uint i) { return f32x4(uvec2(x)).v[i / 4u]; }

#ifdef WEIGHTS_BF16
#define four_weights four_halves
#else
#define four_weights four_floats
#endif
#ifdef GRADS_BF16
#define four_grads four_halves
#else
#define four_grads four_floats
#endif

void put_four_grads(GRADS y, uint i, vec4 value)
{
#ifdef GRADS_BF16
    u32x2(uvec2(y)).v[i / 4u] = uvec2(to_bf16x2(value.xy), to_bf16x2(value.zw));
#else
    f32x4(uvec2(y)).v[i / 4u] = value;
#endif
}

// y[at], ... from column `col`, four elements of which `valid` exist. With Y_VECTORS all four do.
// Returns them as they are in y.
vec4 give_out(GRADS y, GRADS add, WEIGHTS bias, uint at, uint col, int valid, vec4 value)
{
    if (Y_VECTORS) {
        if (given(bias))
            value += four_weights(bias, col);
        if (given(add))
            value += four_grads(add, at);
        put_four_grads(y, at, value);
        return value;
    }
    [[unroll]] for (int i = 0; i < 4; i++) {
        if (valid > i) {
            float one = value[i];
            if (given(bias))
                one += weight_at(bias, col + i);
            if (given(add))
                one += grad_at(add, at + i);
            put_grad(y, at + i, one);
            value[i] = one;
        }
    }
    return value;
}

// h[at], ... = value, likewise.
void give_out_h(f32 h, uint at, int valid, vec4 value)
{
    if (Y_VECTORS) {
        f32x4(uvec2(h)).v[at / 4u] = value;
        return;
    }
    [[unroll]] for (int i = 0; i < 4; i++)
        if (valid > i)
            h.v[at + i] = value[i];
}

#ifdef COOPMAT2
// Element [r, c] of the matrix whose first is y[row, col] of `rows`.
float give_out_element(const in uint r, const in uint c, const in float sum, const in uint row,
                       const in uint col, const in uint rows, const in uint y_from)
{
    uint i = row + r, j = col + c;
    if (i < rows && j < args.cols) {
        WEIGHTS bias = WEIGHTS(uvec2(args.bias));
        GRADS y = GRADS(uvec2(args.y)), add = GRADS(uvec2(args.add));
        uint at = y_from + i * args.cols + j;
        float value = sum;
        if (given(bias))
            value += weight_at(bias, j);
        if (given(add))
            value += grad_at(add, at);
        put_grad(y, at, value);
    }
    return sum;
}
#endif

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

    uint part_row = PART / PARTS_ACROSS * PART_ROWS;
    uint part_col = PART % PARTS_ACROSS * PART_COLS;
    uint a_pitch = strip_pitch(TILE_ROWS, A_BY_DEPTH), b_pitch = strip_pitch(TILE_COLS, B_BY_DEPTH);
    coopmat<float, SCOPE, M, N, gl_MatrixUseAccumulator> sum[ROW_STEPS * COL_STEPS];
    [[unroll]] for (uint i = 0; i < ROW_STEPS * COL_STEPS; i++)
        sum[i] = coopmat<float, SCOPE, M, N, gl_MatrixUseAccumulator>(0.0);

    eight_floats a_next[A_LOADS];
    EIGHT_WEIGHTS b_next[B_LOADS];
    // One turn more than there are strips: each loads one and multiplies the one before.
    for (uint k = k_begin; k_begin < depth; k += DEPTH) {
        if (k < depth) {
            [[unroll]] for (uint n = 0; n < A_LOADS; n++) {
                strip_load load = strip_of(local_index + n * local_size, TILE_ROWS, A_BY_DEPTH,
                                           a_stride, row, k, rows, depth);
                a_next[n] = load_eight_floats(a, load.at, load.valid, A_VECTORS);
            }
            [[unroll]] for (uint n = 0; n < B_LOADS; n++) {
                uint eight = local_index + n * local_size;
                strip_load load =
                    SWIGLU ? strip_of_halves(eight, b_stride, col, k, half_cols, depth)
                           : strip_of(eight, TILE_COLS, B_BY_DEPTH, b_stride, col, k, cols, depth);
                b_next[n] = load_eight_weights(b, load.at, load.valid, B_VECTORS);
            }
        }
        if (k > k_begin) {
            [[unroll]] for (uint d = 0; d < DEPTH; d += K) {
                coopmat<UNIT_FLOAT, SCOPE, M, K, gl_MatrixUseA> ak[ROW_STEPS];
                [[unroll]] for (uint i = 0; i < ROW_STEPS; i++) {
                    uint line = part_row + i * M;
                    if (A_BY_DEPTH)
                        coopMatLoad(ak[i], a_strip, line * a_pitch + d / 4u, a_pitch,
                                    gl_CooperativeMatrixLayoutRowMajor);
                    else
                        coopMatLoad(ak[i], a_strip, d * a_pitch + line / 4u, a_pitch,
                                    gl_CooperativeMatrixLayoutColumnMajor);
                }
                [[unroll]] for (uint j = 0; j < COL_STEPS; j++) {
                    uint line = part_col + j * N;
                    coopmat<UNIT_FLOAT, SCOPE, K, N, gl_MatrixUseB> bk;
                    if (B_BY_DEPTH)
                        coopMatLoad(bk, b_strip, line * b_pitch + d / 4u, b_pitch,
                                    gl_CooperativeMatrixLayoutColumnMajor);
                    else
                        coopMatLoad(bk, b_strip, d * b_pitch + line / 4u, b_pitch,
                                    gl_CooperativeMatrixLayoutRowMajor);
                    [[unroll]] for (uint i = 0; i < ROW_STEPS; i++)
                        sum[i * COL_STEPS + j] = coopMatMulAdd(ak[i], bk, sum[i * COL_STEPS + j]);
                }
            }
        }
        if (k >= depth)
            break;
        barrier(); // what was multiplied may be overwritten
        [[unroll]] for (uint n = 0; n < A_LOADS; n++) {
            uint slot = strip_slot(local_index + n * local_size, TILE_ROWS, A_BY_DEPTH);
            a_strip[slot] = low_half(a_next[n]);
            a_strip[slot + 1u] = high_half(a_next[n]);
        }
        [[unroll]] for (uint n = 0; n < B_LOADS; n++) {
            uint slot = strip_slot(local_index + n * local_size, TILE_COLS, B_BY_DEPTH);
            b_strip[slot] = low_half(b_next[n]);
            b_strip[slot + 1u] = high_half(b_next[n]);
        }
        barrier();
    }

#ifdef COOPMAT2
    coopMatPerElementNV(sum[0], sum[0], give_out_element, row + part_row, col + part_col, rows, y_from);
#else
    uint own = gl_SubgroupID * (M * OUT_PITCH);
    vec4 gate[OUT_VECTORS]; // SWIGLU: until up comes
    [[unroll]] for (uint i = 0; i < ROW_STEPS; i++) {
        [[unroll]] for (uint j = 0; j < COL_STEPS; j++) {
            coopMatStore(sum[i * COL_STEPS + j], out_matrix, own, OUT_PITCH,
                         gl_CooperativeMatrixLayoutRowMajor);
            subgroupBarrier();
            [[unroll]] for (uint v = 0; SWIGLU && v < OUT_VECTORS; v++) {
                uint n = gl_SubgroupInvocationID + v * PART_LANES;
                uvec2 at = uvec2(n / (N / 4u), n % (N / 4u));
                uint at_row = row + part_row + i * M + at.x;
                uint h_col = col + part_col / 2u + j / 2u * N + at.y * 4u;
                uint at_col = h_col + j % 2u * half_cols;
                int valid = int(half_cols) - int(h_col);
                if (n < M * N / 4u && at_row < rows && valid > 0) {
                    vec4 value = give_out(y, add, bias, at_row * cols + at_col, at_col, valid,
                                          out_matrix[own + at.x * OUT_PITCH + at.y]);
                    if (j % 2u == 0u)
                        gate[v] = value;
                    else if (given(args.h))
                        give_out_h(args.h, at_row * half_cols + h_col, valid,
                                   swiglu(gate[v], value));
                }
            }
            for (uint n = gl_SubgroupInvocationID; !SWIGLU && n < M * N / 4u; n += gl_SubgroupSize) {
                uvec2 at = uvec2(n / (N / 4u), n % (N / 4u));
                uint at_row = row + part_row + i * M + at.x;
                uint at_col = col + part_col + j * N + at.y * 4u;
                if (at_row < rows && at_col < cols)
                    give_out(y, add, bias, y_from + at_row * cols + at_col, at_col,
                             int(cols) - int(at_col), out_matrix[own + at.x * OUT_PITCH + at.y]);
            }
            subgroupBarrier();
        }
    }
#endif
}
