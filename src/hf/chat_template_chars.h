// Characters of template strings, as Python counts and classes them. Texts are valid UTF-8.
#ifndef TRDPO_HF_CHAT_TEMPLATE_CHARS_H
#define TRDPO_HF_CHAT_TEMPLATE_CHARS_H

#include "chat_template_value.h"

#include "base/str.h"

bool jinja_is_space(uint32_t c);      // str.isspace()
bool jinja_is_line_break(uint32_t c); // where str.splitlines() divides
bool jinja_is_letter(uint32_t c);
bool jinja_is_digit(uint32_t c);
bool jinja_is_upper(uint32_t c);
bool jinja_is_lower(uint32_t c);
bool jinja_is_printable(uint32_t c); // repr() shows it as it is

// Bytes of the character that begins with `first`; characters of a text; the byte offset of
// character `index` (text.len if there are fewer).
size_t jinja_char_bytes(char first);
size_t jinja_char_count(struct jinja_text t);
size_t jinja_char_offset(struct jinja_text t, size_t index);

// Without white space at the ends asked for, or without the characters of `chars`.
struct jinja_text jinja_trimmed(struct jinja_text t, bool left, bool right);
struct jinja_text jinja_trimmed_of(struct jinja_text t, struct jinja_text chars, bool left,
                                   bool right);

// Offset of `part` in t at or after `from`, or SIZE_MAX; of the last one.
size_t jinja_find(struct jinja_text t, struct jinja_text part, size_t from);
size_t jinja_find_last(struct jinja_text t, struct jinja_text part);

// Appends a character in upper or lower case.
void jinja_append_upper(struct str *out, uint32_t c);
void jinja_append_lower(struct str *out, uint32_t c);

#endif
