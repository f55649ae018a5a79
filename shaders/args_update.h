// Arguments of the updates over whole arenas: gradient norm, AdamW, reference. Included by args.h.
#ifndef TRDPO_ARGS_UPDATE_H
#define TRDPO_ARGS_UPDATE_H

#endif
