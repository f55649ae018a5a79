// One safetensors file, checked from end to end before anything else reads it. Internal to hf.
#ifndef TRDPO_HF_SAFETENSORS_FILE_H
#define TRDPO_HF_SAFETENSORS_FILE_H

#include "base/array.h"
#include "base/file.h"
#include "hf/safetensors.h"

// A tensor as the header has it. Those of a dtype that enum dtype lacks have `listed` false: they
// are checked and found by name, but have no place in the list that callers see.
struct hf_entry {
    struct hf_tensor tensor; // its name is the heap's
    bool listed;
};
struct hf_entries ARRAY_OF(struct hf_entry);

struct hf_pair {
    char *key, *value;
};
struct hf_pairs ARRAY_OF(struct hf_pair);

// Maps `path`, checks header and ranges, and appends the file's tensors to `entries`, sorted by
// name, and its metadata to `metadata` (NULL: not wanted). `path` must outlive the entries. On
// failure both arrays may hold some of the file's content, for the caller to free as ever.
bool hf_file_open(struct file_map *map, const char *path, struct hf_entries *entries,
                  struct hf_pairs *metadata);

// qsort order of struct hf_entry by name.
int hf_entry_compare(const void *a, const void *b);

#endif
