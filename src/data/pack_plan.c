// First fit: each row goes into the first pack that has room for it.
#include "data/pack.h"

#include "base/error.h"
#include "base/mem.h"

// Room left in packs, as a tournament tree: node n holds the larger of its children 2n and 2n + 1,
// leaf `leaves + i` the room of pack i. Packs not begun have all their room, so the search always
// ends, and the first pack that fits is found in log(packs) steps.
static uint32_t take_first(uint32_t *room, uint32_t leaves, uint32_t slots)
{
    uint32_t n = 1;
    while (n < leaves)
        n = room[2 * n] >= slots ? 2 * n : 2 * n + 1;
    uint32_t pack = n - leaves;
    room[n] -= slots;
    while (n /= 2)
        room[n] = room[2 * n] > room[2 * n + 1] ? room[2 * n] : room[2 * n + 1];
    return pack;
}

uint32_t data_pack_plan(const struct data_set *set, const uint32_t *order, size_t count,
                        uint32_t tokens, uint32_t *pack_of)
{
    uint32_t leaves = 1, packs = 0;
    while (leaves < count)
        leaves *= 2;
    uint32_t *room = MEM_ARRAY(uint32_t, 2 * (size_t)leaves);
    for (uint32_t i = 0; i < 2 * leaves; i++)
        room[i] = tokens;
    for (size_t i = 0; i < count; i++) {
        CHECK(order[i] < set->rows.count);
        uint32_t slots = data_row_slots(&set->rows.items[order[i]]);
        CHECK(slots <= tokens);
        pack_of[i] = take_first(room, leaves, slots);
        if (pack_of[i] >= packs) packs = pack_of[i] + 1;
    }
    mem_free(room);
    return packs;
}
