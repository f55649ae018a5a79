// tokenizer.json (Hugging Face `tokenizers`): byte-level BPE with its added tokens and template.
#ifndef TRDPO_HF_TOKENIZER_H
#define TRDPO_HF_TOKENIZER_H

#include "base/array.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hf_tokenizer;
struct hf_ids ARRAY_OF(int32_t); // token ids; release with ARRAY_FREE

// Loads tokenizer.json and, if present, tokenizer_config.json from a model folder. NULL on failure
// (err_user naming the file and the part that is wrong or not supported). The result is immutable:
// encoding and decoding from several threads at once is fine.
struct hf_tokenizer *hf_tokenizer_load(const char *dir);
void hf_tokenizer_destroy(struct hf_tokenizer *t);

// Appends the ids of `text` (UTF-8) to `out`, as `encode(text, add_special_tokens=add_special)`:
// with add_special the template post-processor is applied. Fails on invalid UTF-8.
bool hf_tokenizer_encode(const struct hf_tokenizer *t, const char *text, size_t len,
                         bool add_special, struct hf_ids *out);

// Appends the text of `ids`, as `decode(ids, skip_special_tokens=skip_special)`. Bytes that are not
// UTF-8 become U+FFFD as in the library. An id out of range is a failure.
bool hf_tokenizer_decode(const struct hf_tokenizer *t, const int32_t *ids, size_t count,
                         bool skip_special, struct str *out);

// The raw bytes that a single id stands for (byte-level undone), for streaming output and for the
// display of single tokens. Appended to `out`; nothing for ids out of range.
void hf_tokenizer_token_bytes(const struct hf_tokenizer *t, int32_t id, struct str *out);

// Largest id + 1, over vocabulary and added tokens.
int32_t hf_tokenizer_id_count(const struct hf_tokenizer *t);

// Id of a token's exact text, or -1.
int32_t hf_tokenizer_find(const struct hf_tokenizer *t, const char *token);

// Ids and texts of the special tokens that tokenizer_config.json names; -1 and NULL where it names
// none.
int32_t hf_tokenizer_bos(const struct hf_tokenizer *t);
int32_t hf_tokenizer_eos(const struct hf_tokenizer *t);
int32_t hf_tokenizer_pad(const struct hf_tokenizer *t);
const char *hf_tokenizer_bos_text(const struct hf_tokenizer *t);
const char *hf_tokenizer_eos_text(const struct hf_tokenizer *t);

// True if the post-processor puts the BOS token first.
bool hf_tokenizer_adds_bos(const struct hf_tokenizer *t);

// The chat template's Jinja text (tokenizer_config.json, or chat_template.jinja beside it), or
// NULL.
const char *hf_tokenizer_chat_template(const struct hf_tokenizer *t);

#endif
