// Options of a command line: declared in a table, parsed, checked, printed as help.
//
// `--name value` and `--name=value` mean the same, and a dash in a name counts as an underscore.
// An option is given once. A value that itself begins with "--" needs the form with "=". "--" ends
// the options.
#ifndef TRDPO_CLI_OPTIONS_H
#define TRDPO_CLI_OPTIONS_H

#include "base/array.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum cli_type {
    CLI_FLAG,   // takes no value
    CLI_INT,    // whole number
    CLI_NUMBER, // finite number
    CLI_TEXT,
    CLI_CHOICE, // one of the words in `value`
};

// Tables end with a line whose name is NULL.
struct cli_option {
    const char *name; // "max_new_tokens"
    enum cli_type type;
    const char *value;    // what stands for the value in help: "N", "FILE"; of a choice: "a|b|c"
    const char *fallback; // default, as it would be typed; NULL: none
    double min, max;      // of numbers, inclusive; both 0: any
    const char *help;
    bool required;
    const char *bare; // the value where none is given ("--resume_from_checkpoint"); NULL: refused
    const char *heading; // begins a group of options in help; NULL: goes on with the one before
};

// What a command line may hold.
struct cli_syntax {
    const char *command; // for messages: "train"
    const struct cli_option *const *tables;
    size_t table_count;
    const char *positional; // "FILE", or "[NAME]" if it may be left out; NULL: none
    // Names of no table that are taken all the same, with a value, and land in `others`. May be
    // NULL.
    bool (*takes_other)(const char *name);
};

struct cli_value {
    const struct cli_option *option;
    const char *text; // as given, else the default, else NULL
    bool given;
};
struct cli_other {
    char *name;
    const char *text;
};

// The result. Texts point into argv or into the tables.
struct cli_args {
    struct cli_values ARRAY_OF(struct cli_value) values; // of every option of every table
    struct cli_others ARRAY_OF(struct cli_other) others;
    const char *positional; // NULL if not given
};

// Parses `count` words. err_user on the first mistake. cli_args_finish() is due in any case.
bool cli_parse(struct cli_args *args, const struct cli_syntax *syntax, int count,
               char *const *words);
void cli_args_finish(struct cli_args *args);

// Values by name; asking for a name that no table has, or by the wrong type, is a programmer's
// error, as is asking for a number that has neither a value nor a default.
bool cli_flag(const struct cli_args *args, const char *name);
int64_t cli_int(const struct cli_args *args, const char *name);
double cli_number(const struct cli_args *args, const char *name);
const char *cli_text(const struct cli_args *args, const char *name); // NULL: not given, no default
bool cli_given(const struct cli_args *args, const char *name);

// The word `word` ("--max-new-tokens=3") as an option of the table, or NULL.
const struct cli_option *cli_find(const struct cli_option *table, const char *word);

// Appends the table as lines of help, in two columns of 80 together, under the headings in it.
void cli_options_help(const struct cli_option *table, struct str *out);

#endif
