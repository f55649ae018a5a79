// Tokens back to text as they come.
#ifndef TRDPO_API_TEXT_H
#define TRDPO_API_TEXT_H

#include "base/str.h"
#include "hf/tokenizer.h"

// Text of a growing sequence of tokens: whole characters only. Zero-initialise with the tokenizer
// set; release with api_stream_finish().
struct api_stream {
    const struct hf_tokenizer *tokenizer;
    struct str pending; // bytes of a character that is not complete yet
};

// Appends the characters that `id` completes to `out`. Special tokens have no text. Bytes that are
// no UTF-8 become U+FFFD, as in the decoding of the whole.
void api_stream_put(struct api_stream *s, int32_t id, struct str *out);

// Appends what is left at the end of the sequence: U+FFFD for a character that was cut.
void api_stream_end(struct api_stream *s, struct str *out);
void api_stream_finish(struct api_stream *s);

#endif
