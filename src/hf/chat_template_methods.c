// Methods of mappings, lists and the loop, and the functions of the language.
#include "chat_template_run.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

#define MAX_RANGE 100000 // as in transformers' sandbox

// ---- mappings ----

static struct jinja_value pair(struct jinja_run *rt, struct jinja_value a, struct jinja_value b)
{
    struct jinja_value tuple = jinja_new_list(&rt->arena, JINJA_TUPLE);
    jinja_push(&rt->arena, tuple, a);
    jinja_push(&rt->arena, tuple, b);
    return tuple;
}

static struct jinja_value m_items(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)arg, (void)args;
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    const struct jinja_dict *d = self.u.dict;
    for (size_t i = 0; i < d->count && jinja_step(rt, 0); i++)
        jinja_push(&rt->arena, list, pair(rt, d->keys[i], d->values[i]));
    return list;
}

static struct jinja_value m_keys(struct jinja_run *rt, struct jinja_value self,
                                 const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)arg, (void)args;
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    for (size_t i = 0; i < self.u.dict->count && jinja_step(rt, 0); i++)
        jinja_push(&rt->arena, list, self.u.dict->keys[i]);
    return list;
}

static struct jinja_value m_values(struct jinja_run *rt, struct jinja_value self,
                                   const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)arg, (void)args;
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    for (size_t i = 0; i < self.u.dict->count && jinja_step(rt, 0); i++)
        jinja_push(&rt->arena, list, self.u.dict->values[i]);
    return list;
}

static struct jinja_value m_get(struct jinja_run *rt, struct jinja_value self,
                                const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    if (!jinja_hashable(&arg[0]))
        return jinja_fail(rt, "get: %s cannot be a key", jinja_kind_name(&arg[0]));
    const struct jinja_value *v = jinja_dict_find(self.u.dict, &arg[0]);
    if (v) return *v;
    return arg[1].kind == JINJA_ABSENT ? jinja_none() : arg[1];
}

static struct jinja_value m_copy(struct jinja_run *rt, struct jinja_value self,
                                 const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)rt, (void)arg, (void)args;
    return self; // values never change
}

const struct jinja_builtin jinja_dict_methods[] = {
    {"items", m_items, "", 0},        {"keys", m_keys, "", 0}, {"values", m_values, "", 0},
    {"get", m_get, "key default", 1}, {"copy", m_copy, "", 0}, {NULL, NULL, NULL, 0},
};

// ---- lists ----

static struct jinja_value m_index(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    for (size_t i = 0; i < self.u.list->count && jinja_step(rt, 0); i++)
        if (jinja_equal(&self.u.list->items[i], arg, &rt->steps)) return jinja_int((int64_t)i);
    return jinja_fail(rt, "index: the value is not in the list");
}

static struct jinja_value m_count(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    int64_t n = 0;
    for (size_t i = 0; i < self.u.list->count && jinja_step(rt, 0); i++)
        n += jinja_equal(&self.u.list->items[i], arg, &rt->steps);
    return jinja_int(n);
}

const struct jinja_builtin jinja_list_methods[] = {
    {"index", m_index, "value", 1},
    {"count", m_count, "value", 1},
    {"copy", m_copy, "", 0},
    {NULL, NULL, NULL, 0},
};

// ---- loop ----

static struct jinja_value m_cycle(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)arg;
    if (!args->count) return jinja_fail(rt, "loop.cycle needs values");
    return args->values[self.u.loop->index % args->count];
}

static struct jinja_value m_changed(struct jinja_run *rt, struct jinja_value self,
                                    const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)arg;
    struct jinja_loop *loop = self.u.loop;
    struct jinja_value now = jinja_new_list(&rt->arena, JINJA_TUPLE);
    for (size_t i = 0; i < args->count; i++)
        jinja_push(&rt->arena, now, args->values[i]);
    bool changed = !loop->has_changed || !jinja_equal(&loop->last_change, &now, &rt->steps);
    loop->has_changed = true;
    loop->last_change = now;
    return jinja_bool(changed);
}

const struct jinja_builtin jinja_loop_methods[] = {
    {"cycle", m_cycle, "*", 0},
    {"changed", m_changed, "*", 0},
    {NULL, NULL, NULL, 0},
};

// ---- functions ----

static struct jinja_value f_range(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)self, (void)args;
    int given = arg[1].kind == JINJA_ABSENT ? 1 : arg[2].kind == JINJA_ABSENT ? 2 : 3;
    for (int i = 0; i < given; i++)
        if (!jinja_is_int(&arg[i]))
            return jinja_fail(rt, "range: expected an integer, not %s", jinja_kind_name(&arg[i]));
    int64_t start = given > 1 ? jinja_as_int(&arg[0]) : 0;
    int64_t stop = jinja_as_int(&arg[given > 1]), step = given > 2 ? jinja_as_int(&arg[2]) : 1;
    if (step == 0) return jinja_fail(rt, "range: the step is 0");
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
        if (list.u.list->count == MAX_RANGE)
            return jinja_fail(rt, "range: more than %d numbers", MAX_RANGE);
        jinja_push(&rt->arena, list, jinja_int(i));
        if (step > 0 ? i > INT64_MAX - step : i < INT64_MIN - step) break;
        i += step;
    }
    jinja_step(rt, list.u.list->count * 64);
    return list;
}

// A mapping, or a list of pairs, copied into `dict`.
static void take_mapping(struct jinja_run *rt, struct jinja_dict *dict, struct jinja_value from)
{
    if (from.kind == JINJA_DICT || from.kind == JINJA_NAMESPACE) {
        for (size_t i = 0; i < from.u.dict->count && jinja_step(rt, 0); i++)
            jinja_dict_set(&rt->arena, dict, from.u.dict->keys[i], from.u.dict->values[i]);
        return;
    }
    const struct jinja_list *pairs = jinja_iterate(rt, from);
    for (size_t i = 0; i < pairs->count && jinja_step(rt, 0); i++) {
        const struct jinja_list *p = jinja_iterate(rt, pairs->items[i]);
        if (rt->failed) return;
        if (p->count == 2 && jinja_hashable(&p->items[0]))
            jinja_dict_set(&rt->arena, dict, p->items[0], p->items[1]);
        else
            jinja_fail(rt, "expected a mapping, or pairs of key and value");
    }
}

static struct jinja_value make_mapping(struct jinja_run *rt, enum jinja_kind kind,
                                       const struct jinja_args *args)
{
    struct jinja_value v = jinja_new_dict(&rt->arena, kind);
    for (size_t i = 0; i < args->count; i++)
        take_mapping(rt, v.u.dict, args->values[i]);
    for (size_t i = 0; i < args->named_count; i++)
        jinja_dict_set(&rt->arena, v.u.dict, jinja_string(args->names[i].at, args->names[i].len),
                       args->named[i]);
    return v;
}

static struct jinja_value f_namespace(struct jinja_run *rt, struct jinja_value self,
                                      const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)self, (void)arg;
    return make_mapping(rt, JINJA_NAMESPACE, args);
}

static struct jinja_value f_dict(struct jinja_run *rt, struct jinja_value self,
                                 const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)self, (void)arg;
    return make_mapping(rt, JINJA_DICT, args);
}

// The template's own words about messages it does not accept.
static struct jinja_value f_raise_exception(struct jinja_run *rt, struct jinja_value self,
                                            const struct jinja_value *arg,
                                            const struct jinja_args *args)
{
    (void)self, (void)args;
    struct jinja_text text = jinja_text_of(rt, arg[0]);
    return jinja_fail(rt, "the template refuses the messages: %.*s",
                      (int)(text.len < 400 ? text.len : 400), text.at);
}

static struct jinja_value f_strftime_now(struct jinja_run *rt, struct jinja_value self,
                                         const struct jinja_value *arg,
                                         const struct jinja_args *args)
{
    (void)self, (void)args;
    if (arg[0].kind != JINJA_STRING || arg[0].u.text.len >= 200 ||
        memchr(arg[0].u.text.at, 0, arg[0].u.text.len))
        return jinja_fail(rt, "strftime_now: expected a format of at most 200 bytes");
    if (!arg[0].u.text.len) return arg[0];
    char format[256], text[4096];
    snprintf(format, sizeof format, "%.*s", (int)arg[0].u.text.len, arg[0].u.text.at);
    size_t len = strftime(text, sizeof text, format, rt->now);
    return jinja_copy(&rt->arena, text, len);
}

const struct jinja_builtin jinja_functions[] = {
    {"range", f_range, "start stop step", 1},
    {"namespace", f_namespace, "*", 0},
    {"dict", f_dict, "*", 0},
    {"raise_exception", f_raise_exception, "message", 1},
    {"strftime_now", f_strftime_now, "format", 1},
    {NULL, NULL, NULL, 0},
};
