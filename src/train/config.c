// Setting keys from text.
#include "train/config_keys.h"

#include "base/error.h"
#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CHOICES 32

static bool unknown_key(const char *name, const char *value, const char *where)
{
    const struct train_foreign_key *foreign = train_foreign_key_find(name);
    if (foreign) {
        const char *accepted = foreign->accepted;
        if (strcmp(accepted, "*") == 0 || train_choice_index(accepted, value) >= 0) return true;
        return err_user("%s: %s: %s is not available: %s", where, name, value, foreign->reason);
    }
    const char *nearest = train_key_nearest(name);
    if (nearest) return err_user("%s: unknown key '%s': did you mean '%s'?", where, name, nearest);
    return err_user("%s: unknown key '%s' ('trdpo-vk train --help' lists the keys)", where, name);
}

static bool parse_bool(const char *value, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "on", "1"};
    static const char *const no[] = {"false", "False", "FALSE", "no", "off", "0"};
    for (size_t i = 0; i < 6; i++) {
        if (strcmp(value, yes[i]) == 0) return *out = true, true;
        if (strcmp(value, no[i]) == 0) return *out = false, true;
    }
    return false;
}

// Reads a number of the key's range.
static bool read_number(const struct train_key *key, const char *value, const char *where,
                        double *out)
{
    char *end;
    errno = 0;
    double number = strtod(value, &end);
    if (!*value || *end || !isfinite(number))
        return err_user("%s: %s: expected a number, not '%s'", where, key->name, value);
    if (key->type == TRAIN_INT && number != floor(number))
        return err_user("%s: %s: expected a whole number, not '%s'", where, key->name, value);
    if (number < key->min || number > key->max) {
        if (key->max >= TRAIN_NO_MAX)
            return err_user("%s: %s: %s is out of range: at least %g", where, key->name, value,
                            key->min);
        return err_user("%s: %s: %s is out of range: from %.10g to %.10g", where, key->name, value,
                        key->min, key->max);
    }
    *out = number;
    return true;
}

static bool no_choice(const struct train_key *key, const char *value, const char *where)
{
    char *choices = mem_strdup(key->choices);
    const char *names[MAX_CHOICES];
    size_t count = 0;
    for (char *at = choices, *end; at; at = end ? end + 1 : NULL) {
        if ((end = strchr(at, '|'))) *end = 0;
        CHECK(count < MAX_CHOICES);
        names[count++] = at;
    }
    const char *nearest = str_nearest(value, names, count);
    err_user("%s: %s: '%s' is not one of %s%s%s%s", where, key->name, value, key->choices,
             nearest ? ": did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    mem_free(choices);
    return false;
}

static bool read_choice(const struct train_key *key, const char *value, const char *where,
                        int64_t *out)
{
    bool yes;
    int64_t index = train_choice_index(key->choices, value);
    // "True" and "no" where the choices are true and false, or on and off.
    if (index < 0 && parse_bool(value, &yes)) {
        index = train_choice_index(key->choices, yes ? "true" : "false");
        if (index < 0) index = train_choice_index(key->choices, yes ? "on" : "off");
    }
    if (index < 0) return no_choice(key, value, where);
    *out = index;
    return true;
}

static bool set_default(struct train_config *c, const struct train_key *key)
{
    void *field = (char *)c + key->offset;
    if (key->fallback) return train_config_set(c, key->name, key->fallback, "default");
    if (key->type == TRAIN_INT) *(int64_t *)field = TRAIN_UNSET;
    if (key->type == TRAIN_NUMBER) *(double *)field = NAN;
    if (key->type == TRAIN_CHOICES || key->type == TRAIN_NUMBERS)
        *(size_t *)(void *)((char *)c + key->count) = 0;
    for (size_t i = 0; key->type == TRAIN_NUMBERS && i < TRAIN_MAX_LOSSES; i++)
        ((double *)field)[i] = 1;
    return true;
}

// ---- lists ----

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Cuts blanks, then one pair of quotes, off [*text, *end).
static void trim(const char **text, const char **end)
{
    while (*text < *end && is_blank(**text))
        (*text)++;
    while (*text < *end && is_blank((*end)[-1]))
        (*end)--;
    if (*end - *text >= 2 && (**text == '"' || **text == '\'') && (*end)[-1] == **text) {
        (*text)++;
        (*end)--;
    }
}

static bool read_entry(const struct train_key *key, const char *value, const char *where,
                       int64_t *choices, double *numbers, size_t count)
{
    if (key->type == TRAIN_NUMBERS) return read_number(key, value, where, &numbers[count]);
    if (!read_choice(key, value, where, &choices[count])) return false;
    for (size_t i = 0; i < count; i++)
        if (choices[i] == choices[count])
            return err_user("%s: %s: %s is in the list twice: name it once and give it a weight",
                            where, key->name, value);
    return true;
}

// "a,b" or "[a, b]".
static bool set_list(struct train_config *c, const struct train_key *key, const char *value,
                     const char *where)
{
    const char *at = value, *end = value + strlen(value);
    trim(&at, &end);
    if (at < end && *at == '[') {
        if (end[-1] != ']') return err_user("%s: %s: '%s' lacks its ']'", where, key->name, value);
        at++;
        end--;
    }
    int64_t choices[TRAIN_MAX_LOSSES];
    double numbers[TRAIN_MAX_LOSSES];
    size_t count = 0;
    for (bool more = true; more; count++) {
        if (count == TRAIN_MAX_LOSSES)
            return err_user("%s: %s: %d entries at most", where, key->name, TRAIN_MAX_LOSSES);
        const char *comma = memchr(at, ',', (size_t)(end - at)), *from = at, *to;
        more = comma != NULL;
        to = more ? comma : end;
        trim(&from, &to);
        struct str entry = {0};
        str_append_bytes(&entry, from, (size_t)(to - from));
        bool ok = read_entry(key, str_text(&entry), where, choices, numbers, count);
        str_finish(&entry);
        if (!ok) return false;
        if (more) at = comma + 1;
    }
    void *field = (char *)c + key->offset;
    set_default(c, key); // the places behind the list
    if (key->type == TRAIN_CHOICES)
        memcpy(field, choices, count * sizeof *choices);
    else
        memcpy(field, numbers, count * sizeof *numbers);
    *(size_t *)(void *)((char *)c + key->count) = count;
    return true;
}

// ---- keys ----

static bool is_null(const struct train_key *key, const char *value)
{
    if (key->type == TRAIN_STRING || key->type == TRAIN_BOOL || key->type == TRAIN_CHOICE)
        return false;
    return strcmp(value, "null") == 0 || strcmp(value, "none") == 0 || strcmp(value, "None") == 0;
}

bool train_config_set(struct train_config *c, const char *name, const char *value,
                      const char *where)
{
    if (strcmp(name, TRAIN_SCHEDULE_KWARGS) == 0)
        return train_config_read_schedule(c, value, where);
    const struct train_key *key = train_key_find(name);
    if (!key) return unknown_key(name, value, where);
    if (is_null(key, value)) return set_default(c, key);
    void *field = (char *)c + key->offset;
    double number;
    switch (key->type) {
    case TRAIN_BOOL:
        if (!parse_bool(value, field))
            return err_user("%s: %s: expected true or false, not '%s'", where, name, value);
        if (field == &c->sync_ref_model) c->sync_ref_model_given = true;
        return true;
    case TRAIN_INT:
        if (!read_number(key, value, where, &number)) return false;
        *(int64_t *)field = (int64_t)number;
        return true;
    case TRAIN_NUMBER:
        return read_number(key, value, where, field);
    case TRAIN_CHOICE:
        return read_choice(key, value, where, field);
    case TRAIN_STRING:
        mem_free(*(char **)field);
        *(char **)field = *value ? mem_strdup(value) : NULL;
        return true;
    case TRAIN_CHOICES:
    case TRAIN_NUMBERS:
        return set_list(c, key, value, where);
    }
    return true;
}

void train_config_init(struct train_config *c)
{
    *c = (struct train_config){0};
    for (size_t i = 0; i < train_key_count; i++)
        CHECK(set_default(c, &train_keys[i]));
    c->sync_ref_model_given = false;
}

void train_config_finish(struct train_config *c)
{
    for (size_t i = 0; i < train_key_count; i++)
        if (train_keys[i].type == TRAIN_STRING)
            mem_free(*(char **)(void *)((char *)c + train_keys[i].offset));
    *c = (struct train_config){0};
}
