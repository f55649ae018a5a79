// tokenizer_config.json and chat_template.jinja: names of the special tokens, chat template.
// Internal to hf.
#ifndef TRDPO_HF_TOKENIZER_CONFIG_H
#define TRDPO_HF_TOKENIZER_CONFIG_H

#include <stdbool.h>

// Heap strings, NULL where there is none.
struct hf_tokenizer_config {
    char *bos, *eos, *pad, *chat_template;
};

// Reads what a model folder has of the two files; both may be absent.
bool hf_tokenizer_config_load(struct hf_tokenizer_config *config, const char *dir);
void hf_tokenizer_config_finish(struct hf_tokenizer_config *config);

#endif
