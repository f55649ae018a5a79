// Arguments of the attention kernels. Included by args.h.
#ifndef TRDPO_ARGS_ATTENTION_H
#define TRDPO_ARGS_ATTENTION_H

#endif
