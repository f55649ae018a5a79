// (a, b) = (x[i], x[i + D/2]) becomes (a c - b s, b c + a s) with (c, s) = table[position][i], for
// i < D/2 of each head; sign -1 rotates back. In place. Grid: groups(T).
#version 460
#include "common.glsl"
#include "read_ahead.glsl"

ARGS(rope_args);

void main()
{
    f32 x = args.x, table = args.table;
    uint row = group_index();
    if (row >= live_rows(args.live, uvec2(args.positions), args.rows))
        return;
    uint heads = args.heads, head_dim = args.head_dim, half_dim = head_dim / 2u;
    uint at = row * args.stride, angles = args.positions.v[row] * head_dim;
    float sign = args.sign;
    READ_AHEAD(x, at, heads * head_dim);

    // An invocation keeps its angle for all its heads; where heads are shorter than the workgroup,
    // it works on `ways` of them at once.
    uint ways = max(local_size / half_dim, 1u);
    uint way = ways > 1u ? local_index / half_dim : 0u;
    uint turned = way < ways ? half_dim : 0u;
    for (uint i = local_index - way * half_dim; i < turned; i += local_size) {
        float c = table.v[angles + 2u * i], s = table.v[angles + 2u * i + 1u] * sign;
        for (uint h = way; h < heads; h += ways) {
            uint first = at + h * head_dim + i, second = first + half_dim;
            float a = x.v[first], b = x.v[second];
            x.v[first] = a * c - b * s;
            x.v[second] = b * c + a * s;
        }
    }
    END_READ_AHEAD(heads == 0u, x);
}
