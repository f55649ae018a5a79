// Byte strings that grow, UTF-8 checks, and the nearest name to a misspelt one.
#ifndef TRDPO_BASE_STR_H
#define TRDPO_BASE_STR_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A growing byte string. Zero-initialise; `data` is NUL-terminated once anything was appended, and
// may hold NUL bytes inside. Release with str_finish().
struct str {
    char *data;
    size_t len, cap;
};

void str_append(struct str *s, const char *text);
void str_append_bytes(struct str *s, const void *bytes, size_t len);
void str_append_char(struct str *s, char c);
void str_appendf(struct str *s, const char *fmt, ...) BASE_PRINTF(2, 3);

// The text so far, "" if nothing was appended. Owned by `s`.
const char *str_text(const struct str *s);

// Empties without freeing; frees and zeroes; hands the heap string to the caller and zeroes.
void str_clear(struct str *s);
void str_finish(struct str *s);
char *str_take(struct str *s);

// A formatted heap string; the caller frees with mem_free().
char *str_format(const char *fmt, ...) BASE_PRINTF(1, 2);

bool str_starts_with(const char *text, const char *prefix);
bool str_ends_with(const char *text, const char *suffix);

// True if bytes are well-formed UTF-8 (no surrogates, no overlong forms); otherwise *bad is the
// offset of the first wrong byte. `bad` may be NULL.
bool str_utf8_valid(const char *bytes, size_t len, size_t *bad);

// Appends a code point (< 0x110000) as UTF-8.
void str_append_codepoint(struct str *s, uint32_t codepoint);

// Decodes the code point at bytes[*pos] and advances *pos. Input must be valid UTF-8.
uint32_t str_next_codepoint(const char *bytes, size_t len, size_t *pos);

// The entry of `names` with the smallest edit distance to `name`, or NULL if none is near enough
// to be worth suggesting (distance over a third of the length).
const char *str_nearest(const char *name, const char *const *names, size_t count);

// "1,234,567"; "3.1 GiB". Written to `out` (at least 32 bytes), which is returned.
char *str_thousands(char *out, uint64_t value);
char *str_bytes(char *out, uint64_t bytes);

#endif
