// safetensors: 8 bytes little-endian header length, JSON header, tensor data.
//
// Files are hostile until checked: the header must be JSON of at most 100 MB, every tensor must
// have a known dtype, a shape whose byte count matches its offsets without overflow, and the data
// ranges must lie in the file, and neither overlap nor leave holes.
#ifndef TRDPO_HF_SAFETENSORS_H
#define TRDPO_HF_SAFETENSORS_H

#include "base/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_MAX_DIMS 8

struct hf_tensor {
    const char *name;
    enum dtype dtype;
    int dims;
    int64_t shape[HF_MAX_DIMS];
    uint64_t count;   // elements
    const void *data; // in the mapped file, any alignment
    const char *file; // path, for messages
};

// A model's tensors: one file, or a folder's shards. Mapped, not read.
struct hf_tensors;

// `path`: a .safetensors file, or a folder holding model.safetensors or
// model.safetensors.index.json with its shards (an index that names a missing shard, a shard that
// lacks a tensor the index gives it, or a name found twice are failures; shard names may not leave
// the folder). NULL on failure. Tensors of a dtype that enum dtype lacks (I64, BOOL, F64 ...) are
// checked like the others but are not listed.
struct hf_tensors *hf_tensors_open(const char *path);
void hf_tensors_close(struct hf_tensors *t);

size_t hf_tensors_count(const struct hf_tensors *t);
const struct hf_tensor *hf_tensors_at(const struct hf_tensors *t, size_t i); // sorted by name
const struct hf_tensor *hf_tensors_find(const struct hf_tensors *t, const char *name); // or NULL
const char *hf_tensors_path(const struct hf_tensors *t);
// A string of the file's "__metadata__" (single files), or NULL.
const char *hf_tensors_metadata(const struct hf_tensors *t, const char *key);

// Writing: declare every tensor, then give their data in the order declared. The file appears whole
// or not at all. `metadata` is {key, value, ..., NULL} or NULL. Data start is padded to 64 bytes.
struct hf_tensor_decl {
    const char *name;
    enum dtype dtype;
    int dims;
    int64_t shape[HF_MAX_DIMS];
};
struct hf_writer;
struct hf_writer *hf_writer_create(const char *path, const struct hf_tensor_decl *tensors,
                                   size_t count, const char *const *metadata);
// Appends `count` floats to the current tensor, encoded in its dtype; moves on when it is full.
bool hf_writer_put(struct hf_writer *w, const float *values, size_t count);
bool hf_writer_commit(struct hf_writer *w); // frees w; fails if data is missing
void hf_writer_abort(struct hf_writer *w);  // frees w, removes the temporary; NULL accepted

#endif
