// Arguments of the log-prob head and of the preference loss. Included by args.h.
#ifndef TRDPO_ARGS_LOSS_H
#define TRDPO_ARGS_LOSS_H

#endif
