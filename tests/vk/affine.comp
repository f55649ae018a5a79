// y[i] = y[i] * factor + term modulo 2^32 for i < count: two such steps do not commute, so a lost or
// swapped one shows. Grid: items in workgroups.
#version 460
#include "common.glsl"
#include "test_args.h"

ARGS(affine_args);

void main()
{
    uint i = group_index() * local_size + local_index;
    if (i < args.count)
        args.y.v[i] = args.y.v[i] * args.factor + args.term;
}
