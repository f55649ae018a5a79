// steps[0] += 1. Grid: one workgroup. The last act of every submission, by which the host tells that
// the device really ran it.
#version 460
#include "common.glsl"

ARGS(counter_args);

void main()
{
    if (local_index == 0u)
        args.steps.v[0] += 1u;
}
