// Filters of sequences and mappings.
#include "chat_template_run.h"

#include <string.h>

#define FILTER(name)                                                                               \
    static struct jinja_value name(struct jinja_run *rt, struct jinja_value self,                  \
                                   const struct jinja_value *arg, const struct jinja_args *args)

static struct jinja_value empty(const char *what)
{
    return jinja_undefined((struct jinja_text){what, strlen(what)});
}

// The part of an item that `attribute` names ("a.b.0"); the item itself where it is absent.
static struct jinja_value attribute_of(struct jinja_run *rt, struct jinja_value item,
                                       const struct jinja_value *attribute)
{
    if (attribute->kind == JINJA_ABSENT || attribute->kind == JINJA_NONE) return item;
    if (attribute->kind != JINJA_STRING) return jinja_index(rt, item, *attribute);
    struct jinja_text rest = attribute->u.text;
    for (bool more = true; more && !rt->failed;) {
        size_t dot = jinja_find(rest, (struct jinja_text){".", 1}, 0);
        struct jinja_text part = {rest.at, dot == SIZE_MAX ? rest.len : dot};
        more = dot != SIZE_MAX;
        if (more) rest = (struct jinja_text){rest.at + dot + 1, rest.len - dot - 1};
        bool number = part.len > 0 && part.len < 10;
        int64_t index = 0;
        for (size_t i = 0; i < part.len; i++) {
            number = number && part.at[i] >= '0' && part.at[i] <= '9';
            if (number) index = index * 10 + part.at[i] - '0';
        }
        item = jinja_index(rt, item, number ? jinja_int(index) : jinja_string(part.at, part.len));
    }
    return item;
}

// ---- one value of many ----

FILTER(f_length)
{
    (void)arg, (void)args;
    switch (self.kind) {
    case JINJA_UNDEFINED:
        return jinja_int(0);
    case JINJA_STRING:
        jinja_step(rt, self.u.text.len);
        return jinja_int((int64_t)jinja_char_count(self.u.text));
    case JINJA_LIST:
    case JINJA_TUPLE:
        return jinja_int((int64_t)self.u.list->count);
    case JINJA_DICT:
        return jinja_int((int64_t)self.u.dict->count);
    default:
        return jinja_fail(rt, "length: %s has none", jinja_kind_name(&self));
    }
}

FILTER(f_first)
{
    (void)arg, (void)args;
    const struct jinja_list *l = jinja_iterate(rt, self);
    return l->count ? l->items[0] : empty("the first of an empty sequence");
}

FILTER(f_last)
{
    (void)arg, (void)args;
    const struct jinja_list *l = jinja_iterate(rt, self);
    return l->count ? l->items[l->count - 1] : empty("the last of an empty sequence");
}

FILTER(f_join)
{
    (void)args;
    struct jinja_text between = {"", 0};
    struct str out = {0};
    if (arg[0].kind != JINJA_ABSENT) between = jinja_text_of(rt, arg[0]);
    const struct jinja_list *l = jinja_iterate(rt, self);
    for (size_t i = 0; i < l->count && !rt->failed; i++) {
        if (i) jinja_put(rt, &out, between.at, between.len);
        jinja_append(rt, &out, attribute_of(rt, l->items[i], &arg[1]));
    }
    return jinja_take(rt, &out);
}

FILTER(f_sum)
{
    (void)args;
    struct jinja_value total = arg[1].kind == JINJA_ABSENT ? jinja_int(0) : arg[1];
    const struct jinja_list *l = jinja_iterate(rt, self);
    for (size_t i = 0; i < l->count && jinja_step(rt, 0); i++)
        total = jinja_binary(rt, (struct jinja_text){"+", 1}, total,
                             attribute_of(rt, l->items[i], &arg[0]));
    return total;
}

// ---- lists of lists ----

FILTER(f_list)
{
    (void)arg, (void)args;
    if (self.kind == JINJA_LIST) return self; // values never change, so it need not be copied
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    const struct jinja_list *l = jinja_iterate(rt, self);
    for (size_t i = 0; i < l->count && jinja_step(rt, 0); i++)
        jinja_push(&rt->arena, list, l->items[i]);
    return list;
}

FILTER(f_reverse)
{
    (void)arg, (void)args;
    struct jinja_value bounds[3] = {jinja_none(), jinja_none(), jinja_int(-1)};
    if (self.kind == JINJA_STRING) return jinja_slice(rt, self, bounds);
    return jinja_slice(rt, f_list(rt, self, NULL, NULL), bounds);
}

FILTER(f_items)
{
    (void)arg;
    if (self.kind == JINJA_UNDEFINED) return jinja_new_list(&rt->arena, JINJA_LIST);
    if (self.kind != JINJA_DICT)
        return jinja_fail(rt, "items: expected a mapping, not %s", jinja_kind_name(&self));
    return jinja_run_builtin(
        rt, jinja_builtin_find(jinja_dict_methods, (struct jinja_text){"items", 5}), self, args);
}

static const struct jinja_value *named(const struct jinja_args *args, const char *name)
{
    for (size_t i = 0; i < args->named_count; i++)
        if (jinja_text_is(args->names[i], name)) return &args->named[i];
    return NULL;
}

// map(attribute=..., default=...), or map(filter, arguments...)
FILTER(f_map)
{
    (void)arg;
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    if (!jinja_truth(&self)) return list;
    const struct jinja_list *l = jinja_iterate(rt, self);
    const struct jinja_value *attribute = named(args, "attribute");
    const struct jinja_value *other = named(args, "default");
    struct jinja_args rest = *args;
    if (rest.count) {
        if (args->values[0].kind != JINJA_STRING)
            return jinja_fail(rt, "map: expected the name of a filter");
        rest.values++;
        rest.count--;
    } else if (!attribute) {
        return jinja_fail(rt, "map: expected a filter, or attribute=...");
    }
    for (size_t i = 0; i < l->count && jinja_step(rt, 0); i++) {
        struct jinja_value v = args->count
                                   ? jinja_filter(rt, args->values[0].u.text, l->items[i], &rest)
                                   : attribute_of(rt, l->items[i], attribute);
        if (!args->count && other && v.kind == JINJA_UNDEFINED) v = *other;
        jinja_push(&rt->arena, list, v);
    }
    return list;
}

// The items of which (an attribute of) passes a test, or is true where none is given.
static struct jinja_value choose(struct jinja_run *rt, struct jinja_value self,
                                 const struct jinja_args *args, bool by_attribute, bool keep)
{
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    struct jinja_args rest = *args;
    struct jinja_value attribute = {.kind = JINJA_ABSENT};
    if (!jinja_truth(&self)) return list;
    if (by_attribute) {
        if (!rest.count) return jinja_fail(rt, "selectattr, rejectattr: expected an attribute");
        attribute = *rest.values++;
        rest.count--;
    }
    const struct jinja_value *test = rest.count ? rest.values : NULL;
    if (test && test->kind != JINJA_STRING)
        return jinja_fail(rt, "select, reject: expected the name of a test");
    if (test) {
        rest.values++;
        rest.count--;
    }
    const struct jinja_list *l = jinja_iterate(rt, self);
    for (size_t i = 0; i < l->count && jinja_step(rt, 0); i++) {
        struct jinja_value v = attribute_of(rt, l->items[i], &attribute);
        bool passes = test ? jinja_test(rt, test->u.text, v, &rest) : jinja_truth(&v);
        if (passes == keep) jinja_push(&rt->arena, list, l->items[i]);
    }
    return list;
}

FILTER(f_select)
{
    (void)arg;
    return choose(rt, self, args, false, true);
}

FILTER(f_reject)
{
    (void)arg;
    return choose(rt, self, args, false, false);
}

FILTER(f_selectattr)
{
    (void)arg;
    return choose(rt, self, args, true, true);
}

FILTER(f_rejectattr)
{
    (void)arg;
    return choose(rt, self, args, true, false);
}

// ---- order ----

// What an item is compared by: strings in lower case, unless case counts.
static struct jinja_value key_of(struct jinja_run *rt, struct jinja_value item,
                                 const struct jinja_value *attribute, bool case_sensitive)
{
    struct jinja_value v = attribute_of(rt, item, attribute);
    if (case_sensitive || v.kind != JINJA_STRING) return v;
    return jinja_filter(rt, (struct jinja_text){"lower", 5}, v, &(struct jinja_args){0});
}

FILTER(f_unique)
{
    (void)args;
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    struct jinja_value seen = jinja_new_dict(&rt->arena, JINJA_DICT);
    const struct jinja_list *l = jinja_iterate(rt, self);
    for (size_t i = 0; i < l->count && jinja_step(rt, 0); i++) {
        struct jinja_value key = key_of(rt, l->items[i], &arg[1], jinja_truth(&arg[0]));
        if (!jinja_hashable(&key))
            return jinja_fail(rt, "unique: %s cannot be compared", jinja_kind_name(&key));
        if (jinja_dict_find(seen.u.dict, &key)) continue;
        jinja_dict_set(&rt->arena, seen.u.dict, key, jinja_none());
        jinja_push(&rt->arena, list, l->items[i]);
    }
    return list;
}

static bool in_order(struct jinja_run *rt, const struct jinja_value *a, const struct jinja_value *b,
                     bool reverse)
{
    int order = 0;
    if (!jinja_step(rt, 0)) return true;
    if (!jinja_order(a, b, &order, &rt->steps))
        jinja_fail(rt, "sort: %s and %s have no order", jinja_kind_name(a), jinja_kind_name(b));
    return reverse ? order >= 0 : order <= 0;
}

// Merge sort of positions by keys: equal ones keep their places, reversed or not, as in Python.
static size_t *sorted(struct jinja_run *rt, const struct jinja_value *keys, size_t n, bool reverse)
{
    size_t *from = jinja_alloc(&rt->arena, n * sizeof *from);
    size_t *to = jinja_alloc(&rt->arena, n * sizeof *to);
    for (size_t i = 0; i < n; i++)
        from[i] = i;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            size_t middle = low + width < n ? low + width : n;
            size_t high = middle + width < n ? middle + width : n;
            size_t a = low, b = middle;
            for (size_t k = low; k < high; k++) {
                bool first = a < middle &&
                             (b == high || in_order(rt, &keys[from[a]], &keys[from[b]], reverse));
                to[k] = from[first ? a++ : b++];
            }
        }
        size_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

static struct jinja_value sort_items(struct jinja_run *rt, const struct jinja_list *l,
                                     const struct jinja_value *attribute, bool case_sensitive,
                                     bool reverse)
{
    struct jinja_value keys = jinja_new_list(&rt->arena, JINJA_LIST);
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    for (size_t i = 0; i < l->count && jinja_step(rt, 0); i++)
        jinja_push(&rt->arena, keys, key_of(rt, l->items[i], attribute, case_sensitive));
    if (rt->failed) return list;
    size_t *order = sorted(rt, keys.u.list->items, l->count, reverse);
    for (size_t i = 0; i < l->count && !rt->failed; i++)
        jinja_push(&rt->arena, list, l->items[order[i]]);
    return list;
}

FILTER(f_sort)
{
    (void)args;
    return sort_items(rt, jinja_iterate(rt, self), &arg[2], jinja_truth(&arg[1]),
                      jinja_truth(&arg[0]));
}

FILTER(f_dictsort)
{
    (void)args;
    struct jinja_value by =
        jinja_int(arg[1].kind == JINJA_STRING && jinja_text_is(arg[1].u.text, "value"));
    if (self.kind != JINJA_DICT)
        return jinja_fail(rt, "dictsort: expected a mapping, not %s", jinja_kind_name(&self));
    struct jinja_value items = f_items(rt, self, NULL, &(struct jinja_args){0});
    return sort_items(rt, items.u.list, &by, jinja_truth(&arg[0]), jinja_truth(&arg[2]));
}

static struct jinja_value extreme(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, bool largest)
{
    const struct jinja_list *l = jinja_iterate(rt, self);
    if (!l->count) return empty("the extreme of an empty sequence");
    size_t best = 0;
    struct jinja_value key = key_of(rt, l->items[0], &arg[1], jinja_truth(&arg[0]));
    for (size_t i = 1; i < l->count && !rt->failed; i++) {
        struct jinja_value other = key_of(rt, l->items[i], &arg[1], jinja_truth(&arg[0]));
        if (in_order(rt, &key, &other, largest)) continue;
        best = i;
        key = other;
    }
    return l->items[best];
}

FILTER(f_min)
{
    (void)args;
    return extreme(rt, self, arg, false);
}

FILTER(f_max)
{
    (void)args;
    return extreme(rt, self, arg, true);
}

const struct jinja_builtin jinja_list_filters[] = {
    {"length", f_length, "", 0},
    {"count", f_length, "", 0},
    {"first", f_first, "", 0},
    {"last", f_last, "", 0},
    {"join", f_join, "d attribute", 0},
    {"sum", f_sum, "attribute start", 0},
    {"list", f_list, "", 0},
    {"reverse", f_reverse, "", 0},
    {"items", f_items, "", 0},
    {"map", f_map, "*", 0},
    {"select", f_select, "*", 0},
    {"reject", f_reject, "*", 0},
    {"selectattr", f_selectattr, "*", 0},
    {"rejectattr", f_rejectattr, "*", 0},
    {"unique", f_unique, "case_sensitive attribute", 0},
    {"sort", f_sort, "reverse case_sensitive attribute", 0},
    {"dictsort", f_dictsort, "case_sensitive by reverse", 0},
    {"min", f_min, "case_sensitive attribute", 0},
    {"max", f_max, "case_sensitive attribute", 0},
    {NULL, NULL, NULL, 0},
};
