// Reading a configuration file: flat YAML, of which JSON is a part.
#include "train/config.h"

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

static bool take_value(struct reader *r, const char *key, size_t line)
{
    yaml_event_t e;
    if (!next(r, &e)) return false;
    bool ok;
    char *where = str_format("%s: line %zu", r->path, line);
    if (e.type != YAML_SCALAR_EVENT)
        ok = err_user("%s: %s: expected a single value, not a list or a group of keys", where, key);
    else if (memchr(e.data.scalar.value, 0, e.data.scalar.length))
        ok = err_user("%s: %s: the value holds a NUL character", where, key);
    else if (is_null(&e) && train_key_find(key))
        ok = true; // null: the default
    else
        ok = train_config_set(r->config, key, (const char *)e.data.scalar.value, where);
    mem_free(where);
    yaml_event_delete(&e);
    return ok;
}

static bool read_pairs(struct reader *r)
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
        bool ok = check_once(r, key, line) && take_value(r, key, line);
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

bool train_config_read(struct train_config *c, const char *path)
{
    size_t len;
    char *text = file_read(path, MAX_FILE_BYTES, &len);
    if (!text) return false;
    struct reader r = {.path = path, .config = c};
    bool ok = false, empty = false;
    if (!yaml_parser_initialize(&r.parser)) {
        mem_free(text);
        return err_device("%s: out of memory while reading", path);
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    ok = enter_mapping(&r, &empty) && (empty || (read_pairs(&r) && expect_end(&r)));
    yaml_parser_delete(&r.parser);
    for (size_t i = 0; i < r.seen.count; i++)
        mem_free(r.seen.items[i]);
    ARRAY_FREE(&r.seen);
    mem_free(text);
    return ok;
}
