// A model folder as transformers writes it: the files beside the weights.
#ifndef TRDPO_HF_FOLDER_H
#define TRDPO_HF_FOLDER_H

#include "base/dtype.h"

#include <stdbool.h>

// Copies from `source` what makes `target` a complete folder: config.json with only dtype (in the
// spelling it had: torch_dtype or dtype) changed where it differs from `dtype`,
// generation_config.json if any, and the tokenizer files (tokenizer.json, tokenizer_config.json,
// special_tokens_map.json, added_tokens.json, vocab.json, merges.txt, chat_template.jinja) byte for
// byte. `target` must exist. Files already equal in place are left. Weights are not touched.
bool hf_folder_copy(const char *source, const char *target, enum dtype dtype);

// The same for a folder made from a bare config.json and a folder with tokenizer files (`init`).
bool hf_folder_create(const char *config_path, const char *tokenizer_dir, const char *target,
                      enum dtype dtype);

#endif
