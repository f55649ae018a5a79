// A small model with random weights and a tokenizer of its own, as the demo and the study begin
// with. And the files they write.
#ifndef TRDPO_CLI_LAB_START_H
#define TRDPO_CLI_LAB_START_H

#include "base/str.h"
#include "vk/device.h"

#include <stdbool.h>
#include <stdint.h>

struct lab_start {
    const char *dir; // made if need be
    struct vk_device *device;
    uint64_t seed; // of the weights
    // Calls `each` for every word that is to be one token, with the blank before it where it has
    // one in texts. Words may come several times.
    void (*words)(void (*each)(void *ctx, const char *word), void *ctx);
    uint32_t hidden, intermediate, layers, heads, kv_heads, head_size, positions;
};

// Writes config.json, tokenizer.json, tokenizer_config.json and model.safetensors: a Llama with an
// untied head, byte-level BPE that knows the words, the end token "<|end|>" with id 0.
bool lab_write_start(const struct lab_start *s);

// Writes DIR/NAME whole, and frees the text.
bool lab_write_text(const char *dir, const char *name, struct str *text);

// Appends `"name": "value"` to a line of JSON, with the brace or comma that belongs before it, and
// frees the value. The caller closes the line with "}\n".
void lab_append_member(struct str *out, const char *name, struct str *value);

#endif
