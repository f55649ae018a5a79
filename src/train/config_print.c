// Keys as text.
#include "train/config_keys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append_quoted(struct str *out, const char *text)
{
    str_append_char(out, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\') str_append_char(out, '\\');
        if (*p == '\n')
            str_append(out, "\\n");
        else
            str_append_char(out, *p);
    }
    str_append_char(out, '"');
}

// NaN: not given.
static void append_number(double value, struct str *out)
{
    char text[40] = "null";
    for (int digits = 1; !isnan(value) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break; // the shortest text that reads back the same
    }
    str_append(out, text);
}

// One entry stands alone; none are null.
static void append_list(const struct train_config *c, const struct train_key *key, struct str *out)
{
    const void *field = (const char *)c + key->offset;
    size_t count = *(const size_t *)(const void *)((const char *)c + key->count);
    if (count == 0) str_append(out, "null");
    if (count > 1) str_append_char(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i) str_append(out, ", ");
        if (key->type == TRAIN_CHOICES)
            train_choice_append(key->choices, ((const int64_t *)field)[i], out);
        else
            append_number(((const double *)field)[i], out);
    }
    if (count > 1) str_append_char(out, ']');
}

void train_config_value(const struct train_config *c, const struct train_key *key, struct str *out)
{
    const void *field = (const char *)c + key->offset;
    switch (key->type) {
    case TRAIN_BOOL:
        str_append(out, *(const bool *)field ? "true" : "false");
        break;
    case TRAIN_INT:
        if (*(const int64_t *)field == TRAIN_UNSET)
            str_append(out, "null");
        else
            str_appendf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case TRAIN_NUMBER:
        append_number(*(const double *)field, out);
        break;
    case TRAIN_CHOICE:
        train_choice_append(key->choices, *(const int64_t *)field, out);
        break;
    case TRAIN_STRING: {
        const char *text = *(char *const *)field;
        if (text)
            append_quoted(out, text);
        else
            str_append(out, "null");
        break;
    }
    case TRAIN_CHOICES:
    case TRAIN_NUMBERS:
        append_list(c, key, out);
        break;
    }
}

bool train_config_changed(const struct train_config *c, const struct train_key *key)
{
    struct train_config defaults;
    struct str mine = {0}, standard = {0}, settled = {0};
    train_config_init(&defaults);
    train_config_value(c, key, &mine);
    train_config_value(&defaults, key, &standard);
    // What other keys settle is no change of this one.
    int64_t method = defaults.method;
    defaults.method = c->method;
    train_config_resolve(&defaults);
    defaults.method = method;
    train_config_value(&defaults, key, &settled);
    bool changed = strcmp(str_text(&mine), str_text(&standard)) != 0 &&
                   strcmp(str_text(&mine), str_text(&settled)) != 0;
    str_finish(&mine);
    str_finish(&standard);
    str_finish(&settled);
    train_config_finish(&defaults);
    return changed;
}

void train_config_print(const struct train_config *c, bool changed_only, struct str *out)
{
    for (size_t i = 0; i < train_key_count; i++) {
        const struct train_key *key = &train_keys[i];
        bool changed = train_config_changed(c, key);
        if (changed_only && !changed) continue;
        size_t start = out->len;
        str_appendf(out, "%s: ", key->name);
        train_config_value(c, key, out);
        if (changed && !changed_only) {
            while (out->len - start < 44)
                str_append_char(out, ' ');
            str_append(out, " # not the default");
        }
        str_append_char(out, '\n');
    }
}
