#include "cli/key_option.h"

#include "base/str.h"

#include <string.h>

#define LONG_CHOICES 34 // are words of the help, not the value's name

static const char *value_name(const struct train_key *key)
{
    switch (key->type) {
    case TRAIN_BOOL:
        return "true|false";
    case TRAIN_INT:
        return "N";
    case TRAIN_NUMBER:
        return "X";
    case TRAIN_NUMBERS:
        return "X,...";
    case TRAIN_STRING:
        return "TEXT";
    case TRAIN_CHOICE:
        return strlen(key->choices) < LONG_CHOICES ? key->choices : "NAME";
    case TRAIN_CHOICES:
        break;
    }
    return "NAME,...";
}

// The key's help, with its choices where they are too many for the value's name.
static const char *help_text(const struct train_key *key)
{
    if (!key->choices || strlen(key->choices) < LONG_CHOICES) return key->help;
    struct str text = {0};
    str_append(&text, key->help);
    str_append(&text, ": ");
    for (const char *c = key->choices; *c; c++) {
        if (*c == '|')
            str_append(&text, ", ");
        else
            str_append_char(&text, *c);
    }
    return str_take(&text);
}

struct cli_option cli_option_of_key(const struct train_key *key)
{
    bool bare = key->type == TRAIN_BOOL || strcmp(key->name, "resume_from_checkpoint") == 0;
    return (struct cli_option){
        .name = key->name,
        .type = CLI_TEXT,
        .value = value_name(key),
        .fallback = key->fallback,
        .help = help_text(key),
        .bare = bare ? "true" : NULL,
        .heading = train_key_heading(key),
    };
}
