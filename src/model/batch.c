#include "model/batch.h"

#include "../shaders/args.h"
#include "base/error.h"
#include "base/mem.h"

#include <stddef.h>
#include <string.h>

#define ALIGN 256
#define UPLOAD_BYTES ((uint64_t)8 << 20) // a vk_upload()

// One array of the block: where its address goes, and its bytes at full capacity.
struct field {
    vk_addr *addr;
    uint64_t bytes;
};

enum { FIELDS = 14 };

static void fields(struct model_batch *b, struct field out[FIELDS])
{
    uint64_t T = b->tokens, S = b->scored, R = b->sequences, word = sizeof(uint32_t);
    const struct field all[FIELDS] = {
        {&b->counts, sizeof(struct pack_counts)},
        {&b->ids, T * word},
        {&b->positions, T * word},
        {&b->spans, T * sizeof(struct token_span)},
        {&b->key_end, T * word},
        {&b->scored_slot, S * word},
        {&b->scored_target, S * word},
        {&b->sequence_first, (R + 1) * word},
        {&b->labels, R * word},
        {&b->slot_scored_first, (T + 1) * word},
        {&b->slot_scored, S * word},
        {&b->unique_ids, T * word},
        {&b->unique_first, (T + 1) * word},
        {&b->unique_slots, T * word},
    };
    memcpy(out, all, sizeof all);
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

void model_batch_layout(struct model_batch *b, struct vk_arena *arena, uint32_t tokens,
                        uint32_t scored, uint32_t sequences)
{
    *b = (struct model_batch){.tokens = tokens, .scored = scored, .sequences = sequences};
    struct field f[FIELDS];
    fields(b, f);
    for (int i = 0; i < FIELDS; i++)
        b->block_bytes += aligned(f[i].bytes);
    b->block = vk_arena_alloc(arena, b->block_bytes);
    vk_addr at = b->block;
    for (int i = 0; i < FIELDS; i++) {
        *f[i].addr = at;
        at += aligned(f[i].bytes);
    }
    b->live_tokens = b->counts + offsetof(struct pack_counts, tokens);
    b->live_scored = b->counts + offsetof(struct pack_counts, scored);
    b->live_sequences = b->counts + offsetof(struct pack_counts, sequences);
    b->live_unique = b->counts + offsetof(struct pack_counts, unique);
}

bool model_batch_upload(const struct model_batch *b, struct vk_device *device,
                        const struct data_pack *pack, const struct model_batch_place *place)
{
    CHECK(pack->token_capacity == b->tokens && pack->scored_capacity == b->scored &&
          pack->sequence_capacity == b->sequences);
    CHECK(sizeof(struct data_span) == sizeof(struct token_span));
    struct pack_counts counts = {.tokens = pack->tokens,
                                 .scored = pack->scored,
                                 .sequences = pack->sequences,
                                 .rows = pack->rows,
                                 .unique = pack->unique,
                                 .first_row = place->first_row,
                                 .batch_first = place->batch_first,
                                 .batch_rows = place->batch_rows,
                                 .batch_tokens = place->batch_tokens};
    const void *sources[FIELDS] = {
        &counts,
        pack->ids,
        pack->positions,
        pack->spans,
        pack->key_end,
        pack->scored_slot,
        pack->scored_target,
        pack->sequence_first,
        pack->labels,
        pack->slot_scored_first,
        pack->slot_scored,
        pack->unique_ids,
        pack->unique_first,
        pack->unique_slots,
    };
    struct model_batch copy = *b;
    struct field f[FIELDS];
    fields(&copy, f);
    uint8_t *block = mem_calloc(b->block_bytes, 1);
    uint64_t at = 0;
    for (int i = 0; i < FIELDS; i++) {
        memcpy(block + at, sources[i], f[i].bytes);
        at += aligned(f[i].bytes);
    }
    bool ok = true;
    for (at = 0; ok && at < b->block_bytes; at += UPLOAD_BYTES) {
        uint64_t left = b->block_bytes - at;
        ok =
            vk_upload(device, b->block + at, block + at, left < UPLOAD_BYTES ? left : UPLOAD_BYTES);
    }
    mem_free(block);
    return ok;
}
