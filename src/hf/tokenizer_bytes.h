// The byte-level alphabet (each byte as a printable character) and the repair of broken UTF-8.
// Internal to hf.
#ifndef TRDPO_HF_TOKENIZER_BYTES_H
#define TRDPO_HF_TOKENIZER_BYTES_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The character (below U+0144) that stands for a byte.
uint32_t hf_byte_char(uint8_t byte);

// The byte that a character stands for, or -1 if it is not of the alphabet.
int hf_char_byte(uint32_t codepoint);

// Appends each byte's character as UTF-8.
void hf_bytes_map(struct str *out, const char *bytes, size_t len);

// Appends the bytes that `text` (UTF-8) stands for; if a character of it is not of the alphabet,
// appends the text as it is.
void hf_bytes_unmap(struct str *out, const char *text, size_t len);

// Appends bytes as UTF-8, with U+FFFD for each maximal part of an ill-formed sequence (the
// Unicode standard's recommended practice, and what Rust's from_utf8_lossy does).
void hf_append_lossy(struct str *out, const char *bytes, size_t len);

#endif
