// The rows themselves, apart from how they are read.
#include "data/dataset.h"

#include "base/error.h"

void data_finish(struct data_set *set)
{
    ARRAY_FREE(&set->rows);
    ARRAY_FREE(&set->ids);
    for (size_t i = 0; i < set->file_count; i++)
        mem_free(set->files[i]);
    mem_free(set->files);
    ARRAY_FREE(&set->report.prompt_too_long);
    ARRAY_FREE(&set->report.identical);
    ARRAY_FREE(&set->report.empty);
    *set = (struct data_set){0};
}

const int32_t *data_prompt_ids(const struct data_set *set, const struct data_row *row)
{
    return set->ids.items + row->first;
}

const int32_t *data_completion_ids(const struct data_set *set, const struct data_row *row,
                                   int which)
{
    CHECK(which == 0 || which == 1);
    return set->ids.items + row->first + row->prompt + (which ? row->completion[0] : 0);
}
