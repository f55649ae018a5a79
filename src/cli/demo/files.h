// The files that the demo makes before it trains: a model with random weights and its tokenizer,
// corpus, preferences, configurations.
#ifndef TRDPO_CLI_DEMO_FILES_H
#define TRDPO_CLI_DEMO_FILES_H

#include "vk/device.h"

#include <stdbool.h>
#include <stdint.h>

// Subjects whose prompts are in the corpus but not among the preferences: those that the judge asks
// for.
bool demo_is_held_out(uint32_t subject);

// Into DIR: start/ (config.json, tokenizer.json, tokenizer_config.json, model.safetensors),
// corpus.jsonl, preferences.jsonl, held_out.jsonl, sft.yaml, tr-dpo.yaml, dpo.yaml.
bool demo_write_files(const char *dir, struct vk_device *device, uint64_t seed);

#endif
