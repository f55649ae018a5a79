// The decoder: token texts back to text. Internal to hf.
#ifndef TRDPO_HF_TOKENIZER_DECODE_H
#define TRDPO_HF_TOKENIZER_DECODE_H

#include "base/array.h"
#include "base/str.h"

#include <cjson/cJSON.h>

enum hf_decoder_kind {
    HF_DECODE_BYTE_LEVEL,    // characters of the byte-level alphabet to bytes
    HF_DECODE_BYTE_FALLBACK, // <0x41> to bytes
    HF_DECODE_FUSE,          // all tokens to one
    HF_DECODE_METASPACE,     // the replacement to a space; none at the beginning
    HF_DECODE_REPLACE,       // a string by another
    HF_DECODE_STRIP,         // a character at both ends of each token
};

struct hf_decoder {
    enum hf_decoder_kind kind;
    char *from, *to;     // replace; `from` also: what metaspace and strip look for
    int64_t start, stop; // strip: how many at most
    bool drop_first;     // metaspace: no space at the beginning
};
struct hf_decoders {
    struct hf_decoder_list ARRAY_OF(struct hf_decoder) list;
    bool spaces; // no decoder: the tokens with spaces between
};

// Texts in a row, not NUL-terminated.
struct hf_texts {
    struct str bytes;
    struct hf_ends ARRAY_OF(size_t) ends; // of each text; it begins where the one before ends
};

// Reads the "decoder" section (NULL: none).
bool hf_decoders_load(struct hf_decoders *decoders, const cJSON *json);
void hf_decoders_finish(struct hf_decoders *decoders);

// Appends the text that the tokens make. `tokens` is used up (and still to be finished).
void hf_decoders_run(const struct hf_decoders *decoders, struct hf_texts *tokens, struct str *out);

// Appends the bytes that one token stands for, whatever its neighbours.
void hf_decoders_token(const struct hf_decoders *decoders, const char *text, size_t len,
                       struct str *out);

void hf_texts_push(struct hf_texts *texts, const char *bytes, size_t len);
void hf_texts_finish(struct hf_texts *texts);

#endif
