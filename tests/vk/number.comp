// Element i of an arena = first + i for i < count, through the arena's table of spans. Assigns.
// Grid: items in workgroups.
#version 460
#include "common.glsl"
#include "test_args.h"

ARGS(number_args);

void main()
{
    // A workgroup's elements are in one span, as those of the arena kernels are.
    uint first = group_index() * local_size, i = first + local_index;
    if (i < args.count)
        u32(args.spans.v[first >> args.shift]).v[i & ((1u << args.shift) - 1u)] = args.first + i;
}
