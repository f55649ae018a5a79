// Reading a configuration file: flat YAML, of which JSON is a part.
#include "train/config_keys.h"

#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

#include <string.h>
#include <yaml.h>

#define MAX_FILE_BYTES ((size_t)1 << 20)

struct reader {
    const char *path;
    struct train_config *config;
    yaml_parser_t parser;
    struct key_names ARRAY_OF(char *) seen;
};

static size_t line_of(const yaml_event_t *e)
{
    return e->start_mark.line + 1;
}

static bool next(struct reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->parser, e)) return true;
    return err_user("%s: line %zu: not YAML: %s", r->path, r->parser.problem_mark.line + 1,
                    r->parser.problem ? r->parser.problem : "cannot be read");
}

// Takes events up to the mapping's start; an empty document is an empty configuration.
static bool enter_mapping(struct reader *r, bool *empty)
{
    for (;;) {
        yaml_event_t e;
        if (!next(r, &e)) return false;
        yaml_event_type_t type = e.type;
        size_t line = line_of(&e);
        bool blank = type == YAML_SCALAR_EVENT && e.data.scalar.length == 0;
        yaml_event_delete(&e);
        if (type == YAML_MAPPING_START_EVENT) return true;
        *empty = type == YAML_STREAM_END_EVENT || blank;
        if (*empty) return true;
        if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT)
            return err_user("%s: line %zu: expected lines of 'key: value'", r->path, line);
    }
}

static bool check_once(struct reader *r, const char *key, size_t line)
{
    for (size_t i = 0; i < r->seen.count; i++)
        if (strcmp(r->seen.items[i], key) == 0)
            return err_user("%s: line %zu: key '%s' is given twice", r->path, line, key);
    ARRAY_PUSH(&r->seen, mem_strdup(key));
    return true;
}

static bool is_null(const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || strcmp(text, "null") == 0 || strcmp(text, "~") == 0);
}

// The values of a list, "a,b", from behind its start to its end.
static bool take_list(struct reader *r, const char *key, const char *where, struct str *out)
{
    for (bool first = true;; first = false) {
        yaml_event_t e;
        if (!next(r, &e)) return false;
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            return !first || err_user("%s: %s: the list is empty", where, key);
        }
        bool ok = e.type == YAML_SCALAR_EVENT &&
                  !memchr(e.data.scalar.value, 0, e.data.scalar.length) && e.data.scalar.length > 0;
        if (ok && !first) str_append_char(out, ',');
        if (ok) str_append(out, (const char *)e.data.scalar.value);
        yaml_event_delete(&e);
        if (!ok) return err_user("%s: %s: expected a list of single values", where, key);
    }
}

static bool take_scalar(struct reader *r, const yaml_event_t *e, const char *key, const char *where)
{
    if (memchr(e->data.scalar.value, 0, e->data.scalar.length))
        return err_user("%s: %s: the value holds a NUL character", where, key);
    if (is_null(e) && (train_key_find(key) || train_key_is_foreign(key)))
        return true; // null: the default
    return train_config_set(r->config, key, (const char *)e->data.scalar.value, where);
}

static bool read_pairs(struct reader *r, bool of_schedule);

static bool take_value(struct reader *r, const char *key, size_t line)
{
    yaml_event_t e;
    if (!next(r, &e)) return false;
    bool ok;
    const struct train_key *known = train_key_find(key);
    bool list = known && (known->type == TRAIN_CHOICES || known->type == TRAIN_NUMBERS);
    char *where = str_format("%s: line %zu", r->path, line);
    if (e.type == YAML_SCALAR_EVENT) {
        ok = take_scalar(r, &e, key, where);
    } else if (e.type == YAML_SEQUENCE_START_EVENT && list) {
        struct str values = {0};
        ok = take_list(r, key, where, &values) &&
             train_config_set(r->config, key, str_text(&values), where);
        str_finish(&values);
    } else if (e.type == YAML_MAPPING_START_EVENT && strcmp(key, TRAIN_SCHEDULE_KWARGS) == 0) {
        ok = read_pairs(r, true);
    } else {
        ok = err_user("%s: %s: expected %s", where, key,
                      list ? "a value or a list of values"
                           : "a single value, not a list or a group of keys");
    }
    mem_free(where);
    yaml_event_delete(&e);
    return ok;
}

// Keys and values to the end of the mapping. `of_schedule`: those of lr_scheduler_kwargs.
static bool read_pairs(struct reader *r, bool of_schedule)
{
    for (;;) {
        yaml_event_t e;
        if (!next(r, &e)) return false;
        size_t line = line_of(&e);
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            return true;
        }
        if (e.type != YAML_SCALAR_EVENT) {
            yaml_event_delete(&e);
            return err_user("%s: line %zu: expected a key", r->path, line);
        }
        char *key = mem_strdup((const char *)e.data.scalar.value);
        yaml_event_delete(&e);
        bool ok = true;
        if (of_schedule && !train_key_is_of_schedule(key))
            ok = err_user("%s: line %zu: %s: '%s' is not a setting of a schedule", r->path, line,
                          TRAIN_SCHEDULE_KWARGS, key);
        ok = ok && check_once(r, key, line) && take_value(r, key, line);
        mem_free(key);
        if (!ok) return false;
    }
}

// Nothing may follow: a second document would be settings that nobody reads.
static bool expect_end(struct reader *r)
{
    for (;;) {
        yaml_event_t e;
        if (!next(r, &e)) return false;
        yaml_event_type_t type = e.type;
        size_t line = line_of(&e);
        yaml_event_delete(&e);
        if (type == YAML_STREAM_END_EVENT) return true;
        if (type != YAML_DOCUMENT_END_EVENT)
            return err_user("%s: line %zu: expected the end of the file: settings stand in one "
                            "document",
                            r->path, line);
    }
}

static bool read_text(struct train_config *c, const char *text, size_t len, const char *path,
                      bool of_schedule)
{
    struct reader r = {.path = path, .config = c};
    bool ok = false, empty = false;
    if (!yaml_parser_initialize(&r.parser))
        return err_device("%s: out of memory while reading", path);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    ok = enter_mapping(&r, &empty) && (empty || (read_pairs(&r, of_schedule) && expect_end(&r)));
    yaml_parser_delete(&r.parser);
    for (size_t i = 0; i < r.seen.count; i++)
        mem_free(r.seen.items[i]);
    ARRAY_FREE(&r.seen);
    return ok;
}

bool train_config_read(struct train_config *c, const char *path)
{
    size_t len;
    char *text = file_read(path, MAX_FILE_BYTES, &len);
    if (!text) return false;
    bool ok = read_text(c, text, len, path, false);
    mem_free(text);
    return ok;
}

bool train_config_read_schedule(struct train_config *c, const char *text, const char *where)
{
    char *path = str_format("%s: %s", where, TRAIN_SCHEDULE_KWARGS);
    bool ok = read_text(c, text, strlen(text), path, true);
    mem_free(path);
    return ok;
}
