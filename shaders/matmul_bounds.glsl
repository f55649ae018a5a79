// Rows and depth in use, of args with rows, depth, live, live_from and live_depth.
void matmul_bounds(u32 live, uvec2 valid, uint live_from, bool live_depth, inout uint rows,
                   inout uint depth)
{
    if (live_depth)
        depth = live_rows_from(live, valid, live_from, depth);
    else
        rows = live_rows_from(live, valid, live_from, rows);
}
