// Element i of an arena = first + i for i < count, through the arena's table of spans. Assigns.
// Grid: items in workgroups.
#version 460
#include "common.glsl"
#include "test_args.h"

ARGS(number_args);

void main()
{
    uint i = group_index() * local_size + local_index;
    if (i < args.count)
        u32(args.spans.v[i >> args.shift]).v[i & ((1u << args.shift) - 1u)] = args.first + i;
}
