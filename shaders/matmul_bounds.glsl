// Rows and depth in use, of args with rows, depth, live, live_from and live_depth.
void matmul_bounds(u32 live_at, uint live_from, bool live_depth, inout uint rows, inout uint depth)
{
    if (given(live_at)) {
        uint live = live_at.v[0];
        live = live > live_from ? live - live_from : 0u;
        if (live_depth)
            depth = min(depth, live);
        else
            rows = min(rows, live);
    }
}
