// Kinds of characters as the `tokenizers` library tells them. Internal to hf.
#ifndef TRDPO_HF_TOKENIZER_CHARS_H
#define TRDPO_HF_TOKENIZER_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Unicode's White_Space.
bool hf_is_space(uint32_t codepoint);

// What \w matches in Rust: letters, marks, digits, connectors, joiners.
bool hf_is_word(uint32_t codepoint);

// Bytes of white space at the start and at the end of a text (valid UTF-8).
size_t hf_space_at_start(const char *text, size_t len);
size_t hf_space_at_end(const char *text, size_t len);

// The first character, and the last, is one that hf_is_word(); false for an empty text.
bool hf_word_at_start(const char *text, size_t len);
bool hf_word_at_end(const char *text, size_t len);

#endif
