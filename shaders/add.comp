// y[i] = a[i] + b[i] for i < count. Assigns; y may be a or b. Grid: one workgroup for
// FILL_WORDS_PER_GROUP elements.
#version 460
#include "common.glsl"
#include "read_ahead.glsl"

ARGS(add_args);

void main()
{
    f32 y = args.y, a = args.a, b = args.b;
    uint begin = group_index() * FILL_WORDS_PER_GROUP;
    uint end = min(begin + FILL_WORDS_PER_GROUP, args.count);
    if (begin >= end)
        return;
    READ_AHEAD(a, begin, end - begin);
    READ_AHEAD(b, begin, end - begin);
    for (uint i = begin + local_index; i < end; i += local_size)
        y.v[i] = a.v[i] + b.v[i];
    END_READ_AHEAD(args.count == 0u, y);
}
