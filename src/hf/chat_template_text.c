// Values as text: str(), repr() and json.dumps() of Python.
#include "chat_template_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- building ----

bool jinja_put(struct jinja_run *rt, struct str *out, const char *bytes, size_t len)
{
    if (out->len + len > JINJA_MAX_BYTES) {
        jinja_fail(rt, "a text grows beyond 256 MiB");
        return false;
    }
    if (!jinja_step(rt, len)) return false;
    str_append_bytes(out, bytes, len);
    return true;
}

struct jinja_value jinja_take(struct jinja_run *rt, struct str *text)
{
    struct jinja_value v = jinja_copy(&rt->arena, str_text(text), text->len);
    str_finish(text);
    return v;
}

static void put_text(struct jinja_run *rt, struct str *out, const char *text)
{
    jinja_put(rt, out, text, strlen(text));
}

// ---- numbers ----

// The fewest digits that read back to the same number, laid out as repr() does.
void jinja_append_float(struct str *out, double d)
{
    if (isnan(d) || isinf(d)) {
        str_append(out, isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
        return;
    }
    char text[40];
    for (int digits = 0; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits, d);
        if (strtod(text, NULL) == d) break;
    }
    char *e = strchr(text, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        *e = 0;
        str_appendf(out, "%se%c%02d", text, exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    *e = 0;
    int decimals = (int)strlen(strchr(text, '.') ? strchr(text, '.') + 1 : "") - exponent;
    str_appendf(out, "%.*f", decimals < 1 ? 1 : decimals, d);
}

static void append_number(struct jinja_run *rt, struct str *out, const struct jinja_value *v)
{
    struct str text = {0};
    if (v->kind == JINJA_FLOAT)
        jinja_append_float(&text, v->u.number);
    else
        str_appendf(&text, "%lld", (long long)v->u.integer);
    jinja_put(rt, out, str_text(&text), text.len);
    str_finish(&text);
}

// ---- repr ----

static void append_escaped_char(struct str *out, uint32_t c)
{
    if (c == '\n')
        str_append(out, "\\n");
    else if (c == '\r')
        str_append(out, "\\r");
    else if (c == '\t')
        str_append(out, "\\t");
    else
        str_appendf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

static void append_string_repr(struct jinja_run *rt, struct str *out, struct jinja_text t)
{
    bool has_single = jinja_find(t, (struct jinja_text){"'", 1}, 0) != SIZE_MAX;
    bool has_double = jinja_find(t, (struct jinja_text){"\"", 1}, 0) != SIZE_MAX;
    char quote = has_single && !has_double ? '"' : '\'';
    struct str text = {0};
    str_append_char(&text, quote);
    for (size_t i = 0; i < t.len;) {
        uint32_t c = str_next_codepoint(t.at, t.len, &i);
        if (c == (uint32_t)quote || c == '\\') str_append_char(&text, '\\');
        if (jinja_is_printable(c))
            str_append_codepoint(&text, c);
        else
            append_escaped_char(&text, c);
    }
    str_append_char(&text, quote);
    jinja_put(rt, out, str_text(&text), text.len);
    str_finish(&text);
}

static void append_list_repr(struct jinja_run *rt, struct str *out, const struct jinja_value *v)
{
    const struct jinja_list *l = v->u.list;
    put_text(rt, out, v->kind == JINJA_LIST ? "[" : "(");
    for (size_t i = 0; i < l->count && !rt->failed; i++) {
        if (i) put_text(rt, out, ", ");
        jinja_append_repr(rt, out, &l->items[i]);
    }
    put_text(rt, out, v->kind == JINJA_LIST ? "]" : l->count == 1 ? ",)" : ")");
}

static void append_dict_repr(struct jinja_run *rt, struct str *out, const struct jinja_dict *d)
{
    put_text(rt, out, "{");
    for (size_t i = 0; i < d->count && !rt->failed; i++) {
        if (i) put_text(rt, out, ", ");
        jinja_append_repr(rt, out, &d->keys[i]);
        put_text(rt, out, ": ");
        jinja_append_repr(rt, out, &d->values[i]);
    }
    put_text(rt, out, "}");
}

static void append_repr(struct jinja_run *rt, struct str *out, const struct jinja_value *v)
{
    switch (v->kind) {
    case JINJA_UNDEFINED:
        put_text(rt, out, "Undefined");
        break;
    case JINJA_NONE:
        put_text(rt, out, "None");
        break;
    case JINJA_BOOL:
        put_text(rt, out, v->u.boolean ? "True" : "False");
        break;
    case JINJA_INT:
    case JINJA_FLOAT:
        append_number(rt, out, v);
        break;
    case JINJA_STRING:
        append_string_repr(rt, out, v->u.text);
        break;
    case JINJA_LIST:
    case JINJA_TUPLE:
        append_list_repr(rt, out, v);
        break;
    case JINJA_DICT:
        append_dict_repr(rt, out, v->u.dict);
        break;
    default: // Python shows an address or the like
        jinja_fail(rt, "%s cannot be shown as text", jinja_kind_name(v));
    }
}

void jinja_append_repr(struct jinja_run *rt, struct str *out, const struct jinja_value *v)
{
    if (jinja_enter(rt)) append_repr(rt, out, v);
    rt->depth--;
}

void jinja_append(struct jinja_run *rt, struct str *out, struct jinja_value v)
{
    if (v.kind == JINJA_STRING)
        jinja_put(rt, out, v.u.text.at, v.u.text.len);
    else if (v.kind != JINJA_UNDEFINED)
        jinja_append_repr(rt, out, &v);
}

struct jinja_text jinja_text_of(struct jinja_run *rt, struct jinja_value v)
{
    if (v.kind == JINJA_STRING) return v.u.text;
    struct str text = {0};
    jinja_append(rt, &text, v);
    return jinja_take(rt, &text).u.text;
}

// ---- JSON ----

// The letter of a short escape, or 0.
static char short_escape(char c)
{
    static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : 0;
}

static void append_json_string(struct jinja_run *rt, struct str *out, struct jinja_text t)
{
    struct str text = {0};
    str_append_char(&text, '"');
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i], letter = short_escape(c);
        if (letter)
            str_appendf(&text, "\\%c", letter);
        else if ((unsigned char)c < 0x20)
            str_appendf(&text, "\\u%04x", (unsigned)(unsigned char)c);
        else
            str_append_char(&text, c);
    }
    str_append_char(&text, '"');
    jinja_put(rt, out, str_text(&text), text.len);
    str_finish(&text);
}

struct json_writer {
    struct jinja_run *rt;
    struct str *out;
    const struct jinja_json_style *style;
    int level;
};

static void append_json(struct json_writer *w, const struct jinja_value *v);

static void new_line(struct json_writer *w)
{
    if (!w->style->indent) return;
    put_text(w->rt, w->out, "\n");
    for (int i = 0; i < w->level; i++)
        jinja_put(w->rt, w->out, w->style->indent->at, w->style->indent->len);
}

static void between_items(struct json_writer *w, size_t index)
{
    if (index) jinja_put(w->rt, w->out, w->style->item.at, w->style->item.len);
    new_line(w);
}

static void append_json_list(struct json_writer *w, const struct jinja_list *l)
{
    put_text(w->rt, w->out, "[");
    w->level++;
    for (size_t i = 0; i < l->count && !w->rt->failed; i++) {
        between_items(w, i);
        append_json(w, &l->items[i]);
    }
    w->level--;
    if (l->count) new_line(w);
    put_text(w->rt, w->out, "]");
}

static void append_json_key(struct json_writer *w, const struct jinja_value *key)
{
    if (key->kind == JINJA_STRING) {
        append_json(w, key);
    } else if (key->kind == JINJA_NONE || jinja_is_number(key)) {
        put_text(w->rt, w->out, "\"");
        append_json(w, key);
        put_text(w->rt, w->out, "\"");
    } else {
        jinja_fail(w->rt, "tojson: %s cannot be a key", jinja_kind_name(key));
    }
}

// Positions of the keys in order; sorted by insertion, which is stable and enough for mappings of
// a template's size.
static size_t *key_order(struct json_writer *w, const struct jinja_dict *d)
{
    size_t *order = jinja_alloc(&w->rt->arena, d->count * sizeof *order + 1);
    for (size_t i = 0; i < d->count; i++) {
        size_t at = i;
        int c = 0;
        while (w->style->sort_keys && at > 0 && jinja_step(w->rt, 0)) {
            if (!jinja_order(&d->keys[order[at - 1]], &d->keys[i], &c, &w->rt->steps))
                jinja_fail(w->rt, "tojson: keys of different types cannot be sorted");
            if (c <= 0) break;
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    return order;
}

static void append_json_dict(struct json_writer *w, const struct jinja_dict *d)
{
    size_t *order = key_order(w, d);
    put_text(w->rt, w->out, "{");
    w->level++;
    for (size_t i = 0; i < d->count && !w->rt->failed; i++) {
        between_items(w, i);
        append_json_key(w, &d->keys[order[i]]);
        jinja_put(w->rt, w->out, w->style->key.at, w->style->key.len);
        append_json(w, &d->values[order[i]]);
    }
    w->level--;
    if (d->count) new_line(w);
    put_text(w->rt, w->out, "}");
}

static void append_json_value(struct json_writer *w, const struct jinja_value *v)
{
    switch (v->kind) {
    case JINJA_NONE:
        put_text(w->rt, w->out, "null");
        break;
    case JINJA_BOOL:
        put_text(w->rt, w->out, v->u.boolean ? "true" : "false");
        break;
    case JINJA_FLOAT:
        if (isnan(v->u.number) || isinf(v->u.number)) {
            put_text(w->rt, w->out,
                     isnan(v->u.number) ? "NaN"
                     : v->u.number > 0  ? "Infinity"
                                        : "-Infinity");
            break;
        }
        append_number(w->rt, w->out, v);
        break;
    case JINJA_INT:
        append_number(w->rt, w->out, v);
        break;
    case JINJA_STRING:
        append_json_string(w->rt, w->out, v->u.text);
        break;
    case JINJA_LIST:
    case JINJA_TUPLE:
        append_json_list(w, v->u.list);
        break;
    case JINJA_DICT:
        append_json_dict(w, v->u.dict);
        break;
    default:
        jinja_fail(w->rt, "tojson: %s cannot be JSON", jinja_kind_name(v));
    }
}

static void append_json(struct json_writer *w, const struct jinja_value *v)
{
    if (jinja_enter(w->rt)) append_json_value(w, v);
    w->rt->depth--;
}

void jinja_append_json(struct jinja_run *rt, struct str *out, const struct jinja_value *v,
                       const struct jinja_json_style *style)
{
    struct json_writer w = {rt, out, style, 0};
    append_json(&w, v);
}
