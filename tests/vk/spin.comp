// y[0] stepped `turns` times through a generator of random numbers: takes time. Grid: one workgroup.
#version 460
#include "common.glsl"
#include "test_args.h"

ARGS(spin_args);

void main()
{
    uint x = args.y.v[0];
    for (uint i = 0; i < args.turns; i++)
        x = (x ^ (x >> 13)) * 1664525u + 1013904223u;
    if (local_index == 0u)
        args.y.v[0] = x;
}
