// y = workgroup size, subgroup size, constants 1 to 3. Grid: one workgroup.
#version 460
#include "common.glsl"
#include "test_args.h"

layout(constant_id = 1) const uint option1 = 101;
layout(constant_id = 2) const uint option2 = 102;
layout(constant_id = 3) const uint option3 = 103;

ARGS(sizes_args);

void main()
{
    if (local_index == 0u) {
        args.y.v[0] = local_size;
        args.y.v[1] = gl_SubgroupSize;
        args.y.v[2] = option1;
        args.y.v[3] = option2;
        args.y.v[4] = option3;
    }
}
