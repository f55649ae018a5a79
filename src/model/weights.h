// Weight arenas: copies of the model on the device, read from and written to safetensors.
#ifndef TRDPO_MODEL_WEIGHTS_H
#define TRDPO_MODEL_WEIGHTS_H

#include "hf/safetensors.h"
#include "model/layout.h"
#include "ops/update.h"
#include "vk/memory.h"

// How the elements of the layout are kept.
enum model_storage {
    MODEL_F32,
    MODEL_BF16,   // rounded to bf16
    MODEL_MASTER, // fp32 in two arenas: rounded to bf16, which kernels read, and the lower halves
};
// Bytes of an element, both arenas together; and the type that kernels see.
uint32_t model_storage_bytes(enum model_storage storage);
enum op_type model_storage_type(enum model_storage storage);

// One linear layer y = x w^T + bias as the kernels see it.
struct model_linear {
    vk_addr w, bias; // bias 0: none
    uint32_t in, out;
    enum op_type type; // of both
};

struct model_layer {
    vk_addr attention_norm, mlp_norm;
    enum op_type type; // of both
    struct model_linear qkv, out, gate_up, down;
};

// One copy in the model's layout: policy, gradient, moment or reference, with the addresses of its
// parts.
struct model_weights {
    struct vk_arena arena; // what kernels read
    struct vk_arena lower; // of MODEL_MASTER, else zeroed
    enum model_storage storage;
    enum op_type type;
    const struct model_layout *layout;
    vk_addr embed, final_norm, head;
    struct model_layer *layers;
};

// Bytes of one such copy on the device.
uint64_t model_weights_bytes(const struct model_layout *layout, enum model_storage storage);

// A zeroed copy. `name` appears in messages and in the memory plan. `layout` must outlive it.
bool model_weights_init(struct model_weights *w, struct vk_device *device,
                        const struct model_layout *layout, enum model_storage storage,
                        const char *name);
// A copy, of the storage given, that stands where another stands, whose elements are fp32 and must
// outlive it: who uses one must not use the other. Nothing is allocated but its tables of spans.
bool model_weights_init_within(struct model_weights *w, const struct model_weights *of,
                               enum model_storage storage);
void model_weights_finish(struct model_weights *w); // accepts a zeroed struct

// Reads every tensor of the layout from `path` (a safetensors file, or a folder with one or with
// shards), converting to fp32 and then to what is kept. `prefix` stands before each name in the
// file ("" for model files). A missing tensor, a wrong shape, or a value that is NaN or infinite is
// err_user naming file and tensor. Tensors that the model does not have are reported in one
// warning, in model files only.
bool model_weights_load(struct model_weights *w, const char *path, const char *prefix);

// Writes the tensors of one or several arenas into one safetensors file, whole or not at all, under
// their names with each arena's prefix before them. `metadata` as for hf_writer_create.
struct model_weights_part {
    const struct model_weights *weights;
    const char *prefix;
};
bool model_weights_save(const struct model_weights_part *parts, size_t count, const char *path,
                        enum dtype dtype, const char *const *metadata);

// Random values: norms 1, biases 0, the rest normal with the config's initializer_range. A tensor's
// values depend only on the seed, its name's place in the layout and its size.
bool model_weights_randomize(struct model_weights *w, uint64_t seed);

// As the kernels of updates see it.
struct op_arena model_weights_op(const struct model_weights *w);

// Copies all elements from one to another of the same layout and storage, on the device.
bool model_weights_copy(struct model_weights *to, const struct model_weights *from);

// Copies one tensor to or from host memory (tensor->count floats).
bool model_weights_read(const struct model_weights *w, const struct model_tensor *t, float *values);
bool model_weights_write(struct model_weights *w, const struct model_tensor *t,
                         const float *values);

#endif
