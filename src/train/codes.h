// AdamW's moments in 8 bits (op_adamw_8bit): two arenas of codes, one byte an element, in the
// layout of the weights, and the scales of their blocks.
#ifndef TRDPO_TRAIN_CODES_H
#define TRDPO_TRAIN_CODES_H

#include "model/layout.h"
#include "vk/memory.h"

struct train_codes {
    const struct model_layout *layout;
    struct vk_arena m, v;   // codes of the first moment, and of the second one's root
    struct vk_arena scales; // one span
    vk_addr scales_at;
};

// Bytes on the device: 2 a weight, and 8 for each 256 weights.
uint64_t train_codes_bytes(const struct model_layout *layout);

// Moments of zero. `layout` must outlive them.
bool train_codes_init(struct train_codes *codes, struct vk_device *device,
                      const struct model_layout *layout);
void train_codes_finish(struct train_codes *codes); // accepts a zeroed struct

// Writes optimizer.safetensors: the codes as U8 tensors under the weights' names behind "exp_avg."
// and "exp_avg_sq.", the scales as F32 tensor "scales" [blocks, 2]. Whole or not at all.
bool train_codes_save(const struct train_codes *codes, const char *path);
// Brings back the very bits. err_user naming file and tensor where one is missing, of another shape
// or holds what no code or scale can be.
bool train_codes_load(struct train_codes *codes, const char *path);

// err_user if the file at `path` holds moments of the other kind than `coded` says.
bool train_codes_check_kind(const struct model_layout *layout, const char *path, bool coded);

#endif
