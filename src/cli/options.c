#include "cli/options.h"

#include "base/error.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- names ----

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] == '-' && word[2];
}

// The name of "--max-new-tokens=3" as tables have it: "max_new_tokens". mem_free().
static char *name_of(const char *word)
{
    const char *start = word + 2, *end = strchr(start, '=');
    char *name = mem_strndup(start, end ? (size_t)(end - start) : strlen(start));
    for (char *c = name; *c; c++)
        if (*c == '-') *c = '_';
    return name;
}

const struct cli_option *cli_find(const struct cli_option *table, const char *word)
{
    if (!is_option(word)) return NULL;
    char *name = name_of(word);
    const struct cli_option *found = NULL;
    for (const struct cli_option *o = table; o->name && !found; o++)
        if (strcmp(o->name, name) == 0) found = o;
    mem_free(name);
    return found;
}

static struct cli_value *find_value(const struct cli_args *args, const char *name)
{
    for (size_t i = 0; i < args->values.count; i++)
        if (strcmp(args->values.items[i].option->name, name) == 0) return &args->values.items[i];
    return NULL;
}

static bool unknown_option(const struct cli_args *args, const struct cli_syntax *syntax,
                           const char *name)
{
    const char **names = MEM_ARRAY(const char *, args->values.count + 1);
    for (size_t i = 0; i < args->values.count; i++)
        names[i] = args->values.items[i].option->name;
    const char *nearest = str_nearest(name, names, args->values.count);
    mem_free(names);
    if (nearest)
        return err_user("%s has no option '--%s': did you mean '--%s'?", syntax->command, name,
                        nearest);
    return err_user("%s has no option '--%s' ('trdpo-vk help %s' lists them)", syntax->command,
                    name, syntax->command);
}

// ---- values ----

static bool check_range(const struct cli_option *o, const char *text, double number)
{
    if ((o->min == 0 && o->max == 0) || (number >= o->min && number <= o->max)) return true;
    return err_user("--%s: %s is out of range: from %.17g to %.17g", o->name, text, o->min, o->max);
}

static bool parse_int(const struct cli_option *o, const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool whole = *text && !*end && (*text == '-' || (*text >= '0' && *text <= '9'));
    if (!whole) return err_user("--%s: expected a whole number, not '%s'", o->name, text);
    *out = value;
    double number = errno == ERANGE ? (value < 0 ? -INFINITY : INFINITY) : (double)value;
    return check_range(o, text, number);
}

static bool parse_number(const struct cli_option *o, const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (!*text || *end || !isfinite(*out))
        return err_user("--%s: expected a number, not '%s'", o->name, text);
    return check_range(o, text, *out);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *at = choices; at;) {
        const char *end = strchr(at, '|');
        size_t n = end ? (size_t)(end - at) : strlen(at);
        if (n == len && memcmp(at, text, n) == 0) return true;
        at = end ? end + 1 : NULL;
    }
    return false;
}

static bool check_value(const struct cli_option *o, const char *text)
{
    int64_t whole;
    double number;
    switch (o->type) {
    case CLI_FLAG:
    case CLI_TEXT:
        return true;
    case CLI_INT:
        return parse_int(o, text, &whole);
    case CLI_NUMBER:
        return parse_number(o, text, &number);
    case CLI_CHOICE:
        if (is_choice(o->value, text)) return true;
        return err_user("--%s: '%s' is not one of %s", o->name, text, o->value);
    }
    return true;
}

// ---- parsing ----

struct cursor {
    char *const *words;
    int at, count;
};

// The value of the option at the cursor: after "=", or the next word. NULL where there is none.
static const char *take_text(struct cursor *c)
{
    const char *equals = strchr(c->words[c->at], '=');
    if (equals) return equals + 1;
    if (c->at + 1 >= c->count || strncmp(c->words[c->at + 1], "--", 2) == 0) return NULL;
    return c->words[++c->at];
}

static bool take_known(struct cursor *c, struct cli_value *v)
{
    const struct cli_option *o = v->option;
    if (v->given) return err_user("--%s is given twice", o->name);
    v->given = true;
    if (o->type == CLI_FLAG) {
        if (strchr(c->words[c->at], '=')) return err_user("--%s takes no value", o->name);
        return true;
    }
    const char *text = take_text(c);
    if (!text) text = o->bare;
    if (!text)
        return err_user("--%s needs a value: --%s %s (a value that begins with '--' is written "
                        "--%s=VALUE)",
                        o->name, o->name, o->value, o->name);
    v->text = text;
    return check_value(o, text);
}

static bool take_other(struct cursor *c, struct cli_args *args, const char *name)
{
    for (size_t i = 0; i < args->others.count; i++)
        if (strcmp(args->others.items[i].name, name) == 0)
            return err_user("--%s is given twice", name);
    const char *text = take_text(c);
    if (!text) text = "true";
    ARRAY_PUSH(&args->others, (struct cli_other){mem_strdup(name), text});
    return true;
}

static bool take_option(struct cursor *c, struct cli_args *args, const struct cli_syntax *syntax)
{
    char *name = name_of(c->words[c->at]);
    struct cli_value *v = find_value(args, name);
    bool ok;
    if (v)
        ok = take_known(c, v);
    else if (syntax->takes_other && syntax->takes_other(name))
        ok = take_other(c, args, name);
    else
        ok = unknown_option(args, syntax, name);
    mem_free(name);
    return ok;
}

static bool take_positional(struct cli_args *args, const struct cli_syntax *syntax,
                            const char *word)
{
    if (word[0] == '-' && word[1] && !syntax->positional)
        return err_user("'%s' is no option of %s: options begin with two dashes ('trdpo-vk help "
                        "%s' lists them)",
                        word, syntax->command, syntax->command);
    if (!syntax->positional)
        return err_user("%s takes no argument, only options: '%s' is not one", syntax->command,
                        word);
    if (args->positional)
        return err_user("%s takes one %s: what is '%s'?", syntax->command, syntax->positional,
                        word);
    args->positional = word;
    return true;
}

static bool check_complete(const struct cli_args *args, const struct cli_syntax *syntax)
{
    if (syntax->positional && syntax->positional[0] != '[' && !args->positional)
        return err_user("%s needs a %s: trdpo-vk %s %s", syntax->command, syntax->positional,
                        syntax->command, syntax->positional);
    for (size_t i = 0; i < args->values.count; i++) {
        const struct cli_value *v = &args->values.items[i];
        if (v->option->required && !v->given)
            return err_user("%s needs --%s %s ('trdpo-vk help %s' says more)", syntax->command,
                            v->option->name, v->option->value, syntax->command);
    }
    return true;
}

bool cli_parse(struct cli_args *args, const struct cli_syntax *syntax, int count,
               char *const *words)
{
    *args = (struct cli_args){0};
    for (size_t t = 0; t < syntax->table_count; t++)
        for (const struct cli_option *o = syntax->tables[t]; o && o->name; o++) {
            CHECK(!find_value(args, o->name));
            ARRAY_PUSH(&args->values, (struct cli_value){o, o->fallback, false});
        }
    bool options = true;
    struct cursor c = {words, 0, count};
    for (; c.at < count; c.at++) {
        const char *word = words[c.at];
        if (options && strcmp(word, "--") == 0)
            options = false;
        else if (options && is_option(word) ? !take_option(&c, args, syntax)
                                            : !take_positional(args, syntax, word))
            return false;
    }
    return check_complete(args, syntax);
}

void cli_args_finish(struct cli_args *args)
{
    for (size_t i = 0; i < args->others.count; i++)
        mem_free(args->others.items[i].name);
    ARRAY_FREE(&args->others);
    ARRAY_FREE(&args->values);
}

// ---- reading ----

static const struct cli_value *value_of(const struct cli_args *args, const char *name)
{
    const struct cli_value *v = find_value(args, name);
    CHECK(v);
    return v;
}

bool cli_flag(const struct cli_args *args, const char *name)
{
    const struct cli_value *v = value_of(args, name);
    CHECK(v->option->type == CLI_FLAG);
    return v->given;
}

int64_t cli_int(const struct cli_args *args, const char *name)
{
    const struct cli_value *v = value_of(args, name);
    int64_t value = 0;
    CHECK(v->option->type == CLI_INT && v->text && parse_int(v->option, v->text, &value));
    return value;
}

double cli_number(const struct cli_args *args, const char *name)
{
    const struct cli_value *v = value_of(args, name);
    double value = 0;
    CHECK(v->option->type == CLI_NUMBER && v->text && parse_number(v->option, v->text, &value));
    return value;
}

const char *cli_text(const struct cli_args *args, const char *name)
{
    const struct cli_value *v = value_of(args, name);
    CHECK(v->option->type == CLI_TEXT || v->option->type == CLI_CHOICE);
    return v->text;
}

bool cli_given(const struct cli_args *args, const char *name)
{
    return value_of(args, name)->given;
}

// ---- help ----

#define HELP_WIDTH 80
#define NAME_LIMIT 30 // longer names stand on a line of their own

static void append_name(const struct cli_option *o, struct str *out)
{
    str_appendf(out, "  --%s", o->name);
    if (o->type == CLI_FLAG) return;
    str_appendf(out, o->bare ? " [%s]" : " %s", o->value);
}

// Appends words from column `indent` on, the first line continuing at `column`.
static void append_wrapped(struct str *out, const char *text, size_t indent, size_t column)
{
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column + len + 1 > HELP_WIDTH && column > indent) {
            str_append_char(out, '\n');
            for (size_t i = 0; i < indent; i++)
                str_append_char(out, ' ');
            column = indent;
        } else if (column > indent) {
            str_append_char(out, ' ');
            column++;
        }
        str_append_bytes(out, text, len);
        column += len;
        text += len;
        while (*text == ' ')
            text++;
    }
    str_append_char(out, '\n');
}

void cli_options_help(const struct cli_option *table, struct str *out)
{
    size_t width = 0;
    for (const struct cli_option *o = table; o->name; o++) {
        struct str name = {0};
        append_name(o, &name);
        if (name.len > width && name.len <= NAME_LIMIT) width = name.len;
        str_finish(&name);
    }
    size_t indent = width + 2;
    for (const struct cli_option *o = table; o->name; o++) {
        struct str help = {0};
        if (o->heading) str_appendf(out, "\n%s:\n", o->heading);
        size_t start = out->len;
        append_name(o, out);
        size_t column = out->len - start;
        if (column > width) {
            str_append_char(out, '\n');
            column = 0;
        }
        for (; column < indent; column++)
            str_append_char(out, ' ');
        str_append(&help, o->help);
        if (o->required)
            str_append(&help, " (required)");
        else if (o->fallback && *o->fallback)
            str_appendf(&help, " (default %s)", o->fallback);
        append_wrapped(out, str_text(&help), indent, indent);
        str_finish(&help);
    }
}
