// Changes to the text of a JSON object that leave every other byte as it was. Internal to hf.
#ifndef TRDPO_HF_JSON_EDIT_H
#define TRDPO_HF_JSON_EDIT_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

// Copies `text`, one valid JSON object, to `out` (appended) with the value of each of its own
// members (not of objects inside) called `key` replaced by `value`, which is JSON text. Returns how
// many were replaced. Member names are compared as written: an escaped spelling of the key does not
// match.
size_t hf_json_replace(struct str *out, const char *text, size_t len, const char *key,
                       const char *value);

// Copies `text` to `out` with the member `key` put first, on a line of its own with the indent of
// the member that was first if the text is laid out in lines.
void hf_json_insert(struct str *out, const char *text, size_t len, const char *key,
                    const char *value);

#endif
