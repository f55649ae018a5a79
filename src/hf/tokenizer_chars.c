#include "hf/tokenizer_chars.h"

#include "base/str.h"

#include <utf8proc.h>

bool hf_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

// Alphabetic symbols (category So) are the circled and squared Latin letters.
static bool is_letter_symbol(uint32_t c)
{
    return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
           (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

bool hf_is_word(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return c == 0x200c || c == 0x200d || is_letter_symbol(c);
    }
}

size_t hf_space_at_start(const char *text, size_t len)
{
    size_t spaces = 0;
    for (size_t at = 0; at < len; spaces = at)
        if (!hf_is_space(str_next_codepoint(text, len, &at))) break;
    return spaces;
}

// Where the character begins that ends at `end`.
static size_t char_before(const char *text, size_t end)
{
    size_t at = end - 1;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

size_t hf_space_at_end(const char *text, size_t len)
{
    size_t end = len;
    while (end > 0) {
        size_t begin = char_before(text, end), at = begin;
        if (!hf_is_space(str_next_codepoint(text, len, &at))) break;
        end = begin;
    }
    return len - end;
}

bool hf_word_at_start(const char *text, size_t len)
{
    size_t at = 0;
    return len && hf_is_word(str_next_codepoint(text, len, &at));
}

bool hf_word_at_end(const char *text, size_t len)
{
    if (!len) return false;
    size_t at = char_before(text, len);
    return hf_is_word(str_next_codepoint(text, len, &at));
}
