// Arguments of the matrix products. Included by args.h.
//
// All compute y[i, j] = sum over k of a(i, k) b(k, j) + bias[j] + add[i, j] for i < rows, j < cols,
// k < depth. `live`, less `live_from`, bounds the rows, or the depth where live_depth is 1.
//
// Products of matmul_shared and matmul_coopmat may end in SwiGLU, by a specialization constant: the
// columns of y are those of gate and then of up, cols / 2 of each, and h[i, j], a matrix of as
// many, is swiglu(y[i, j], y[i, cols / 2 + j]), where h is given.
#ifndef TRDPO_ARGS_MATMUL_H
#define TRDPO_ARGS_MATMUL_H

// matmul_plain, matmul_shared, matmul_coopmat: a(i, k) is a[i * a_row + k * a_col], b(k, j) is
// b[k * b_row + j * b_col].
struct matmul_args {
    ADDRESS(f32) y;
    ADDRESS(f32) a;
    ADDRESS(f32) b;
    ADDRESS(f32) bias;
    ADDRESS(f32) add;
    ADDRESS(f32) h;
    ADDRESS(u32) live;
    uint rows, cols, depth;
    uint a_row, a_col, b_row, b_col;
    uint live_from, live_depth;
    uint slice; // depth of one slice where the sum is cut into several (grid z), else 0
};

// matmul_coopmat: matmul_args, and how operands lie, in a specialization constant.
#define MATMUL_COOPMAT_DEPTH 32 // of a strip
#define MATMUL_A_BY_DEPTH 1u    // neighbours in memory differ in k
#define MATMUL_B_BY_DEPTH 2u
#define MATMUL_A_VECTORS 4u // takes loads of eight that begin at a multiple of eight
#define MATMUL_B_VECTORS 8u
#define MATMUL_Y_VECTORS 16u // y, add, bias and h take vectors of four, and rows are made of such
#define MATMUL_SWIGLU 32u    // with MATMUL_B_BY_DEPTH, parts that are multiples of 2 N; no slices

// Depth of the panels is a multiple of this; what lies beyond the operand's own depth is zero.
#define MATMUL_DEPTH_STEP 8

// matmul_direct: a and b are panels made by matmul_pack. y and add have rows of y_stride.
struct matmul_direct_args {
    ADDRESS(f32) y;
    ADDRESS(f32) bias;
    ADDRESS(f32) add;
    ADDRESS(u32x2) a;
    ADDRESS(u32x2) b;
    ADDRESS(u32) live;
    uint rows, cols, depth;
    uint y_stride;
    uint live_from, live_depth;
};

// matmul_pack: `outer` rows of a, or columns of b, by `depth`. The operand's element (o, k) is
// from[o * stride + k], or from[k * stride + o], by a specialization constant.
#define MATMUL_PACK_DEPTH 128 // of a workgroup
struct matmul_pack_args {
    ADDRESS(f32) from;
    ADDRESS(u32x2) to;
    ADDRESS(u32) live;
    uint outer, depth;
    uint stride;
    uint live_from, live_depth;
};

// matmul_sum: y = sums over `slices` of partial[slice][i][j], + bias + add.
struct matmul_sum_args {
    ADDRESS(f32) y;
    ADDRESS(f32) partial;
    ADDRESS(f32) bias;
    ADDRESS(f32) add;
    ADDRESS(u32) live;
    uint rows, cols, slices;
    uint live_from, live_depth;
};

// column_sums: sums[j] += sum of x[i, j] over rows i.
struct column_sums_args {
    ADDRESS(f32) sums;
    ADDRESS(f32) x;
    ADDRESS(u32) live;
    uint rows, cols;
};

#endif
