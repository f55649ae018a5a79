#include "str.h"

#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Makes room for `more` bytes and a NUL.
static void reserve(struct str *s, size_t more)
{
    CHECK(more < SIZE_MAX / 2 - s->len);
    size_t want = s->len + more + 1;
    if (want <= s->cap) return;
    size_t cap = s->cap < SIZE_MAX / 4 ? s->cap * 2 : want;
    if (cap < want) cap = want;
    if (cap < 32) cap = 32;
    s->data = mem_realloc(s->data, cap, 1);
    s->cap = cap;
}

void str_append(struct str *s, const char *text)
{
    str_append_bytes(s, text, strlen(text));
}

void str_append_bytes(struct str *s, const void *bytes, size_t len)
{
    reserve(s, len);
    if (len > 0) memcpy(s->data + s->len, bytes, len);
    s->len += len;
    s->data[s->len] = '\0';
}

void str_append_char(struct str *s, char c)
{
    reserve(s, 1);
    s->data[s->len++] = c;
    s->data[s->len] = '\0';
}

BASE_PRINTF(2, 0)
static void append_formatted(struct str *s, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    CHECK(len >= 0);
    reserve(s, (size_t)len);
    vsnprintf(s->data + s->len, (size_t)len + 1, fmt, args);
    s->len += (size_t)len;
}

void str_appendf(struct str *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    append_formatted(s, fmt, args);
    va_end(args);
}

const char *str_text(const struct str *s)
{
    return s->data ? s->data : "";
}

void str_clear(struct str *s)
{
    s->len = 0;
    if (s->data) s->data[0] = '\0';
}

void str_finish(struct str *s)
{
    mem_free(s->data);
    *s = (struct str){0};
}

char *str_take(struct str *s)
{
    char *text = s->data ? s->data : mem_strdup("");
    *s = (struct str){0};
    return text;
}

char *str_format(const char *fmt, ...)
{
    struct str s = {0};
    va_list args;
    va_start(args, fmt);
    append_formatted(&s, fmt, args);
    va_end(args);
    return str_take(&s);
}

bool str_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), end = strlen(suffix);
    return end <= len && memcmp(text + len - end, suffix, end) == 0;
}

// Length of the well-formed UTF-8 character that begins at p, 0 if there is none (Unicode, table
// 3-7: the second byte's range depends on the first).
static size_t utf8_char(const unsigned char *p, size_t len)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t count;
    if (p[0] < 0x80) return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        count = 2;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        count = 3;
        if (p[0] == 0xE0) low = 0xA0;  // overlong
        if (p[0] == 0xED) high = 0x9F; // surrogates
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        count = 4;
        if (p[0] == 0xF0) low = 0x90;  // overlong
        if (p[0] == 0xF4) high = 0x8F; // beyond U+10FFFF
    } else {
        return 0;
    }
    if (len < count || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < count; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    return count;
}

bool str_utf8_valid(const char *bytes, size_t len, size_t *bad)
{
    const unsigned char *p = (const unsigned char *)bytes;
    for (size_t i = 0; i < len;) {
        size_t step = utf8_char(p + i, len - i);
        if (step == 0) {
            if (bad) *bad = i;
            return false;
        }
        i += step;
    }
    return true;
}

void str_append_codepoint(struct str *s, uint32_t codepoint)
{
    CHECK(codepoint < 0x110000);
    char bytes[4];
    size_t len = 0;
    if (codepoint < 0x80) {
        bytes[len++] = (char)codepoint;
    } else if (codepoint < 0x800) {
        bytes[len++] = (char)(0xC0 | codepoint >> 6);
    } else if (codepoint < 0x10000) {
        bytes[len++] = (char)(0xE0 | codepoint >> 12);
        bytes[len++] = (char)(0x80 | (codepoint >> 6 & 0x3F));
    } else {
        bytes[len++] = (char)(0xF0 | codepoint >> 18);
        bytes[len++] = (char)(0x80 | (codepoint >> 12 & 0x3F));
        bytes[len++] = (char)(0x80 | (codepoint >> 6 & 0x3F));
    }
    if (codepoint >= 0x80) bytes[len++] = (char)(0x80 | (codepoint & 0x3F));
    str_append_bytes(s, bytes, len);
}

uint32_t str_next_codepoint(const char *bytes, size_t len, size_t *pos)
{
    CHECK(*pos < len);
    const unsigned char *p = (const unsigned char *)bytes + *pos;
    size_t count = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    CHECK(count <= len - *pos);
    static const unsigned char lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t codepoint = p[0] & lead_bits[count];
    for (size_t i = 1; i < count; i++)
        codepoint = codepoint << 6 | (p[i] & 0x3F);
    *pos += count;
    return codepoint;
}

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Edits (insert, delete, replace, or swap of two neighbours) from a to b. `rows`: 3 * (b_len + 1).
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len, size_t *rows)
{
    size_t *before = rows, *above = rows + b_len + 1, *row = rows + 2 * (b_len + 1);
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = min2(best, min2(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = min2(best, before[j - 2] + 1);
            row[j] = best;
        }
    }
    return row[b_len];
}

const char *str_nearest(const char *name, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t len = strlen(name), limit = len / 3, nearest_distance = limit + 1;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(names[i]);
        if ((other > len ? other - len : len - other) > limit) continue; // at least that far
        size_t *rows = MEM_ARRAY(size_t, 3 * (other + 1));
        size_t distance = edit_distance(name, len, names[i], other, rows);
        mem_free(rows);
        if (distance < nearest_distance) {
            nearest = names[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}

char *str_thousands(char *out, uint64_t value)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    char *p = out;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) *p++ = ',';
        *p++ = digits[i];
    }
    *p = '\0';
    return out;
}

char *str_bytes(char *out, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(out, 32, "%u B", (unsigned)bytes);
        return out;
    }
    // Tenths by integers: the decimal point must not depend on the locale.
    for (int unit = 0;; unit++) {
        int shift = 10 * (unit + 1);
        uint64_t whole = bytes >> shift, rest = bytes & ((UINT64_C(1) << shift) - 1);
        // rest * 10 / 2^shift rounded, without overflow: its top 10 bits carry a tenth with ease.
        uint64_t tenths = ((rest >> (shift - 10)) * 10 + 512) >> 10;
        whole += tenths / 10;
        tenths %= 10;
        if (whole < 1024 || unit == 5) {
            snprintf(out, 32, "%u.%u %s", (unsigned)whole, (unsigned)tenths, units[unit]);
            return out;
        }
    }
}
