#include "chat_template_chars.h"

#include <string.h>
#include <utf8proc.h>

bool jinja_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

bool jinja_is_line_break(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool jinja_is_letter(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool jinja_is_digit(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_ND;
}

bool jinja_is_upper(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LU;
}

bool jinja_is_lower(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LL;
}

bool jinja_is_printable(uint32_t c)
{
    if (c == ' ') return true;
    switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    default:
        return true;
    }
}

size_t jinja_char_bytes(char first)
{
    unsigned char c = (unsigned char)first;
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

size_t jinja_char_count(struct jinja_text t)
{
    size_t n = 0;
    for (size_t i = 0; i < t.len; i++)
        n += ((unsigned char)t.at[i] & 0xC0) != 0x80;
    return n;
}

size_t jinja_char_offset(struct jinja_text t, size_t index)
{
    size_t at = 0;
    for (; index && at < t.len; index--)
        at += jinja_char_bytes(t.at[at]);
    return at;
}

static bool among(uint32_t c, const struct jinja_text *chars)
{
    if (!chars) return jinja_is_space(c);
    for (size_t i = 0; i < chars->len;)
        if (str_next_codepoint(chars->at, chars->len, &i) == c) return true;
    return false;
}

static struct jinja_text trim(struct jinja_text t, const struct jinja_text *chars, bool left,
                              bool right)
{
    while (left && t.len) {
        size_t next = 0;
        if (!among(str_next_codepoint(t.at, t.len, &next), chars)) break;
        t.at += next;
        t.len -= next;
    }
    while (right && t.len) {
        size_t last = t.len - 1;
        while (last && ((unsigned char)t.at[last] & 0xC0) == 0x80)
            last--;
        size_t next = last;
        if (!among(str_next_codepoint(t.at, t.len, &next), chars)) break;
        t.len = last;
    }
    return t;
}

struct jinja_text jinja_trimmed(struct jinja_text t, bool left, bool right)
{
    return trim(t, NULL, left, right);
}

struct jinja_text jinja_trimmed_of(struct jinja_text t, struct jinja_text chars, bool left,
                                   bool right)
{
    return trim(t, &chars, left, right);
}

size_t jinja_find(struct jinja_text t, struct jinja_text part, size_t from)
{
    if (part.len == 0) return from <= t.len ? from : SIZE_MAX;
    while (from < t.len && part.len <= t.len - from) {
        const char *hit = memchr(t.at + from, part.at[0], t.len - from - part.len + 1);
        if (!hit) break;
        if (memcmp(hit, part.at, part.len) == 0) return (size_t)(hit - t.at);
        from = (size_t)(hit - t.at) + 1;
    }
    return SIZE_MAX;
}

size_t jinja_find_last(struct jinja_text t, struct jinja_text part)
{
    for (size_t end = t.len; part.len <= end; end--) {
        size_t at = end - part.len;
        if (part.len == 0 || memcmp(t.at + at, part.at, part.len) == 0) return at;
    }
    return SIZE_MAX;
}

void jinja_append_upper(struct str *out, uint32_t c)
{
    if (c == 0xDF) // sharp s: the one letter in common use whose capital is two letters
        str_append(out, "SS");
    else
        str_append_codepoint(out, (uint32_t)utf8proc_toupper((utf8proc_int32_t)c));
}

void jinja_append_lower(struct str *out, uint32_t c)
{
    str_append_codepoint(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}
