// Arguments of the matrix products. Included by args.h.
#ifndef TRDPO_ARGS_MATMUL_H
#define TRDPO_ARGS_MATMUL_H

#endif
