#include "data/padding.h"

#include "data/pack.h"

struct data_token_counts data_count_tokens(const struct data_set *set, uint32_t batch_size)
{
    struct data_token_counts counts = {0};
    for (size_t first = 0; first < set->rows.count; first += batch_size) {
        size_t rest = set->rows.count - first, rows = rest < batch_size ? rest : batch_size;
        uint64_t sequences = 0, longest = 0;
        for (size_t i = 0; i < 2 * rows; i++) {
            const struct data_row *row = &set->rows.items[first + i / 2];
            uint64_t completion = row->completion[i % 2], length = row->prompt + completion;
            if (i % 2 == 0) counts.slots += data_row_slots(row);
            if (!completion) continue;
            sequences++;
            counts.rows += length;
            if (length > longest) longest = length;
        }
        counts.padded += sequences * longest;
    }
    return counts;
}
