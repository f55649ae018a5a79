// Where the prompt ends in records whose completions hold it (implicit prompts).
#ifndef TRDPO_DATA_PROMPTS_H
#define TRDPO_DATA_PROMPTS_H

#include <cjson/cJSON.h>
#include <stddef.h>

// Bytes of prompt at the start of two texts (valid UTF-8).
// With HH turns ("Human:" first, "\n\nAssistant:" in what both share): all up to the end of the
// last "\n\nAssistant:" that both share. Otherwise the longest common prefix, cut back to the
// beginning of a word; one space in front of the word goes to the completions, as tokenizers with
// byte-level BPE want it.
// `b` NULL: the prompt of `a` alone, which only HH turns can tell; 0 without them.
size_t data_split_text(const char *a, size_t a_len, const char *b, size_t b_len);

// Messages of prompt at the start of two lists: the longest common prefix, cut back so that both
// completions begin with a message, from the assistant where there is one in the common part.
// `b` NULL: all before the last message of the assistant (all of them if it says nothing).
size_t data_split_messages(const cJSON *a, const cJSON *b);

#endif
