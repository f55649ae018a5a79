#include "hf/tokenizer_bytes.h"

// Bytes that print as a Latin-1 character stand for themselves. The others, in order, are U+0100
// and up: 0x00 to 0x20, 0x7F to 0xA0, and 0xAD (the soft hyphen).
#define LOW_END 0x21
#define HIGH_BEGIN 0x7f
#define HIGH_END 0xa1
#define SOFT_HYPHEN 0xad
#define LOW_CHARS 0x100u
#define HIGH_CHARS (LOW_CHARS + LOW_END)
#define HYPHEN_CHAR (HIGH_CHARS + HIGH_END - HIGH_BEGIN)

uint32_t hf_byte_char(uint8_t byte)
{
    if (byte < LOW_END) return LOW_CHARS + byte;
    if (byte >= HIGH_BEGIN && byte < HIGH_END) return HIGH_CHARS + byte - HIGH_BEGIN;
    return byte == SOFT_HYPHEN ? HYPHEN_CHAR : byte;
}

int hf_char_byte(uint32_t codepoint)
{
    if (codepoint > HYPHEN_CHAR) return -1;
    if (codepoint == HYPHEN_CHAR) return SOFT_HYPHEN;
    if (codepoint >= HIGH_CHARS) return (int)(codepoint - HIGH_CHARS) + HIGH_BEGIN;
    if (codepoint >= LOW_CHARS) return (int)(codepoint - LOW_CHARS);
    return hf_byte_char((uint8_t)codepoint) == codepoint ? (int)codepoint : -1;
}

void hf_bytes_map(struct str *out, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint32_t c = hf_byte_char((uint8_t)bytes[i]);
        char utf8[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        if (c < 0x80)
            str_append_char(out, (char)c);
        else
            str_append_bytes(out, utf8, sizeof utf8);
    }
}

void hf_bytes_unmap(struct str *out, const char *text, size_t len)
{
    size_t start = out->len;
    for (size_t at = 0; at < len;) {
        int byte = hf_char_byte(str_next_codepoint(text, len, &at));
        if (byte < 0) {
            if (out->len > start) out->len = start;
            str_append_bytes(out, text, len);
            return;
        }
        str_append_char(out, (char)byte);
    }
}

// The bounds of the second byte after a lead byte, and how many bytes follow the lead; 0: not a
// lead.
static int lead_byte(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) return 1;
    if (lead >= 0xe0 && lead <= 0xef) {
        if (lead == 0xe0) *low = 0xa0;
        if (lead == 0xed) *high = 0x9f; // no surrogates
        return 2;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        if (lead == 0xf0) *low = 0x90;
        if (lead == 0xf4) *high = 0x8f;
        return 3;
    }
    return 0;
}

// Length of the well-formed sequence at the start of `bytes`, or 0 with *bad set to the length of
// the part to replace.
static size_t sequence(const char *bytes, size_t len, size_t *bad)
{
    uint8_t low, high, lead = (uint8_t)bytes[0];
    *bad = 1;
    if (lead < 0x80) return 1;
    int follow = lead_byte(lead, &low, &high);
    if (!follow) return 0;
    for (int i = 1; i <= follow; i++) {
        uint8_t b = (size_t)i < len ? (uint8_t)bytes[i] : 0;
        *bad = (size_t)i;
        if (b < low || b > high) return 0;
        low = 0x80;
        high = 0xbf;
    }
    return (size_t)follow + 1;
}

void hf_append_lossy(struct str *out, const char *bytes, size_t len)
{
    size_t good = 0, bad;
    for (size_t at = 0; at < len;) {
        size_t n = sequence(bytes + at, len - at, &bad);
        if (n) {
            at += n;
            continue;
        }
        str_append_bytes(out, bytes + good, at - good);
        str_append(out, "\xef\xbf\xbd");
        good = at += bad;
    }
    if (len > good) str_append_bytes(out, bytes + good, len - good);
}
