#include "data/prompts.h"

#include "base/str.h"

#include <string.h>
#include <utf8proc.h>

#include <stdbool.h>

static const char ASSISTANT_TURN[] = "\n\nAssistant:";

// ---- texts ----

static size_t common_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t n = 0, limit = a_len < b_len ? a_len : b_len;
    while (n < limit && a[n] == b[n])
        n++;
    return n;
}

static bool begins_with_human_turn(const char *text, size_t len)
{
    static const char human[] = "Human:";
    size_t i = 0;
    while (i < len && (text[i] == '\n' || text[i] == ' '))
        i++;
    return len - i >= sizeof human - 1 && memcmp(text + i, human, sizeof human - 1) == 0;
}

// End of the last assistant marker in text[0, len), or 0.
static size_t after_last_assistant(const char *text, size_t len)
{
    const size_t marker = sizeof ASSISTANT_TURN - 1;
    for (size_t end = len; end >= marker; end--)
        if (memcmp(text + end - marker, ASSISTANT_TURN, marker) == 0) return end;
    return 0;
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

// Scripts written without spaces: a text in them may be divided between any two characters.
static bool without_spaces(uint32_t c)
{
    return (c >= 0x0E00 && c <= 0x0EFF) || // Thai, Lao
           (c >= 0x1000 && c <= 0x109F) || // Myanmar
           (c >= 0x1780 && c <= 0x17FF) || // Khmer
           (c >= 0x3040 && c <= 0x30FF) || // Hiragana, Katakana
           (c >= 0x3400 && c <= 0x9FFF) || // ideographs
           (c >= 0xF900 && c <= 0xFAFF) || // compatibility ideographs
           (c >= 0x20000 && c <= 0x3FFFF); // ideographs of the other planes
}

// The character at text[at], which belongs to a word: a letter, mark or digit.
static bool word_at(const char *text, size_t len, size_t at)
{
    if (at >= len) return false;
    uint32_t c = str_next_codepoint(text, len, &at);
    if (without_spaces(c)) return false;
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
    case UTF8PROC_CATEGORY_NO:
        return true;
    default:
        return false;
    }
}

static size_t previous_character(const char *text, size_t at)
{
    do
        at--;
    while (at > 0 && is_continuation(text[at]));
    return at;
}

size_t data_split_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t n = b ? common_bytes(a, a_len, b, b_len) : a_len;
    if (begins_with_human_turn(a, n)) {
        size_t end = after_last_assistant(a, n);
        if (end) return end;
    }
    if (!b) return 0;
    while (n > 0 && ((n < a_len && is_continuation(a[n])) || (n < b_len && is_continuation(b[n]))))
        n--;
    while (n > 0 && (word_at(a, a_len, n) || word_at(b, b_len, n))) {
        size_t before = previous_character(a, n);
        if (!word_at(a, a_len, before)) break;
        n = before;
    }
    if (n > 0 && a[n - 1] == ' ') n--;
    return n;
}

// ---- messages ----

static const char *member_text(const cJSON *message, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(message, key));
    return text ? text : "";
}

static bool same_message(const cJSON *a, const cJSON *b)
{
    return strcmp(member_text(a, "role"), member_text(b, "role")) == 0 &&
           strcmp(member_text(a, "content"), member_text(b, "content")) == 0 &&
           cJSON_Compare(a, b, true);
}

static bool from_assistant(const cJSON *message)
{
    return strcmp(member_text(message, "role"), "assistant") == 0;
}

size_t data_split_messages(const cJSON *a, const cJSON *b)
{
    const cJSON *x = a->child, *y = b ? b->child : NULL;
    size_t common = 0, last_assistant = SIZE_MAX;
    for (; x && (!b || (y && same_message(x, y))); x = x->next, y = y ? y->next : NULL) {
        if (from_assistant(x)) last_assistant = common;
        common++;
    }
    // Where the lists part before either ends, the prompt is all they share.
    if (b && x && y) return common;
    return last_assistant != SIZE_MAX ? last_assistant : common;
}
