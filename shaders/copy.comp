// y[i] = x[i] for i < count. Assigns. Grid: one workgroup for FILL_WORDS_PER_GROUP words.
#version 460
#include "common.glsl"
#include "read_ahead.glsl"

ARGS(copy_args);

void main()
{
    u32 y = args.y, x = args.x;
    uint begin = group_index() * FILL_WORDS_PER_GROUP;
    uint end = min(begin + FILL_WORDS_PER_GROUP, args.count);
    if (begin >= end)
        return;
    READ_AHEAD(x, begin, end - begin);
    for (uint i = begin + local_index; i < end; i += local_size)
        y.v[i] = x.v[i];
    END_READ_AHEAD(args.count == 0u, y);
}
