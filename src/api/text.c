#include "api/text.h"

static bool is_special(const struct hf_tokenizer *t, int32_t id)
{
    struct str text = {0};
    bool special = !hf_tokenizer_decode(t, &id, 1, true, &text) || text.len == 0;
    str_finish(&text);
    return special;
}

// Bytes of the character that begins at `bytes`: its length if it is whole, minus the number of
// bytes to replace by one U+FFFD if they begin none, 0 if it goes on beyond `len`.
static int character(const unsigned char *bytes, size_t len)
{
    unsigned char lead = bytes[0];
    if (lead < 0x80) return 1;
    int need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4) return -1;
    for (int i = 1; i < need; i++) {
        if ((size_t)i == len) return 0;
        unsigned char low = 0x80, high = 0xBF;
        if (i == 1) { // no overlong forms, no surrogates, nothing beyond U+10FFFF
            if (lead == 0xE0) low = 0xA0;
            if (lead == 0xED) high = 0x9F;
            if (lead == 0xF0) low = 0x90;
            if (lead == 0xF4) high = 0x8F;
        }
        if (bytes[i] < low || bytes[i] > high) return -i;
    }
    return need;
}

void api_stream_put(struct api_stream *s, int32_t id, struct str *out)
{
    if (is_special(s->tokenizer, id)) return;
    hf_tokenizer_token_bytes(s->tokenizer, id, &s->pending);
    size_t at = 0;
    while (at < s->pending.len) {
        const char *bytes = s->pending.data + at;
        int n = character((const unsigned char *)bytes, s->pending.len - at);
        if (n == 0) break;
        if (n > 0)
            str_append_bytes(out, bytes, (size_t)n);
        else
            str_append_codepoint(out, 0xFFFD);
        at += (size_t)(n > 0 ? n : -n);
    }
    struct str rest = {0};
    str_append_bytes(&rest, s->pending.data + at, s->pending.len - at);
    str_finish(&s->pending);
    s->pending = rest;
}

void api_stream_end(struct api_stream *s, struct str *out)
{
    if (s->pending.len) str_append_codepoint(out, 0xFFFD);
    str_clear(&s->pending);
}

void api_stream_finish(struct api_stream *s)
{
    str_finish(&s->pending);
}
