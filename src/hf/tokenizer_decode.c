#include "hf/tokenizer_decode.h"

#include "base/error.h"
#include "base/mem.h"
#include "hf/tokenizer_bytes.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" // U+FFFD

void hf_texts_push(struct hf_texts *texts, const char *bytes, size_t len)
{
    if (len) str_append_bytes(&texts->bytes, bytes, len);
    ARRAY_PUSH(&texts->ends, texts->bytes.len);
}

void hf_texts_finish(struct hf_texts *texts)
{
    str_finish(&texts->bytes);
    ARRAY_FREE(&texts->ends);
}

static const char *text_at(const struct hf_texts *texts, size_t i, size_t *len)
{
    size_t begin = i ? texts->ends.items[i - 1] : 0;
    *len = texts->ends.items[i] - begin;
    return str_text(&texts->bytes) + begin;
}

// Appends `text` with every `from` as `to`.
static void append_replaced(struct str *out, const char *text, size_t len, const char *from,
                            const char *to)
{
    size_t from_len = strlen(from);
    for (size_t at = 0; at < len;) {
        if (len - at >= from_len && memcmp(text + at, from, from_len) == 0) {
            str_append(out, to);
            at += from_len;
        } else {
            str_append_char(out, text[at++]);
        }
    }
}

// The byte of a token like <0x0A>, or -1.
static int fallback_byte(const char *text, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    int value = 0;
    if (len != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    for (int i = 3; i < 5; i++) {
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
        const char *digit = c ? strchr(digits, c) : NULL;
        if (!digit) return -1;
        value = value * 16 + (int)(digit - digits);
    }
    return value;
}

// A run of byte tokens is their text if that is UTF-8, else a replacement for each.
static void flush_bytes(struct str *bytes, struct hf_texts *out)
{
    if (!bytes->len) return;
    if (str_utf8_valid(bytes->data, bytes->len, NULL))
        hf_texts_push(out, bytes->data, bytes->len);
    else
        for (size_t i = 0; i < bytes->len; i++)
            hf_texts_push(out, REPLACEMENT, sizeof REPLACEMENT - 1);
    str_clear(bytes);
}

static void run_byte_fallback(const struct hf_texts *in, struct hf_texts *out)
{
    struct str bytes = {0};
    for (size_t i = 0; i < in->ends.count; i++) {
        size_t len;
        const char *text = text_at(in, i, &len);
        int byte = fallback_byte(text, len);
        if (byte >= 0) {
            str_append_char(&bytes, (char)byte);
            continue;
        }
        flush_bytes(&bytes, out);
        hf_texts_push(out, text, len);
    }
    flush_bytes(&bytes, out);
    str_finish(&bytes);
}

static void run_byte_level(const struct hf_texts *in, struct hf_texts *out)
{
    struct str bytes = {0};
    for (size_t i = 0; i < in->ends.count; i++) {
        size_t len;
        const char *text = text_at(in, i, &len);
        hf_bytes_unmap(&bytes, text, len);
    }
    hf_append_lossy(&out->bytes, str_text(&bytes), bytes.len);
    ARRAY_PUSH(&out->ends, out->bytes.len);
    str_finish(&bytes);
}

static void push_stripped(const struct hf_decoder *d, const char *text, size_t len,
                          struct hf_texts *out)
{
    size_t n = strlen(d->from), begin = 0, end = len;
    for (int64_t i = 0; i < d->start && end - begin >= n; i++) {
        if (memcmp(text + begin, d->from, n) != 0) break;
        begin += n;
    }
    for (int64_t i = 0; i < d->stop && end - begin >= n; i++) {
        if (memcmp(text + end - n, d->from, n) != 0) break;
        end -= n;
    }
    hf_texts_push(out, text + begin, end - begin);
}

static void run_each(const struct hf_decoder *d, const struct hf_texts *in, struct hf_texts *out)
{
    for (size_t i = 0; i < in->ends.count; i++) {
        size_t len;
        const char *text = text_at(in, i, &len);
        if (d->kind == HF_DECODE_STRIP) {
            push_stripped(d, text, len, out);
            continue;
        }
        bool drop = d->kind == HF_DECODE_METASPACE && d->drop_first && i == 0;
        append_replaced(&out->bytes, text, len, d->from, drop ? "" : d->to);
        ARRAY_PUSH(&out->ends, out->bytes.len);
    }
}

static void run_one(const struct hf_decoder *d, const struct hf_texts *in, struct hf_texts *out)
{
    switch (d->kind) {
    case HF_DECODE_BYTE_LEVEL:
        run_byte_level(in, out);
        break;
    case HF_DECODE_BYTE_FALLBACK:
        run_byte_fallback(in, out);
        break;
    case HF_DECODE_FUSE:
        hf_texts_push(out, str_text(&in->bytes), in->bytes.len);
        break;
    case HF_DECODE_METASPACE:
    case HF_DECODE_REPLACE:
    case HF_DECODE_STRIP:
        run_each(d, in, out);
        break;
    }
}

void hf_decoders_run(const struct hf_decoders *decoders, struct hf_texts *tokens, struct str *out)
{
    for (size_t i = 0; i < decoders->list.count; i++) {
        struct hf_texts next = {0};
        run_one(&decoders->list.items[i], tokens, &next);
        hf_texts_finish(tokens);
        *tokens = next;
    }
    for (size_t i = 0; i < tokens->ends.count; i++) {
        size_t len;
        const char *text = text_at(tokens, i, &len);
        if (i && decoders->spaces) str_append_char(out, ' ');
        if (len) str_append_bytes(out, text, len);
    }
}

void hf_decoders_token(const struct hf_decoders *decoders, const char *text, size_t len,
                       struct str *out)
{
    struct str now = {0};
    str_append_bytes(&now, text, len);
    for (size_t i = 0; i < decoders->list.count; i++) {
        const struct hf_decoder *d = &decoders->list.items[i];
        struct str next = {0};
        int byte = fallback_byte(str_text(&now), now.len);
        if (d->kind == HF_DECODE_BYTE_LEVEL)
            hf_bytes_unmap(&next, str_text(&now), now.len);
        else if (d->kind == HF_DECODE_BYTE_FALLBACK && byte >= 0)
            str_append_char(&next, (char)byte);
        else if (d->kind == HF_DECODE_METASPACE || d->kind == HF_DECODE_REPLACE)
            append_replaced(&next, str_text(&now), now.len, d->from, d->to);
        else // what is stripped and fused depends on the neighbours
            str_append_bytes(&next, str_text(&now), now.len);
        str_finish(&now);
        now = next;
        if (byte >= 0 && d->kind == HF_DECODE_BYTE_FALLBACK) break; // no longer text
    }
    str_append_bytes(out, str_text(&now), now.len);
    str_finish(&now);
}
