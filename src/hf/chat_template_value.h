// Values of the template language: Python's, as far as templates see them.
//
// Values live in an arena that is freed as a whole. Strings, lists and dicts are never changed once
// a template can see them (transformers runs templates in an immutable sandbox); only namespaces
// are.
#ifndef TRDPO_HF_CHAT_TEMPLATE_VALUE_H
#define TRDPO_HF_CHAT_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum jinja_kind {
    JINJA_ABSENT,    // an argument that was not given; never seen by templates
    JINJA_UNDEFINED, // text: its name, for messages
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING, // text: valid UTF-8
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_DICT,
    JINJA_NAMESPACE, // dict
    JINJA_LOOP,      // the variable `loop`
    JINJA_MACRO,
    JINJA_FUNCTION, // of the language: range, namespace, ...
    JINJA_METHOD,   // of a string, dict, list or loop, bound to it
};

struct jinja_text {
    const char *at;
    size_t len;
};

struct jinja_value {
    enum jinja_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        struct jinja_text text;
        struct jinja_list *list;
        struct jinja_dict *dict;
        struct jinja_loop *loop;
        struct jinja_macro *macro;
        const struct jinja_builtin *function;
        struct jinja_method *method;
    } u;
};

struct jinja_list {
    struct jinja_value *items;
    size_t count, capacity;
};

// In order of insertion, with an index of positions by hash once it is worth one.
struct jinja_dict {
    struct jinja_value *keys, *values;
    size_t count, capacity;
    uint32_t *index; // [index_size] position + 1, 0: free
    size_t index_size;
};

struct jinja_method {
    const struct jinja_builtin *function;
    struct jinja_value self;
};

// ---- memory ----

struct jinja_arena {
    struct jinja_block *blocks;
    size_t used; // bytes handed out
};
void *jinja_alloc(struct jinja_arena *arena, size_t bytes); // zeroed, aligned for any type
void jinja_arena_finish(struct jinja_arena *arena);

// ---- making values ----

struct jinja_value jinja_undefined(struct jinja_text name);
struct jinja_value jinja_none(void);
struct jinja_value jinja_bool(bool b);
struct jinja_value jinja_int(int64_t i);
struct jinja_value jinja_float(double d);
struct jinja_value jinja_string(const char *at, size_t len); // refers to the bytes
struct jinja_value jinja_literal(const char *text);          // refers to a NUL-terminated text
struct jinja_value jinja_copy(struct jinja_arena *arena, const char *at, size_t len);
struct jinja_value jinja_new_list(struct jinja_arena *arena, enum jinja_kind list_or_tuple);
void jinja_push(struct jinja_arena *arena, struct jinja_value list, struct jinja_value item);
struct jinja_value jinja_new_dict(struct jinja_arena *arena, enum jinja_kind dict_or_namespace);

// A JSON tree as values; strings refer to it.
struct cJSON;
struct jinja_value jinja_from_json(struct jinja_arena *arena, const struct cJSON *json);

// ---- dicts ----

// What may be a key: all but lists and mappings, and tuples of what is no tuple itself.
bool jinja_hashable(const struct jinja_value *v);
// Sets a key, over an equal one if there is one. The key must be hashable.
void jinja_dict_set(struct jinja_arena *arena, struct jinja_dict *dict, struct jinja_value key,
                    struct jinja_value value);
const struct jinja_value *jinja_dict_find(const struct jinja_dict *dict,
                                          const struct jinja_value *key); // NULL: none
const struct jinja_value *jinja_dict_find_text(const struct jinja_dict *dict,
                                               struct jinja_text key);

// ---- looking at values ----

bool jinja_truth(const struct jinja_value *v);
bool jinja_is_number(const struct jinja_value *v); // bool, int or float
bool jinja_is_int(const struct jinja_value *v);    // bool or int
int64_t jinja_as_int(const struct jinja_value *v); // of those
double jinja_as_double(const struct jinja_value *v);
bool jinja_text_is(struct jinja_text a, const char *b);
bool jinja_same_text(struct jinja_text a, struct jinja_text b);
const char *jinja_kind_name(const struct jinja_value *v); // "a string", for messages

// A template may take so many steps; whatever grows with the size of values counts as more than
// one.
#define JINJA_MAX_STEPS ((size_t)10000000)

// Python's ==. The work is added to *steps; beyond JINJA_MAX_STEPS, or 200 levels of nesting,
// values count as different.
bool jinja_equal(const struct jinja_value *a, const struct jinja_value *b, size_t *steps);
// Python's order: sets *order to less, equal, greater than 0; false where there is none.
bool jinja_order(const struct jinja_value *a, const struct jinja_value *b, int *order,
                 size_t *steps);

#endif
