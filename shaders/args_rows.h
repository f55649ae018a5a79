// Arguments of the kernels by rows: norm, rotary positions, SwiGLU, embedding, gather, fill, copy.
// Included by args.h.
#ifndef TRDPO_ARGS_ROWS_H
#define TRDPO_ARGS_ROWS_H

// Words that a workgroup of the fill and copy kernels covers.
#define FILL_WORDS_PER_GROUP 4096

struct fill_args {
    ADDRESS(u32) y;
    uint count, word;
};

#endif
