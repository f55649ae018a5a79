// Filters of single values: texts, numbers, JSON.
#include "chat_template_run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILTER(name)                                                                               \
    static struct jinja_value name(struct jinja_run *rt, struct jinja_value self,                  \
                                   const struct jinja_value *arg, const struct jinja_args *args)

// The same as the method of the string's text: `x | upper` is str(x).upper().
static struct jinja_value as_method(struct jinja_run *rt, const char *name, struct jinja_value self,
                                    const struct jinja_args *args)
{
    const struct jinja_builtin *b =
        jinja_builtin_find(jinja_string_methods, (struct jinja_text){name, strlen(name)});
    struct jinja_text text = jinja_text_of(rt, self);
    return jinja_run_builtin(rt, b, jinja_string(text.at, text.len), args);
}

// ---- texts ----

FILTER(f_trim)
{
    (void)arg;
    return as_method(rt, "strip", self, args);
}

FILTER(f_upper)
{
    (void)arg;
    return as_method(rt, "upper", self, args);
}

FILTER(f_lower)
{
    (void)arg;
    return as_method(rt, "lower", self, args);
}

FILTER(f_capitalize)
{
    (void)arg;
    return as_method(rt, "capitalize", self, args);
}

FILTER(f_replace)
{
    (void)args;
    struct jinja_value texts[3] = {arg[0], arg[1], arg[2]};
    for (int i = 0; i < 2; i++) {
        struct jinja_text t = jinja_text_of(rt, texts[i]);
        texts[i] = jinja_string(t.at, t.len);
    }
    struct jinja_args all = {.values = texts, .count = arg[2].kind == JINJA_ABSENT ? 2 : 3};
    return as_method(rt, "replace", self, &all);
}

// Words begin after white space, brackets and hyphens only.
FILTER(f_title)
{
    (void)arg, (void)args;
    struct jinja_text t = jinja_text_of(rt, self);
    struct str out = {0};
    bool begins = true;
    jinja_step(rt, t.len);
    for (size_t i = 0; i < t.len;) {
        uint32_t c = str_next_codepoint(t.at, t.len, &i);
        if (begins)
            jinja_append_upper(&out, c);
        else
            jinja_append_lower(&out, c);
        begins = jinja_is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    }
    return jinja_take(rt, &out);
}

FILTER(f_string)
{
    (void)arg, (void)args;
    struct jinja_text t = jinja_text_of(rt, self);
    return jinja_string(t.at, t.len);
}

// indent(width=4, first=False, blank=False)
FILTER(f_indent)
{
    (void)args;
    if (self.kind != JINJA_STRING)
        return jinja_fail(rt, "indent: expected a string, not %s", jinja_kind_name(&self));
    struct jinja_text t = self.u.text, by = {"    ", 4};
    struct str out = {0};
    bool first = jinja_truth(&arg[1]), blank = jinja_truth(&arg[2]);
    if (arg[0].kind == JINJA_STRING) by = arg[0].u.text;
    if (jinja_is_int(&arg[0]))
        by = jinja_text_of(
            rt, jinja_binary(rt, (struct jinja_text){"*", 1}, jinja_literal(" "), arg[0]));
    struct jinja_value lines =
        as_method(rt, "splitlines", jinja_string(t.at, t.len), &(struct jinja_args){0});
    if (rt->failed) return self;
    // The filter adds a line break before it divides, so that a final one is a line of its own.
    struct jinja_list *l = lines.u.list;
    if (t.len == 0 || t.at[t.len - 1] == '\n') jinja_push(&rt->arena, lines, jinja_literal(""));
    for (size_t i = 0; i < l->count && !rt->failed; i++) {
        struct jinja_text line = l->items[i].u.text;
        if (i) jinja_put(rt, &out, "\n", 1);
        if (i == 0 ? first : (blank || line.len)) jinja_put(rt, &out, by.at, by.len);
        jinja_put(rt, &out, line.at, line.len);
    }
    return jinja_take(rt, &out);
}

FILTER(f_tojson)
{
    (void)args;
    struct str out = {0};
    struct jinja_text indent = {"", 0};
    struct jinja_json_style style = {.item = {", ", 2}, .key = {": ", 2}};
    style.sort_keys = jinja_truth(&arg[3]);
    if (jinja_truth(&arg[0])) return jinja_fail(rt, "tojson: ensure_ascii is not supported");
    if (arg[1].kind == JINJA_STRING || jinja_is_int(&arg[1])) {
        indent = arg[1].kind == JINJA_STRING
                     ? arg[1].u.text
                     : jinja_text_of(rt, jinja_binary(rt, (struct jinja_text){"*", 1},
                                                      jinja_literal(" "), arg[1]));
        style.indent = &indent;
        style.item.len = 1;
    }
    if (arg[2].kind == JINJA_LIST || arg[2].kind == JINJA_TUPLE) {
        const struct jinja_list *l = arg[2].u.list;
        if (l->count != 2 || l->items[0].kind != JINJA_STRING || l->items[1].kind != JINJA_STRING)
            return jinja_fail(rt, "tojson: separators are two strings");
        style.item = l->items[0].u.text;
        style.key = l->items[1].u.text;
    }
    jinja_append_json(rt, &out, &self, &style);
    return jinja_take(rt, &out);
}

// ---- values ----

FILTER(f_default)
{
    (void)rt, (void)args;
    struct jinja_value other = arg[0].kind == JINJA_ABSENT ? jinja_literal("") : arg[0];
    bool missing = self.kind == JINJA_UNDEFINED || (jinja_truth(&arg[1]) && !jinja_truth(&self));
    return missing ? other : self;
}

FILTER(f_safe)
{
    (void)arg, (void)args;
    return f_string(rt, self, arg, args);
}

// The number that a text holds, all of it but for white space; false if it does not.
static bool parse_int(struct jinja_text t, int base, int64_t *out)
{
    char digits[80];
    size_t n = 0;
    t = jinja_trimmed(t, true, true);
    for (size_t i = 0; i < t.len; i++) {
        bool inner = i > 0 && i + 1 < t.len;
        if (t.at[i] == '_' && inner && t.at[i - 1] != '_' && t.at[i + 1] != '_') continue;
        if (n + 1 == sizeof digits) return false;
        digits[n++] = t.at[i];
    }
    digits[n] = 0;
    char *end;
    errno = 0;
    *out = strtoll(digits, &end, base);
    return n > 0 && !errno && end == digits + n && !jinja_is_space((unsigned char)digits[0]);
}

static bool parse_float(struct jinja_text t, double *out)
{
    char digits[400];
    t = jinja_trimmed(t, true, true);
    if (!t.len || t.len >= sizeof digits || memchr(t.at, 'x', t.len) || memchr(t.at, 'X', t.len))
        return false;
    memcpy(digits, t.at, t.len);
    digits[t.len] = 0;
    char *end;
    *out = strtod(digits, &end);
    return end == digits + t.len;
}

FILTER(f_int)
{
    (void)args;
    struct jinja_value other = arg[0].kind == JINJA_ABSENT ? jinja_int(0) : arg[0];
    int64_t i;
    double d;
    if (self.kind == JINJA_UNDEFINED)
        return jinja_fail(rt, "'%.*s' is undefined", (int)self.u.text.len, self.u.text.at);
    if (jinja_is_int(&self)) return jinja_int(jinja_as_int(&self));
    int base = jinja_is_int(&arg[1]) ? (int)jinja_as_int(&arg[1]) : 10;
    if (base != 0 && (base < 2 || base > 36)) return jinja_fail(rt, "int: no base %d", base);
    if (self.kind == JINJA_STRING && parse_int(self.u.text, base, &i)) return jinja_int(i);
    if (self.kind == JINJA_STRING && !parse_float(self.u.text, &d)) return other;
    if (self.kind == JINJA_FLOAT)
        d = self.u.number;
    else if (self.kind != JINJA_STRING)
        return other;
    if (isnan(d) || fabs(d) >= 9e18) return other;
    return jinja_int((int64_t)d);
}

FILTER(f_float)
{
    (void)args;
    double d;
    if (self.kind == JINJA_UNDEFINED)
        return jinja_fail(rt, "'%.*s' is undefined", (int)self.u.text.len, self.u.text.at);
    if (jinja_is_number(&self)) return jinja_float(jinja_as_double(&self));
    if (self.kind == JINJA_STRING && parse_float(self.u.text, &d)) return jinja_float(d);
    return arg[0].kind == JINJA_ABSENT ? jinja_float(0) : arg[0];
}

FILTER(f_abs)
{
    (void)arg, (void)args;
    if (!jinja_is_number(&self)) return jinja_fail(rt, "abs of %s", jinja_kind_name(&self));
    return jinja_sign(rt, jinja_as_double(&self) < 0, self);
}

const struct jinja_builtin jinja_text_filters[] = {
    {"trim", f_trim, "chars", 0},
    {"upper", f_upper, "", 0},
    {"lower", f_lower, "", 0},
    {"capitalize", f_capitalize, "", 0},
    {"title", f_title, "", 0},
    {"replace", f_replace, "old new count", 2},
    {"string", f_string, "", 0},
    {"safe", f_safe, "", 0},
    {"indent", f_indent, "width first blank", 0},
    {"tojson", f_tojson, "ensure_ascii indent separators sort_keys", 0},
    {"default", f_default, "default_value boolean", 0},
    {"d", f_default, "default_value boolean", 0},
    {"int", f_int, "default base", 0},
    {"float", f_float, "default", 0},
    {"abs", f_abs, "", 0},
    {NULL, NULL, NULL, 0},
};
