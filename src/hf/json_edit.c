#include "hf/json_edit.h"

#include <string.h>

static size_t skip_space(const char *text, size_t len, size_t at)
{
    while (at < len && text[at] != '\0' && strchr(" \t\r\n", text[at]))
        at++;
    return at;
}

// Past the string that begins at `at`.
static size_t skip_string(const char *text, size_t len, size_t at)
{
    for (at++; at < len && text[at] != '"'; at++)
        if (text[at] == '\\') at++;
    return at < len ? at + 1 : len;
}

// Past the value that begins at `at`: to the comma or bracket that follows it, or to the space
// before.
static size_t skip_value(const char *text, size_t len, size_t at)
{
    size_t depth = 0, end = at;
    while (at < len) {
        char c = text[at];
        if (c == '"') {
            end = at = skip_string(text, len, at);
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) break;
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') depth--;
        at++;
        if (!strchr(" \t\r\n", c)) end = at;
    }
    return end;
}

size_t hf_json_replace(struct str *out, const char *text, size_t len, const char *key,
                       const char *value)
{
    size_t at = skip_space(text, len, 0), copied = 0, replaced = 0, key_len = strlen(key);
    if (at < len) at++; // the opening brace
    while ((at = skip_space(text, len, at)) < len && text[at] == '"') {
        size_t name = at + 1, name_end = skip_string(text, len, at);
        size_t colon = skip_space(text, len, name_end);
        size_t begin = skip_space(text, len, colon + 1), end = skip_value(text, len, begin);
        if (name_end - 1 - name == key_len && memcmp(text + name, key, key_len) == 0) {
            str_append_bytes(out, text + copied, begin - copied);
            str_append(out, value);
            copied = end;
            replaced++;
        }
        at = skip_space(text, len, end);
        if (at < len && text[at] == ',') at++;
    }
    str_append_bytes(out, text + copied, len - copied);
    return replaced;
}

void hf_json_insert(struct str *out, const char *text, size_t len, const char *key,
                    const char *value)
{
    size_t open = skip_space(text, len, 0) + 1;
    size_t first = skip_space(text, len, open);
    str_append_bytes(out, text, open);
    str_append_bytes(out, text + open, first - open);
    str_appendf(out, "\"%s\": %s", key, value);
    if (first < len && text[first] != '}') {
        str_append_char(out, ',');
        if (first > open)
            str_append_bytes(out, text + open, first - open);
        else
            str_append_char(out, ' ');
    }
    str_append_bytes(out, text + first, len - first);
}
