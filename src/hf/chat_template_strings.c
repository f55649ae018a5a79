// Methods of strings.
#include "chat_template_run.h"

#include <string.h>

#define SELF self.u.text

static bool want_text(struct jinja_run *rt, const char *what, const struct jinja_value *v)
{
    if (v->kind == JINJA_STRING) return true;
    jinja_fail(rt, "%s: expected a string, not %s", what, jinja_kind_name(v));
    return false;
}

static struct jinja_value as_string(struct jinja_text t)
{
    return jinja_string(t.at, t.len);
}

// ---- trimming ----

static struct jinja_value trim(struct jinja_run *rt, struct jinja_value self,
                               const struct jinja_value *chars, bool left, bool right)
{
    jinja_step(rt, SELF.len);
    if (chars->kind == JINJA_ABSENT || chars->kind == JINJA_NONE)
        return as_string(jinja_trimmed(SELF, left, right));
    if (!want_text(rt, "strip", chars)) return self;
    return as_string(jinja_trimmed_of(SELF, chars->u.text, left, right));
}

static struct jinja_value m_strip(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return trim(rt, self, arg, true, true);
}

static struct jinja_value m_lstrip(struct jinja_run *rt, struct jinja_value self,
                                   const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return trim(rt, self, arg, true, false);
}

static struct jinja_value m_rstrip(struct jinja_run *rt, struct jinja_value self,
                                   const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return trim(rt, self, arg, false, true);
}

// ---- beginnings and ends ----

static bool begins(struct jinja_text t, struct jinja_text part)
{
    return part.len <= t.len && (!part.len || memcmp(t.at, part.at, part.len) == 0);
}

static bool ends(struct jinja_text t, struct jinja_text part)
{
    return part.len <= t.len &&
           (!part.len || memcmp(t.at + t.len - part.len, part.at, part.len) == 0);
}

// `part` is a string, or a tuple of which one must fit.
static struct jinja_value match_end(struct jinja_run *rt, struct jinja_value self,
                                    const struct jinja_value *part,
                                    bool (*match)(struct jinja_text, struct jinja_text))
{
    if (part->kind != JINJA_TUPLE)
        return jinja_bool(want_text(rt, "startswith, endswith", part) && match(SELF, part->u.text));
    for (size_t i = 0; i < part->u.list->count && jinja_step(rt, 0); i++) {
        const struct jinja_value *p = &part->u.list->items[i];
        if (want_text(rt, "startswith, endswith", p) && match(SELF, p->u.text))
            return jinja_bool(true);
    }
    return jinja_bool(false);
}

static struct jinja_value m_startswith(struct jinja_run *rt, struct jinja_value self,
                                       const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return match_end(rt, self, arg, begins);
}

static struct jinja_value m_endswith(struct jinja_run *rt, struct jinja_value self,
                                     const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return match_end(rt, self, arg, ends);
}

static struct jinja_value m_removeprefix(struct jinja_run *rt, struct jinja_value self,
                                         const struct jinja_value *arg,
                                         const struct jinja_args *args)
{
    (void)args;
    if (!want_text(rt, "removeprefix", arg) || !begins(SELF, arg->u.text)) return self;
    return jinja_string(SELF.at + arg->u.text.len, SELF.len - arg->u.text.len);
}

static struct jinja_value m_removesuffix(struct jinja_run *rt, struct jinja_value self,
                                         const struct jinja_value *arg,
                                         const struct jinja_args *args)
{
    (void)args;
    if (!want_text(rt, "removesuffix", arg) || !ends(SELF, arg->u.text)) return self;
    return jinja_string(SELF.at, SELF.len - arg->u.text.len);
}

// ---- splitting ----

static void push_text(struct jinja_run *rt, struct jinja_value list, const char *at, size_t len)
{
    jinja_step(rt, 0);
    jinja_push(&rt->arena, list, jinja_string(at, len));
}

static size_t word_end(struct jinja_text t, size_t at)
{
    while (at < t.len) {
        size_t next = at;
        if (jinja_is_space(str_next_codepoint(t.at, t.len, &next))) break;
        at = next;
    }
    return at;
}

static struct jinja_value split_words(struct jinja_run *rt, struct jinja_text t, int64_t most)
{
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    t = jinja_trimmed(t, true, false);
    for (int64_t n = 0; t.len; n++) {
        size_t end = word_end(t, 0);
        if (most >= 0 && n == most) { // the rest, as it is
            push_text(rt, list, t.at, t.len);
            break;
        }
        push_text(rt, list, t.at, end);
        t = jinja_trimmed((struct jinja_text){t.at + end, t.len - end}, true, false);
    }
    return list;
}

static struct jinja_value split_at(struct jinja_run *rt, struct jinja_text t, struct jinja_text sep,
                                   int64_t most)
{
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    size_t from = 0, hit;
    for (int64_t n = 0; (most < 0 || n < most) && (hit = jinja_find(t, sep, from)) != SIZE_MAX;
         n++) {
        push_text(rt, list, t.at + from, hit - from);
        from = hit + sep.len;
    }
    push_text(rt, list, t.at + from, t.len - from);
    return list;
}

static struct jinja_value split_at_last(struct jinja_run *rt, struct jinja_text t,
                                        struct jinja_text sep, int64_t most)
{
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    size_t hit;
    for (int64_t n = 0; (most < 0 || n < most) && (hit = jinja_find_last(t, sep)) != SIZE_MAX;
         n++) {
        push_text(rt, list, t.at + hit + sep.len, t.len - hit - sep.len);
        t.len = hit;
    }
    push_text(rt, list, t.at, t.len);
    struct jinja_list *l = list.u.list;
    for (size_t i = 0; i < l->count / 2; i++) {
        struct jinja_value v = l->items[i];
        l->items[i] = l->items[l->count - 1 - i];
        l->items[l->count - 1 - i] = v;
    }
    return list;
}

static struct jinja_value split(struct jinja_run *rt, struct jinja_value self,
                                const struct jinja_value *arg, bool from_right)
{
    int64_t most = -1;
    jinja_step(rt, SELF.len);
    if (arg[1].kind != JINJA_ABSENT) {
        if (!jinja_is_int(&arg[1]))
            return jinja_fail(rt, "split: expected an integer, not %s", jinja_kind_name(&arg[1]));
        most = jinja_as_int(&arg[1]);
    }
    if (arg[0].kind == JINJA_ABSENT || arg[0].kind == JINJA_NONE) {
        if (from_right && most >= 0)
            return jinja_fail(rt, "rsplit with a limit but without a separator is not supported");
        return split_words(rt, SELF, most);
    }
    if (!want_text(rt, "split", &arg[0])) return self;
    if (arg[0].u.text.len == 0) return jinja_fail(rt, "split: the separator is empty");
    return from_right ? split_at_last(rt, SELF, arg[0].u.text, most)
                      : split_at(rt, SELF, arg[0].u.text, most);
}

static struct jinja_value m_split(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return split(rt, self, arg, false);
}

static struct jinja_value m_rsplit(struct jinja_run *rt, struct jinja_value self,
                                   const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return split(rt, self, arg, true);
}

static struct jinja_value partition(struct jinja_run *rt, struct jinja_value self,
                                    const struct jinja_value *arg, bool last)
{
    struct jinja_value tuple = jinja_new_list(&rt->arena, JINJA_TUPLE);
    if (!want_text(rt, "partition", arg)) return self;
    struct jinja_text sep = arg->u.text;
    if (sep.len == 0) return jinja_fail(rt, "partition: the separator is empty");
    size_t hit = last ? jinja_find_last(SELF, sep) : jinja_find(SELF, sep, 0);
    bool none = hit == SIZE_MAX;
    size_t before = none ? (last ? 0 : SELF.len) : hit, after = none ? before : hit + sep.len;
    push_text(rt, tuple, SELF.at, before);
    push_text(rt, tuple, sep.at, none ? 0 : sep.len);
    push_text(rt, tuple, SELF.at + after, SELF.len - after);
    return tuple;
}

static struct jinja_value m_partition(struct jinja_run *rt, struct jinja_value self,
                                      const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return partition(rt, self, arg, false);
}

static struct jinja_value m_rpartition(struct jinja_run *rt, struct jinja_value self,
                                       const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return partition(rt, self, arg, true);
}

static struct jinja_value m_splitlines(struct jinja_run *rt, struct jinja_value self,
                                       const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    struct jinja_value list = jinja_new_list(&rt->arena, JINJA_LIST);
    bool keep_ends = jinja_truth(arg);
    for (size_t from = 0, at = 0; from < SELF.len;) {
        size_t end = at;
        if (at < SELF.len) {
            uint32_t c = str_next_codepoint(SELF.at, SELF.len, &at);
            if (!jinja_is_line_break(c)) continue;
            if (c == '\r' && at < SELF.len && SELF.at[at] == '\n') at++;
        }
        push_text(rt, list, SELF.at + from, (keep_ends ? at : end) - from);
        from = at;
    }
    return list;
}

// ---- case ----

static struct jinja_value m_upper(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)arg, (void)args;
    struct str out = {0};
    jinja_step(rt, SELF.len);
    for (size_t i = 0; i < SELF.len;)
        jinja_append_upper(&out, str_next_codepoint(SELF.at, SELF.len, &i));
    return jinja_take(rt, &out);
}

static struct jinja_value m_lower(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)arg, (void)args;
    struct str out = {0};
    jinja_step(rt, SELF.len);
    for (size_t i = 0; i < SELF.len;)
        jinja_append_lower(&out, str_next_codepoint(SELF.at, SELF.len, &i));
    return jinja_take(rt, &out);
}

static struct jinja_value m_capitalize(struct jinja_run *rt, struct jinja_value self,
                                       const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)arg, (void)args;
    struct str out = {0};
    jinja_step(rt, SELF.len);
    for (size_t i = 0; i < SELF.len;) {
        bool first = i == 0;
        uint32_t c = str_next_codepoint(SELF.at, SELF.len, &i);
        if (first)
            jinja_append_upper(&out, c);
        else
            jinja_append_lower(&out, c);
    }
    return jinja_take(rt, &out);
}

static struct jinja_value m_title(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)arg, (void)args;
    struct str out = {0};
    bool in_word = false;
    jinja_step(rt, SELF.len);
    for (size_t i = 0; i < SELF.len;) {
        uint32_t c = str_next_codepoint(SELF.at, SELF.len, &i);
        if (in_word)
            jinja_append_lower(&out, c);
        else
            jinja_append_upper(&out, c);
        in_word = jinja_is_upper(c) || jinja_is_lower(c);
    }
    return jinja_take(rt, &out);
}

// ---- finding and replacing ----

// An empty text is found before each character and at the end.
static size_t next_hit(struct jinja_text t, struct jinja_text old, size_t from, bool first)
{
    if (old.len || first) return jinja_find(t, old, from);
    return from < t.len ? from + jinja_char_bytes(t.at[from]) : SIZE_MAX;
}

static struct jinja_value m_replace(struct jinja_run *rt, struct jinja_value self,
                                    const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    if (!want_text(rt, "replace", &arg[0]) || !want_text(rt, "replace", &arg[1])) return self;
    struct jinja_text old = arg[0].u.text, new = arg[1].u.text;
    int64_t most = jinja_is_int(&arg[2]) ? jinja_as_int(&arg[2]) : -1;
    struct str out = {0};
    size_t from = 0;
    for (int64_t n = 0; (most < 0 || n < most) && !rt->failed; n++) {
        size_t hit = next_hit(SELF, old, from, n == 0);
        if (hit == SIZE_MAX) break;
        jinja_put(rt, &out, SELF.at + from, hit - from);
        jinja_put(rt, &out, new.at, new.len);
        from = hit + old.len;
    }
    jinja_put(rt, &out, SELF.at + from, SELF.len - from);
    return jinja_take(rt, &out);
}

static struct jinja_value found(struct jinja_run *rt, struct jinja_value self,
                                const struct jinja_value *arg, bool last)
{
    if (!want_text(rt, "find", arg)) return self;
    jinja_step(rt, SELF.len);
    size_t hit = last ? jinja_find_last(SELF, arg->u.text) : jinja_find(SELF, arg->u.text, 0);
    if (hit == SIZE_MAX) return jinja_int(-1);
    return jinja_int((int64_t)jinja_char_count((struct jinja_text){SELF.at, hit}));
}

static struct jinja_value m_find(struct jinja_run *rt, struct jinja_value self,
                                 const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return found(rt, self, arg, false);
}

static struct jinja_value m_rfind(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    return found(rt, self, arg, true);
}

static struct jinja_value m_count(struct jinja_run *rt, struct jinja_value self,
                                  const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    if (!want_text(rt, "count", arg)) return self;
    jinja_step(rt, SELF.len);
    if (arg->u.text.len == 0) return jinja_int((int64_t)jinja_char_count(SELF) + 1);
    int64_t n = 0;
    for (size_t at = 0; (at = jinja_find(SELF, arg->u.text, at)) != SIZE_MAX; at += arg->u.text.len)
        n++;
    return jinja_int(n);
}

static struct jinja_value m_join(struct jinja_run *rt, struct jinja_value self,
                                 const struct jinja_value *arg, const struct jinja_args *args)
{
    (void)args;
    struct str out = {0};
    const struct jinja_list *items = jinja_iterate(rt, arg[0]);
    for (size_t i = 0; i < items->count && !rt->failed; i++) {
        if (!want_text(rt, "join", &items->items[i])) break;
        if (i) jinja_put(rt, &out, SELF.at, SELF.len);
        jinja_put(rt, &out, items->items[i].u.text.at, items->items[i].u.text.len);
    }
    return jinja_take(rt, &out);
}

// ---- classes of characters ----

static bool letter_or_digit(uint32_t c)
{
    return jinja_is_letter(c) || jinja_is_digit(c);
}

static struct jinja_value all_are(struct jinja_run *rt, struct jinja_value self,
                                  bool (*is)(uint32_t))
{
    jinja_step(rt, SELF.len);
    for (size_t i = 0; i < SELF.len;)
        if (!is(str_next_codepoint(SELF.at, SELF.len, &i))) return jinja_bool(false);
    return jinja_bool(SELF.len > 0);
}

// Some letter has the case, and none the other.
static struct jinja_value has_case(struct jinja_run *rt, struct jinja_value self,
                                   bool (*is)(uint32_t), bool (*other)(uint32_t))
{
    bool some = false;
    jinja_step(rt, SELF.len);
    for (size_t i = 0; i < SELF.len;) {
        uint32_t c = str_next_codepoint(SELF.at, SELF.len, &i);
        if (other(c)) return jinja_bool(false);
        some = some || is(c);
    }
    return jinja_bool(some);
}

#define CLASS_METHOD(name, expression)                                                             \
    static struct jinja_value name(struct jinja_run *rt, struct jinja_value self,                  \
                                   const struct jinja_value *arg, const struct jinja_args *args)   \
    {                                                                                              \
        (void)arg, (void)args;                                                                     \
        return expression;                                                                         \
    }
CLASS_METHOD(m_isspace, all_are(rt, self, jinja_is_space))
CLASS_METHOD(m_isalpha, all_are(rt, self, jinja_is_letter))
CLASS_METHOD(m_isdigit, all_are(rt, self, jinja_is_digit))
CLASS_METHOD(m_isalnum, all_are(rt, self, letter_or_digit))
CLASS_METHOD(m_isupper, has_case(rt, self, jinja_is_upper, jinja_is_lower))
CLASS_METHOD(m_islower, has_case(rt, self, jinja_is_lower, jinja_is_upper))

const struct jinja_builtin jinja_string_methods[] = {
    {"strip", m_strip, "chars", 0},
    {"lstrip", m_lstrip, "chars", 0},
    {"rstrip", m_rstrip, "chars", 0},
    {"startswith", m_startswith, "prefix", 1},
    {"endswith", m_endswith, "suffix", 1},
    {"removeprefix", m_removeprefix, "prefix", 1},
    {"removesuffix", m_removesuffix, "suffix", 1},
    {"split", m_split, "sep maxsplit", 0},
    {"rsplit", m_rsplit, "sep maxsplit", 0},
    {"partition", m_partition, "sep", 1},
    {"rpartition", m_rpartition, "sep", 1},
    {"splitlines", m_splitlines, "keepends", 0},
    {"upper", m_upper, "", 0},
    {"lower", m_lower, "", 0},
    {"capitalize", m_capitalize, "", 0},
    {"title", m_title, "", 0},
    {"replace", m_replace, "old new count", 2},
    {"find", m_find, "sub", 1},
    {"rfind", m_rfind, "sub", 1},
    {"count", m_count, "sub", 1},
    {"join", m_join, "iterable", 1},
    {"isspace", m_isspace, "", 0},
    {"isalpha", m_isalpha, "", 0},
    {"isdigit", m_isdigit, "", 0},
    {"isalnum", m_isalnum, "", 0},
    {"isupper", m_isupper, "", 0},
    {"islower", m_islower, "", 0},
    {NULL, NULL, NULL, 0},
};
