// A pack on the device: token ids, positions, attention ranges, scored positions, scatter lists.
#ifndef TRDPO_MODEL_BATCH_H
#define TRDPO_MODEL_BATCH_H

#include "data/pack.h"
#include "vk/memory.h"

// Addresses of the arrays of a data_pack (same names), which stand in one block so that one copy
// brings a new pack while the recorded commands stay. The live counts are what kernels bound
// their rows by.
struct model_batch {
    uint32_t tokens, scored, sequences; // capacities T, S, R
    vk_addr block;
    uint64_t block_bytes;
    vk_addr counts;                                                // struct pack_counts
    vk_addr live_tokens, live_scored, live_sequences, live_unique; // into counts
    vk_addr ids, positions, spans, key_end;
    vk_addr scored_slot, scored_target, sequence_first, labels;
    vk_addr slot_scored_first, slot_scored;
    vk_addr unique_ids, unique_first, unique_slots;
};

// Takes the block from `arena` (which may be measuring) for packs of the given capacities.
void model_batch_layout(struct model_batch *b, struct vk_arena *arena, uint32_t tokens,
                        uint32_t scored, uint32_t sequences);

// Where a pack stands in its step and its batch; see struct pack_counts.
struct model_batch_place {
    uint32_t first_row;               // rows of the step in earlier packs
    uint32_t batch_first, batch_rows; // the rows of its batch within the step
    uint32_t batch_tokens;            // chosen tokens of its batch
};

// Queues the copy of a closed pack to the device, in order with submissions. Capacities must match.
bool model_batch_upload(const struct model_batch *b, struct vk_device *device,
                        const struct data_pack *pack, const struct model_batch_place *place);

#endif
