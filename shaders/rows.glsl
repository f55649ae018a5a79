// Kernels whose work on a row has no reduction share out its columns too, so that one long row is
// not one workgroup's. Their grid is row_parts() of src/ops/rows.c.
#ifndef TRDPO_ROWS_GLSL
#define TRDPO_ROWS_GLSL

struct row_part {
    uint row, begin, end; // columns [begin, end) of a row; the row may lie beyond those in use
};

row_part this_row_part(uint cols)
{
    uint parts = (cols + ROW_COLS_PER_GROUP - 1u) / ROW_COLS_PER_GROUP;
    uint index = group_index();
    uint row = index / parts;
    uint begin = (index - row * parts) * ROW_COLS_PER_GROUP;
    return row_part(row, begin, min(begin + ROW_COLS_PER_GROUP, cols));
}

#endif
