#include "chat_template_value.h"

#include "base/mem.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdalign.h>
#include <string.h>

#define MAX_NESTING 200

// ---- memory ----

#define BLOCK_BYTES ((size_t)32 << 10)

struct jinja_block {
    struct jinja_block *next;
    size_t size, used;
    alignas(max_align_t) unsigned char bytes[];
};

void *jinja_alloc(struct jinja_arena *arena, size_t bytes)
{
    bytes = (bytes + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    struct jinja_block *b = arena->blocks;
    if (!b || b->size - b->used < bytes) {
        size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        b = mem_calloc(1, sizeof *b + size);
        b->size = size;
        b->next = arena->blocks;
        arena->blocks = b;
    }
    void *at = b->bytes + b->used;
    b->used += bytes;
    arena->used += bytes;
    return at;
}

void jinja_arena_finish(struct jinja_arena *arena)
{
    while (arena->blocks) {
        struct jinja_block *next = arena->blocks->next;
        mem_free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}

// ---- making values ----

struct jinja_value jinja_undefined(struct jinja_text name)
{
    return (struct jinja_value){.kind = JINJA_UNDEFINED, .u.text = name};
}

struct jinja_value jinja_none(void)
{
    return (struct jinja_value){.kind = JINJA_NONE};
}

struct jinja_value jinja_bool(bool b)
{
    return (struct jinja_value){.kind = JINJA_BOOL, .u.boolean = b};
}

struct jinja_value jinja_int(int64_t i)
{
    return (struct jinja_value){.kind = JINJA_INT, .u.integer = i};
}

struct jinja_value jinja_float(double d)
{
    return (struct jinja_value){.kind = JINJA_FLOAT, .u.number = d};
}

struct jinja_value jinja_string(const char *at, size_t len)
{
    return (struct jinja_value){.kind = JINJA_STRING, .u.text = {at, len}};
}

struct jinja_value jinja_literal(const char *text)
{
    return jinja_string(text, strlen(text));
}

struct jinja_value jinja_copy(struct jinja_arena *arena, const char *at, size_t len)
{
    char *copy = jinja_alloc(arena, len + 1);
    if (len) memcpy(copy, at, len);
    return jinja_string(copy, len);
}

struct jinja_value jinja_new_list(struct jinja_arena *arena, enum jinja_kind list_or_tuple)
{
    struct jinja_list *list = jinja_alloc(arena, sizeof *list);
    return (struct jinja_value){.kind = list_or_tuple, .u.list = list};
}

void jinja_push(struct jinja_arena *arena, struct jinja_value list, struct jinja_value item)
{
    struct jinja_list *l = list.u.list;
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 4;
        struct jinja_value *items = jinja_alloc(arena, capacity * sizeof *items);
        if (l->count) memcpy(items, l->items, l->count * sizeof *items);
        l->items = items;
        l->capacity = capacity;
    }
    l->items[l->count++] = item;
}

struct jinja_value jinja_new_dict(struct jinja_arena *arena, enum jinja_kind dict_or_namespace)
{
    struct jinja_dict *dict = jinja_alloc(arena, sizeof *dict);
    return (struct jinja_value){.kind = dict_or_namespace, .u.dict = dict};
}

struct jinja_value jinja_from_json(struct jinja_arena *arena, const cJSON *json)
{
    if (cJSON_IsString(json)) return jinja_literal(json->valuestring);
    if (cJSON_IsBool(json)) return jinja_bool(cJSON_IsTrue(json));
    if (cJSON_IsNumber(json)) {
        double d = json->valuedouble; // whether it was written 1 or 1.0 is not known any more
        return d == floor(d) && fabs(d) <= 9007199254740992.0 ? jinja_int((int64_t)d)
                                                              : jinja_float(d);
    }
    if (cJSON_IsArray(json)) {
        struct jinja_value list = jinja_new_list(arena, JINJA_LIST);
        for (const cJSON *item = json->child; item; item = item->next)
            jinja_push(arena, list, jinja_from_json(arena, item));
        return list;
    }
    if (cJSON_IsObject(json)) {
        struct jinja_value dict = jinja_new_dict(arena, JINJA_DICT);
        for (const cJSON *item = json->child; item; item = item->next)
            jinja_dict_set(arena, dict.u.dict, jinja_literal(item->string),
                           jinja_from_json(arena, item));
        return dict;
    }
    return jinja_none();
}

// ---- dicts ----

static bool is_scalar(const struct jinja_value *v)
{
    return v->kind != JINJA_LIST && v->kind != JINJA_DICT && v->kind != JINJA_TUPLE;
}

bool jinja_hashable(const struct jinja_value *v)
{
    if (v->kind != JINJA_TUPLE) return is_scalar(v);
    for (size_t i = 0; i < v->u.list->count; i++)
        if (!is_scalar(&v->u.list->items[i])) return false;
    return true;
}

static uint64_t hash_bytes(const void *bytes, size_t len)
{
    const unsigned char *b = bytes;
    uint64_t h = 0xCBF29CE484222325u; // FNV-1a
    for (size_t i = 0; i < len; i++)
        h = (h ^ b[i]) * 0x100000001B3u;
    return h ^ h >> 32;
}

// Equal values have equal hashes: numbers of all kinds by their value as a double.
static uint64_t hash_value(const struct jinja_value *v)
{
    if (v->kind == JINJA_STRING) return hash_bytes(v->u.text.at, v->u.text.len);
    if (jinja_is_number(v)) {
        double d = jinja_as_double(v) + 0.0; // -0.0 as 0.0
        return hash_bytes(&d, sizeof d);
    }
    if (v->kind == JINJA_TUPLE) {
        uint64_t h = v->u.list->count;
        for (size_t i = 0; i < v->u.list->count; i++)
            h = h * 31 + hash_value(&v->u.list->items[i]);
        return h;
    }
    return (uint64_t)v->kind;
}

// Keys are flat, so comparing them is no work worth counting.
static bool same_key(const struct jinja_value *a, const struct jinja_value *b)
{
    size_t steps = 0;
    return jinja_equal(a, b, &steps);
}

// The place in the index where the key is or would be.
static size_t index_place(const struct jinja_dict *d, const struct jinja_value *key)
{
    size_t at = (size_t)hash_value(key) & (d->index_size - 1);
    while (d->index[at] && !same_key(&d->keys[d->index[at] - 1], key))
        at = (at + 1) & (d->index_size - 1);
    return at;
}

static size_t find(const struct jinja_dict *d, const struct jinja_value *key)
{
    if (d->index) {
        uint32_t entry = d->index[index_place(d, key)];
        return entry ? entry - 1 : SIZE_MAX;
    }
    for (size_t i = 0; i < d->count; i++)
        if (same_key(&d->keys[i], key)) return i;
    return SIZE_MAX;
}

static void grow(struct jinja_arena *arena, struct jinja_dict *d)
{
    size_t capacity = d->capacity ? 2 * d->capacity : 4;
    struct jinja_value *keys = jinja_alloc(arena, capacity * sizeof *keys);
    struct jinja_value *values = jinja_alloc(arena, capacity * sizeof *values);
    if (d->count) {
        memcpy(keys, d->keys, d->count * sizeof *keys);
        memcpy(values, d->values, d->count * sizeof *values);
    }
    d->keys = keys;
    d->values = values;
    d->capacity = capacity;
    if (capacity < 16) return;
    d->index_size = 2 * capacity;
    d->index = jinja_alloc(arena, d->index_size * sizeof *d->index);
    for (size_t i = 0; i < d->count; i++)
        d->index[index_place(d, &d->keys[i])] = (uint32_t)i + 1;
}

void jinja_dict_set(struct jinja_arena *arena, struct jinja_dict *dict, struct jinja_value key,
                    struct jinja_value value)
{
    size_t at = find(dict, &key);
    if (at != SIZE_MAX) {
        dict->values[at] = value;
        return;
    }
    if (dict->count == dict->capacity) grow(arena, dict);
    if (dict->index) dict->index[index_place(dict, &key)] = (uint32_t)dict->count + 1;
    dict->keys[dict->count] = key;
    dict->values[dict->count++] = value;
}

const struct jinja_value *jinja_dict_find(const struct jinja_dict *dict,
                                          const struct jinja_value *key)
{
    size_t at = find(dict, key);
    return at == SIZE_MAX ? NULL : &dict->values[at];
}

const struct jinja_value *jinja_dict_find_text(const struct jinja_dict *dict, struct jinja_text key)
{
    struct jinja_value v = jinja_string(key.at, key.len);
    return jinja_dict_find(dict, &v);
}

// ---- looking at values ----

bool jinja_truth(const struct jinja_value *v)
{
    switch (v->kind) {
    case JINJA_ABSENT:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v->u.boolean;
    case JINJA_INT:
        return v->u.integer != 0;
    case JINJA_FLOAT:
        return v->u.number != 0;
    case JINJA_STRING:
        return v->u.text.len > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
        return v->u.list->count > 0;
    case JINJA_DICT:
        return v->u.dict->count > 0;
    default:
        return true;
    }
}

bool jinja_is_int(const struct jinja_value *v)
{
    return v->kind == JINJA_BOOL || v->kind == JINJA_INT;
}

bool jinja_is_number(const struct jinja_value *v)
{
    return jinja_is_int(v) || v->kind == JINJA_FLOAT;
}

int64_t jinja_as_int(const struct jinja_value *v)
{
    return v->kind == JINJA_BOOL ? v->u.boolean : v->u.integer;
}

double jinja_as_double(const struct jinja_value *v)
{
    return v->kind == JINJA_FLOAT ? v->u.number : (double)jinja_as_int(v);
}

bool jinja_text_is(struct jinja_text a, const char *b)
{
    size_t len = strlen(b);
    return a.len == len && memcmp(a.at, b, len) == 0;
}

bool jinja_same_text(struct jinja_text a, struct jinja_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

const char *jinja_kind_name(const struct jinja_value *v)
{
    static const char *const names[] = {
        [JINJA_ABSENT] = "nothing",
        [JINJA_UNDEFINED] = "an undefined value",
        [JINJA_NONE] = "none",
        [JINJA_BOOL] = "a boolean",
        [JINJA_INT] = "an integer",
        [JINJA_FLOAT] = "a float",
        [JINJA_STRING] = "a string",
        [JINJA_LIST] = "a list",
        [JINJA_TUPLE] = "a tuple",
        [JINJA_DICT] = "a mapping",
        [JINJA_NAMESPACE] = "a namespace",
        [JINJA_LOOP] = "the loop",
        [JINJA_MACRO] = "a macro",
        [JINJA_FUNCTION] = "a function",
        [JINJA_METHOD] = "a method",
    };
    return names[v->kind];
}

static bool equal(const struct jinja_value *a, const struct jinja_value *b, int depth,
                  size_t *steps);

static bool equal_dicts(const struct jinja_dict *a, const struct jinja_dict *b, int depth,
                        size_t *steps)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        size_t at = find(b, &a->keys[i]);
        if (at == SIZE_MAX || !equal(&a->values[i], &b->values[at], depth + 1, steps)) return false;
    }
    return true;
}

static bool equal(const struct jinja_value *a, const struct jinja_value *b, int depth,
                  size_t *steps)
{
    if (depth > MAX_NESTING || ++*steps > JINJA_MAX_STEPS) return false;
    if (jinja_is_int(a) && jinja_is_int(b)) return jinja_as_int(a) == jinja_as_int(b);
    if (jinja_is_number(a) && jinja_is_number(b)) return jinja_as_double(a) == jinja_as_double(b);
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case JINJA_STRING:
        *steps += a->u.text.len / 64;
        return jinja_same_text(a->u.text, b->u.text);
    case JINJA_LIST:
    case JINJA_TUPLE:
        if (a->u.list->count != b->u.list->count) return false;
        for (size_t i = 0; i < a->u.list->count; i++)
            if (!equal(&a->u.list->items[i], &b->u.list->items[i], depth + 1, steps)) return false;
        return true;
    case JINJA_DICT:
        return equal_dicts(a->u.dict, b->u.dict, depth, steps);
    case JINJA_NAMESPACE:
        return a->u.dict == b->u.dict;
    case JINJA_LOOP:
        return a->u.loop == b->u.loop;
    case JINJA_MACRO:
        return a->u.macro == b->u.macro;
    case JINJA_FUNCTION:
        return a->u.function == b->u.function;
    case JINJA_METHOD:
        return a->u.method == b->u.method;
    default:
        return true; // undefined, none
    }
}

bool jinja_equal(const struct jinja_value *a, const struct jinja_value *b, size_t *steps)
{
    return equal(a, b, 0, steps);
}

static bool order_lists(const struct jinja_list *a, const struct jinja_list *b, int *order,
                        size_t *steps)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (jinja_equal(&a->items[i], &b->items[i], steps)) continue;
        // One level of nesting: deeper orders are not needed by any template.
        const struct jinja_value *x = &a->items[i], *y = &b->items[i];
        return x->kind != JINJA_LIST && x->kind != JINJA_TUPLE && jinja_order(x, y, order, steps);
    }
    *order = (a->count > b->count) - (a->count < b->count);
    return true;
}

bool jinja_order(const struct jinja_value *a, const struct jinja_value *b, int *order,
                 size_t *steps)
{
    if (jinja_is_int(a) && jinja_is_int(b)) {
        int64_t x = jinja_as_int(a), y = jinja_as_int(b);
        *order = (x > y) - (x < y);
        return true;
    }
    if (jinja_is_number(a) && jinja_is_number(b)) {
        double x = jinja_as_double(a), y = jinja_as_double(b);
        *order = (x > y) - (x < y);
        return !isnan(x) && !isnan(y);
    }
    if (a->kind != b->kind) return false;
    if (a->kind == JINJA_STRING) { // UTF-8 sorts bytewise as its code points do
        struct jinja_text x = a->u.text, y = b->u.text;
        size_t least = x.len < y.len ? x.len : y.len;
        int c = least ? memcmp(x.at, y.at, least) : 0;
        *order = c ? c : (x.len > y.len) - (x.len < y.len);
        return true;
    }
    if (a->kind == JINJA_LIST || a->kind == JINJA_TUPLE)
        return order_lists(a->u.list, b->u.list, order, steps);
    return false;
}
