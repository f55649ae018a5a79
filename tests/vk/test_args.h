// Arguments of the test kernels, included by C and by GLSL after args.h.
#ifndef TRDPO_TEST_ARGS_H
#define TRDPO_TEST_ARGS_H

struct affine_args {
    ADDRESS(u32) y;
    uint count, factor, term;
};

struct number_args {
    ADDRESS(span_table) spans;
    uint count, shift, first;
};

struct sizes_args {
    ADDRESS(u32) y;
};

struct spin_args {
    ADDRESS(u32) y;
    uint turns;
};

#endif
