// Operators, attributes, indexing, iteration: Python's rules, with Jinja's undefined values.
#include "chat_template_run.h"

#include <math.h>
#include <string.h>

#define MAX_POSITION ((int64_t)1 << 40) // beyond any text's or list's length

// Most uses of an undefined value are failures; true if this was one.
static bool is_undefined(struct jinja_run *rt, const struct jinja_value *v)
{
    if (v->kind != JINJA_UNDEFINED) return false;
    jinja_fail(rt, "'%.*s' is undefined", (int)v->u.text.len, v->u.text.at);
    return true;
}

// ---- attributes and indices ----

static struct jinja_value bind_method(struct jinja_run *rt, const struct jinja_builtin *table,
                                      struct jinja_value self, struct jinja_text name)
{
    const struct jinja_builtin *b = jinja_builtin_find(table, name);
    if (!b) return jinja_undefined(name);
    struct jinja_method *m = jinja_alloc(&rt->arena, sizeof *m);
    *m = (struct jinja_method){b, self};
    return (struct jinja_value){.kind = JINJA_METHOD, .u.method = m};
}

static struct jinja_value loop_attribute(struct jinja_run *rt, struct jinja_value v,
                                         struct jinja_text name)
{
    const struct jinja_loop *loop = v.u.loop;
    size_t i = loop->index, n = loop->items->count;
    const struct {
        const char *name;
        struct jinja_value value;
    } attributes[] = {
        {"index", jinja_int((int64_t)i + 1)},
        {"index0", jinja_int((int64_t)i)},
        {"revindex", jinja_int((int64_t)(n - i))},
        {"revindex0", jinja_int((int64_t)(n - i) - 1)},
        {"first", jinja_bool(i == 0)},
        {"last", jinja_bool(i + 1 == n)},
        {"length", jinja_int((int64_t)n)},
        {"depth", jinja_int(1)}, // of recursive loops, which are not supported
        {"depth0", jinja_int(0)},
        {"previtem", i ? loop->items->items[i - 1] : jinja_undefined(name)},
        {"nextitem", i + 1 < n ? loop->items->items[i + 1] : jinja_undefined(name)},
    };
    for (size_t k = 0; k < sizeof attributes / sizeof *attributes; k++)
        if (jinja_text_is(name, attributes[k].name)) return attributes[k].value;
    return bind_method(rt, jinja_loop_methods, v, name);
}

// What a value has by name, apart from the keys of a mapping.
static struct jinja_value own_attribute(struct jinja_run *rt, struct jinja_value of,
                                        struct jinja_text name)
{
    switch (of.kind) {
    case JINJA_STRING:
        return bind_method(rt, jinja_string_methods, of, name);
    case JINJA_DICT:
        return bind_method(rt, jinja_dict_methods, of, name);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return bind_method(rt, jinja_list_methods, of, name);
    case JINJA_LOOP:
        return loop_attribute(rt, of, name);
    case JINJA_MACRO:
        if (jinja_text_is(name, "name"))
            return jinja_string(of.u.macro->node->name.at, of.u.macro->node->name.len);
        return jinja_undefined(name);
    default:
        return jinja_undefined(name);
    }
}

struct jinja_value jinja_attribute(struct jinja_run *rt, struct jinja_value of,
                                   struct jinja_text name)
{
    if (is_undefined(rt, &of)) return of;
    struct jinja_value own = own_attribute(rt, of, name);
    if (own.kind != JINJA_UNDEFINED) return own;
    if (of.kind == JINJA_DICT || of.kind == JINJA_NAMESPACE) {
        const struct jinja_value *v = jinja_dict_find_text(of.u.dict, name);
        if (v) return *v;
    }
    return own;
}

static struct jinja_value char_at(struct jinja_run *rt, struct jinja_text t, int64_t i)
{
    jinja_step(rt, t.len);
    int64_t n = (int64_t)jinja_char_count(t);
    if (i < 0) i += n;
    if (i < 0 || i >= n) return jinja_undefined((struct jinja_text){"a character", 11});
    size_t at = jinja_char_offset(t, (size_t)i);
    return jinja_string(t.at + at, jinja_char_bytes(t.at[at]));
}

struct jinja_value jinja_index(struct jinja_run *rt, struct jinja_value of,
                               struct jinja_value index)
{
    struct jinja_value none = jinja_undefined((struct jinja_text){"an element", 10});
    if (rt->failed || is_undefined(rt, &of)) return none;
    if (index.kind == JINJA_STRING) none.u.text = index.u.text;
    if (of.kind == JINJA_DICT || (of.kind == JINJA_NAMESPACE && index.kind == JINJA_STRING)) {
        const struct jinja_value *v =
            jinja_hashable(&index) ? jinja_dict_find(of.u.dict, &index) : NULL;
        if (v) return *v;
    } else if ((of.kind == JINJA_LIST || of.kind == JINJA_TUPLE) && jinja_is_int(&index)) {
        int64_t i = jinja_as_int(&index), n = (int64_t)of.u.list->count;
        if (i < 0) i += n;
        return i >= 0 && i < n ? of.u.list->items[i] : none;
    } else if (of.kind == JINJA_STRING && jinja_is_int(&index)) {
        return char_at(rt, of.u.text, jinja_as_int(&index));
    }
    return index.kind == JINJA_STRING ? own_attribute(rt, of, index.u.text) : none;
}

// ---- slices ----

struct range {
    int64_t start, step;
    size_t count;
};

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

// The positions that [a:b:step] takes of n.
static bool resolve(struct jinja_run *rt, const struct jinja_value bounds[3], int64_t n,
                    struct range *out)
{
    for (int i = 0; i < 3; i++)
        if (!jinja_is_int(&bounds[i]) && bounds[i].kind != JINJA_NONE) {
            jinja_fail(rt, "a slice's bounds must be integers, not %s",
                       jinja_kind_name(&bounds[i]));
            return false;
        }
    int64_t step = bounds[2].kind == JINJA_NONE ? 1 : jinja_as_int(&bounds[2]);
    if (step == 0) {
        jinja_fail(rt, "a slice's step is 0");
        return false;
    }
    step = clamp(step, -MAX_POSITION, MAX_POSITION);
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    int64_t start = step > 0 ? low : high, stop = step > 0 ? high : low;
    for (int i = 0; i < 2; i++) {
        if (bounds[i].kind == JINJA_NONE) continue;
        int64_t v = clamp(jinja_as_int(&bounds[i]), -MAX_POSITION, MAX_POSITION);
        v = clamp(v < 0 ? v + n : v, low, high);
        *(i ? &stop : &start) = v;
    }
    int64_t span = step > 0 ? stop - start : start - stop, size = step > 0 ? step : -step;
    *out = (struct range){start, step, span > 0 ? (size_t)((span + size - 1) / size) : 0};
    return true;
}

static struct jinja_value slice_text(struct jinja_run *rt, struct jinja_text t,
                                     const struct range *r)
{
    if (r->step == 1) {
        size_t begin = jinja_char_offset(t, (size_t)r->start);
        struct jinja_text rest = {t.at + begin, t.len - begin};
        return jinja_string(rest.at, jinja_char_offset(rest, r->count));
    }
    // Offsets of all characters, once.
    size_t chars = 0, *offsets = jinja_alloc(&rt->arena, (t.len + 1) * sizeof *offsets);
    for (size_t at = 0; at < t.len; at += jinja_char_bytes(t.at[at]))
        offsets[chars++] = at;
    offsets[chars] = t.len;
    struct str out = {0};
    for (size_t k = 0; k < r->count; k++) {
        size_t i = (size_t)(r->start + (int64_t)k * r->step);
        str_append_bytes(&out, t.at + offsets[i], offsets[i + 1] - offsets[i]);
    }
    return jinja_take(rt, &out);
}

struct jinja_value jinja_slice(struct jinja_run *rt, struct jinja_value of,
                               const struct jinja_value bounds[3])
{
    struct range r;
    if (rt->failed || is_undefined(rt, &of)) return of;
    if (of.kind == JINJA_STRING) {
        jinja_step(rt, of.u.text.len);
        if (!resolve(rt, bounds, (int64_t)jinja_char_count(of.u.text), &r)) return of;
        return slice_text(rt, of.u.text, &r);
    }
    if (of.kind != JINJA_LIST && of.kind != JINJA_TUPLE)
        return jinja_fail(rt, "%s cannot be sliced", jinja_kind_name(&of));
    if (!resolve(rt, bounds, (int64_t)of.u.list->count, &r)) return of;
    struct jinja_value list = jinja_new_list(&rt->arena, of.kind);
    for (size_t k = 0; k < r.count && jinja_step(rt, 0); k++)
        jinja_push(&rt->arena, list, of.u.list->items[r.start + (int64_t)k * r.step]);
    return list;
}

// ---- arithmetic ----

static struct jinja_value overflow(struct jinja_run *rt)
{
    return jinja_fail(rt, "an integer is too large");
}

static bool fits_sum(int64_t a, int64_t b)
{
    return b > 0 ? a <= INT64_MAX - b : a >= INT64_MIN - b;
}

static bool fits_product(int64_t a, int64_t b)
{
    if (a == 0 || b == 0) return true;
    if (a == INT64_MIN || b == INT64_MIN) return a == 1 || b == 1;
    int64_t x = a < 0 ? -a : a, y = b < 0 ? -b : b;
    return x <= INT64_MAX / y;
}

static struct jinja_value int_power(struct jinja_run *rt, int64_t base, int64_t exponent)
{
    int64_t result = 1;
    while (exponent > 0) {
        if (exponent & 1) {
            if (!fits_product(result, base)) return overflow(rt);
            result *= base;
        }
        exponent >>= 1;
        if (exponent && !fits_product(base, base)) return overflow(rt);
        if (exponent) base *= base;
    }
    return jinja_int(result);
}

static struct jinja_value int_binary(struct jinja_run *rt, struct jinja_text op, int64_t a,
                                     int64_t b)
{
    if (jinja_text_is(op, "+")) return fits_sum(a, b) ? jinja_int(a + b) : overflow(rt);
    if (jinja_text_is(op, "-"))
        return b != INT64_MIN && fits_sum(a, -b) ? jinja_int(a - b) : overflow(rt);
    if (jinja_text_is(op, "*")) return fits_product(a, b) ? jinja_int(a * b) : overflow(rt);
    if (jinja_text_is(op, "**") && b >= 0) return int_power(rt, a, b);
    if (jinja_text_is(op, "**"))
        return a ? jinja_float(pow((double)a, (double)b)) : jinja_fail(rt, "division by zero");
    if (b == 0) return jinja_fail(rt, "division by zero");
    if (jinja_text_is(op, "/")) return jinja_float((double)a / (double)b);
    if (b == -1) { // the one quotient that could overflow
        if (a == INT64_MIN) return overflow(rt);
        return jinja_int(jinja_text_is(op, "//") ? -a : 0);
    }
    int64_t quotient = a / b, rest = a % b;
    if (rest && (rest < 0) != (b < 0)) { // towards minus infinity, as Python has it
        quotient--;
        rest += b;
    }
    return jinja_int(jinja_text_is(op, "//") ? quotient : rest);
}

static struct jinja_value float_binary(struct jinja_run *rt, struct jinja_text op, double a,
                                       double b)
{
    if (jinja_text_is(op, "+")) return jinja_float(a + b);
    if (jinja_text_is(op, "-")) return jinja_float(a - b);
    if (jinja_text_is(op, "*")) return jinja_float(a * b);
    if (jinja_text_is(op, "**")) return jinja_float(pow(a, b));
    if (b == 0) return jinja_fail(rt, "division by zero");
    if (jinja_text_is(op, "/")) return jinja_float(a / b);
    if (jinja_text_is(op, "//")) return jinja_float(floor(a / b));
    double rest = fmod(a, b);
    return jinja_float(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
}

static struct jinja_value repeat(struct jinja_run *rt, struct jinja_value v, int64_t times)
{
    if (times < 0) times = 0;
    size_t size = v.kind == JINJA_STRING ? v.u.text.len : v.u.list->count;
    if (size && (uint64_t)times > JINJA_MAX_STEPS / size)
        return jinja_fail(rt, "a repetition is too long");
    jinja_step(rt, size * (size_t)times);
    if (v.kind == JINJA_STRING) {
        struct str out = {0};
        for (int64_t i = 0; size && i < times; i++)
            str_append_bytes(&out, v.u.text.at, size);
        return jinja_take(rt, &out);
    }
    struct jinja_value list = jinja_new_list(&rt->arena, v.kind);
    for (int64_t i = 0; size && i < times; i++)
        for (size_t k = 0; k < size; k++)
            jinja_push(&rt->arena, list, v.u.list->items[k]);
    return list;
}

static struct jinja_value join_two(struct jinja_run *rt, struct jinja_value a, struct jinja_value b)
{
    if (a.kind == JINJA_STRING) {
        struct str out = {0};
        if (jinja_put(rt, &out, a.u.text.at, a.u.text.len))
            jinja_put(rt, &out, b.u.text.at, b.u.text.len);
        return jinja_take(rt, &out);
    }
    struct jinja_value list = jinja_new_list(&rt->arena, a.kind);
    const struct jinja_list *parts[2] = {a.u.list, b.u.list};
    for (int p = 0; p < 2; p++)
        for (size_t i = 0; i < parts[p]->count; i++)
            jinja_push(&rt->arena, list, parts[p]->items[i]);
    jinja_step(rt, list.u.list->count * 64);
    return list;
}

static bool is_sequence(const struct jinja_value *v)
{
    return v->kind == JINJA_STRING || v->kind == JINJA_LIST || v->kind == JINJA_TUPLE;
}

struct jinja_value jinja_binary(struct jinja_run *rt, struct jinja_text op, struct jinja_value a,
                                struct jinja_value b)
{
    if (rt->failed || is_undefined(rt, &a) || is_undefined(rt, &b)) return a;
    if (jinja_is_int(&a) && jinja_is_int(&b))
        return int_binary(rt, op, jinja_as_int(&a), jinja_as_int(&b));
    if (jinja_is_number(&a) && jinja_is_number(&b))
        return float_binary(rt, op, jinja_as_double(&a), jinja_as_double(&b));
    if (jinja_text_is(op, "+") && a.kind == b.kind && is_sequence(&a)) return join_two(rt, a, b);
    if (jinja_text_is(op, "*") && is_sequence(&a) && jinja_is_int(&b))
        return repeat(rt, a, jinja_as_int(&b));
    if (jinja_text_is(op, "*") && is_sequence(&b) && jinja_is_int(&a))
        return repeat(rt, b, jinja_as_int(&a));
    return jinja_fail(rt, "'%.*s' does not work with %s and %s", (int)op.len, op.at,
                      jinja_kind_name(&a), jinja_kind_name(&b));
}

struct jinja_value jinja_sign(struct jinja_run *rt, bool minus, struct jinja_value a)
{
    if (rt->failed || is_undefined(rt, &a)) return a;
    if (!jinja_is_number(&a)) return jinja_fail(rt, "a sign before %s", jinja_kind_name(&a));
    if (a.kind == JINJA_FLOAT) return jinja_float(minus ? -a.u.number : a.u.number);
    int64_t i = jinja_as_int(&a);
    if (minus && i == INT64_MIN) return overflow(rt);
    return jinja_int(minus ? -i : i);
}

// ---- comparison ----

bool jinja_compare(struct jinja_run *rt, struct jinja_text op, struct jinja_value a,
                   struct jinja_value b)
{
    if (rt->failed) return false;
    if (jinja_text_is(op, "==")) return jinja_equal(&a, &b, &rt->steps);
    if (jinja_text_is(op, "!=")) return !jinja_equal(&a, &b, &rt->steps);
    if (is_undefined(rt, &a) || is_undefined(rt, &b)) return false;
    int order = 0;
    if (!jinja_order(&a, &b, &order, &rt->steps)) {
        if (!jinja_is_number(&a) || !jinja_is_number(&b)) // else a NaN, which has no order
            jinja_fail(rt, "'%.*s' does not work with %s and %s", (int)op.len, op.at,
                       jinja_kind_name(&a), jinja_kind_name(&b));
        return false;
    }
    if (jinja_text_is(op, "<")) return order < 0;
    if (jinja_text_is(op, "<=")) return order <= 0;
    if (jinja_text_is(op, ">")) return order > 0;
    return order >= 0;
}

bool jinja_contains(struct jinja_run *rt, struct jinja_value list, struct jinja_value item)
{
    if (rt->failed) return false;
    if (list.kind == JINJA_STRING) {
        if (item.kind != JINJA_STRING) {
            jinja_fail(rt, "'in' a string needs a string, not %s", jinja_kind_name(&item));
            return false;
        }
        jinja_step(rt, list.u.text.len);
        return jinja_find(list.u.text, item.u.text, 0) != SIZE_MAX;
    }
    if (list.kind == JINJA_DICT) {
        if (jinja_hashable(&item)) return jinja_dict_find(list.u.dict, &item) != NULL;
        jinja_fail(rt, "%s cannot be a key", jinja_kind_name(&item));
        return false;
    }
    const struct jinja_list *items = jinja_iterate(rt, list);
    for (size_t i = 0; i < items->count && jinja_step(rt, 0); i++)
        if (jinja_equal(&items->items[i], &item, &rt->steps)) return true;
    return false;
}

// ---- iteration ----

const struct jinja_list *jinja_iterate(struct jinja_run *rt, struct jinja_value v)
{
    if (v.kind == JINJA_LIST || v.kind == JINJA_TUPLE) return v.u.list;
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    if (v.kind == JINJA_STRING) {
        jinja_step(rt, v.u.text.len);
        for (size_t at = 0, n; at < v.u.text.len; at += n) {
            n = jinja_char_bytes(v.u.text.at[at]);
            jinja_push(&rt->arena, list, jinja_string(v.u.text.at + at, n));
        }
    } else if (v.kind == JINJA_DICT) {
        for (size_t i = 0; i < v.u.dict->count; i++)
            jinja_push(&rt->arena, list, v.u.dict->keys[i]);
    } else if (v.kind != JINJA_UNDEFINED) {
        jinja_fail(rt, "%s cannot be iterated", jinja_kind_name(&v));
    }
    return list.u.list;
}
