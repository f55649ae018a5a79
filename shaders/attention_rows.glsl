// Rows of a workgroup that works through shared memory: those that it owns, TILE_OWN of them, and the
// other side's. Included after TILE_OWN and D are set.
#ifndef TRDPO_ATTENTION_ROWS_GLSL
#define TRDPO_ATTENTION_ROWS_GLSL

#include "attention.glsl"

shared uvec4 own_ranges[TILE_OWN];
shared uvec2 own_rows[TILE_OWN]; // slot and head

// Rows in memory: the one of slot t and a head begins at t * stride + head * D.
struct rows_ref {
    f32 base;
    uint stride;
};

vec2 row_pair(rows_ref rows, uint slot, uint head, uint d)
{
    return f32x2(rows.base).v[(slot * rows.stride + head * D + d) / 2];
}

// The other rows of a tile: slots from `slot` on, of one head, of which those before `end` count;
// the rest repeats the last.
struct other_rows {
    uint slot, end, head;
};

// The next run of slots in some own row's ranges; see attention_direct.glsl. The same in every
// invocation.
bool next_run(uint from, out uint begin, out uint end)
{
    begin = NO_SLOT;
    end = 0;
    [[dont_unroll]] for (uint r = 0; r < TILE_OWN; r++)
        begin = min(begin, next_slot(own_ranges[r], from));
    [[dont_unroll]] for (uint r = 0; r < TILE_OWN; r++)
        end = max(end, run_end(own_ranges[r], begin));
    return begin != NO_SLOT;
}

// The same from the end: the last run before the slot `before`.
bool last_run(uint before, out uint begin, out uint end)
{
    begin = NO_SLOT;
    end = 0;
    [[dont_unroll]] for (uint r = 0; r < TILE_OWN; r++)
        end = max(end, last_end(own_ranges[r], before));
    if (end == 0)
        return false;
    [[dont_unroll]] for (uint r = 0; r < TILE_OWN; r++)
        begin = min(begin, run_begin(own_ranges[r], end - 1));
    return true;
}

#endif
