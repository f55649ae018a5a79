// Chat templates: the Jinja language that transformers' apply_chat_template accepts.
//
// Not supported, since chat templates do without them: recursive loops, include, import, extends
// and block, arguments with * and **, formatting with % or str.format(). Where a template reaches
// one of these it fails and says so.
#ifndef TRDPO_HF_CHAT_TEMPLATE_H
#define TRDPO_HF_CHAT_TEMPLATE_H

#include "base/str.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

struct hf_chat_template;

// Parses a template with transformers' settings (trim_blocks, lstrip_blocks). NULL on failure, with
// line number and what was expected. Immutable afterwards; rendering from several threads is fine.
struct hf_chat_template *hf_chat_template_parse(const char *source);
void hf_chat_template_destroy(struct hf_chat_template *t);

// Renders `messages` (a JSON array of {"role","content"}) with `bos_token` and `eos_token` (may be
// NULL: undefined) and add_generation_prompt. Appends to `out`. A template's raise_exception(), an
// unknown filter or function, or more than 10 million steps is err_user.
bool hf_chat_template_render(const struct hf_chat_template *t, const cJSON *messages,
                             const char *bos_token, const char *eos_token,
                             bool add_generation_prompt, struct str *out);

#endif
