// Arguments of the kernels by rows: norm, rotary positions, SwiGLU, embedding, gather, fill, copy.
// Included by args.h.
#ifndef TRDPO_ARGS_ROWS_H
#define TRDPO_ARGS_ROWS_H

// 32-bit words that a workgroup of fill, copy and add covers.
#define FILL_WORDS_PER_GROUP 4096
// Columns of a row that a workgroup covers where the work has no reduction.
#define ROW_COLS_PER_GROUP 1024
// Groups of rows that the sum of a norm's weight gradient is split into, at most, and the rows of a
// group, at least.
#define RMSNORM_PARTIALS 64
#define RMSNORM_PARTIAL_ROWS 16
// Columns that a workgroup of the kernels for that sum covers.
#define RMSNORM_COLS_PER_GROUP 64

struct fill_args {
    ADDRESS(u32) y;
    uint count, word;
};

struct copy_args {
    ADDRESS(u32) y, x;
    uint count;
};

struct add_args {
    ADDRESS(f32) y, a, b;
    uint count;
};

struct embed_fwd_args {
    ADDRESS(f32) x, weight;
    ADDRESS(u32) ids, live;
    uint rows, cols;
};

struct embed_bwd_args {
    ADDRESS(f32) dweight, dx;
    ADDRESS(u32) unique_ids, unique_first, unique_slots, live;
    uint unique, cols;
};

struct rmsnorm_fwd_args {
    ADDRESS(f32) y, rstd, x, w;
    ADDRESS(u32) live;
    uint rows, cols;
    float eps;
};

struct rmsnorm_bwd_args {
    ADDRESS(f32) dx, dy, x, w, rstd, add;
    ADDRESS(u32) live;
    uint rows, cols;
};

struct rmsnorm_bwd_dw_args {
    ADDRESS(f32) partial, dy, x, rstd;
    ADDRESS(u32) live;
    uint rows, cols, group_rows; // group_rows: rows of a partial sum
};

struct rmsnorm_bwd_dw_sum_args {
    ADDRESS(f32) dw, partial;
    uint partials, cols;
};

struct rope_args {
    ADDRESS(f32) x, table;
    ADDRESS(u32) positions, live;
    uint rows, heads, head_dim, stride;
    float sign; // of the angle: 1 or -1
};

struct swiglu_fwd_args {
    ADDRESS(f32) h, gate_up;
    ADDRESS(u32) live;
    uint rows, cols;
};

struct swiglu_bwd_args {
    ADDRESS(f32) dgate_up, h, dh, gate_up;
    ADDRESS(u32) live;
    uint rows, cols;
};

struct gather_rows_args {
    ADDRESS(f32) y, x;
    ADDRESS(u32) index, live;
    uint rows, cols, y_stride, x_stride;
};

struct gather_rows_bwd_args {
    ADDRESS(f32) dx, dy;
    ADDRESS(u32) first, list, live;
    uint rows, cols;
};

#endif
