// Tests: `value is name`.
#include "chat_template_run.h"

#define TEST(name)                                                                                 \
    static struct jinja_value name(struct jinja_run *rt, struct jinja_value self,                  \
                                   const struct jinja_value *arg, const struct jinja_args *args)
// A test that looks at the value only.
#define PLAIN_TEST(name, expression)                                                               \
    TEST(name)                                                                                     \
    {                                                                                              \
        (void)rt, (void)arg, (void)args;                                                           \
        return jinja_bool(expression);                                                             \
    }

static bool is_sequence(const struct jinja_value *v)
{
    return v->kind == JINJA_STRING || v->kind == JINJA_LIST || v->kind == JINJA_TUPLE ||
           v->kind == JINJA_DICT;
}

static bool is_callable(const struct jinja_value *v)
{
    // An undefined value has a __call__ too, which fails.
    return v->kind == JINJA_MACRO || v->kind == JINJA_FUNCTION || v->kind == JINJA_METHOD ||
           v->kind == JINJA_UNDEFINED;
}

PLAIN_TEST(t_defined, self.kind != JINJA_UNDEFINED)
PLAIN_TEST(t_undefined, self.kind == JINJA_UNDEFINED)
PLAIN_TEST(t_none, self.kind == JINJA_NONE)
PLAIN_TEST(t_boolean, self.kind == JINJA_BOOL)
PLAIN_TEST(t_true, self.kind == JINJA_BOOL && self.u.boolean)
PLAIN_TEST(t_false, self.kind == JINJA_BOOL && !self.u.boolean)
PLAIN_TEST(t_integer, self.kind == JINJA_INT)
PLAIN_TEST(t_float, self.kind == JINJA_FLOAT)
PLAIN_TEST(t_number, jinja_is_number(&self))
PLAIN_TEST(t_string, self.kind == JINJA_STRING)
PLAIN_TEST(t_mapping, self.kind == JINJA_DICT)
PLAIN_TEST(t_sequence, is_sequence(&self) || self.kind == JINJA_UNDEFINED)
PLAIN_TEST(t_iterable,
           is_sequence(&self) || self.kind == JINJA_UNDEFINED || self.kind == JINJA_LOOP)
PLAIN_TEST(t_callable, is_callable(&self))

static struct jinja_value remainder_is(struct jinja_run *rt, struct jinja_value self,
                                       struct jinja_value divisor, int64_t rest)
{
    struct jinja_value v = jinja_binary(rt, (struct jinja_text){"%", 1}, self, divisor);
    return jinja_bool(!rt->failed && jinja_is_number(&v) && jinja_as_double(&v) == (double)rest);
}

TEST(t_odd)
{
    (void)arg, (void)args;
    return remainder_is(rt, self, jinja_int(2), 1);
}

TEST(t_even)
{
    (void)arg, (void)args;
    return remainder_is(rt, self, jinja_int(2), 0);
}

TEST(t_divisibleby)
{
    (void)args;
    return remainder_is(rt, self, arg[0], 0);
}

static struct jinja_value case_is(struct jinja_run *rt, struct jinja_value self, const char *method)
{
    struct jinja_text text = jinja_text_of(rt, self);
    struct jinja_value v = jinja_string(text.at, text.len);
    return jinja_call(rt, jinja_attribute(rt, v, (struct jinja_text){method, 7}),
                      &(struct jinja_args){0}, (struct jinja_text){method, 7});
}

TEST(t_lower)
{
    (void)arg, (void)args;
    return case_is(rt, self, "islower");
}

TEST(t_upper)
{
    (void)arg, (void)args;
    return case_is(rt, self, "isupper");
}

TEST(t_in)
{
    (void)args;
    return jinja_bool(jinja_contains(rt, arg[0], self));
}

TEST(t_sameas)
{
    (void)args;
    return jinja_bool(self.kind == arg[0].kind &&
                      jinja_compare(rt, (struct jinja_text){"==", 2}, self, arg[0]));
}

#define COMPARE_TEST(name, op, length)                                                             \
    TEST(name)                                                                                     \
    {                                                                                              \
        (void)args;                                                                                \
        return jinja_bool(jinja_compare(rt, (struct jinja_text){op, length}, self, arg[0]));       \
    }
COMPARE_TEST(t_eq, "==", 2)
COMPARE_TEST(t_ne, "!=", 2)
COMPARE_TEST(t_lt, "<", 1)
COMPARE_TEST(t_le, "<=", 2)
COMPARE_TEST(t_gt, ">", 1)
COMPARE_TEST(t_ge, ">=", 2)

const struct jinja_builtin jinja_tests[] = {
    {"defined", t_defined, "", 0},
    {"undefined", t_undefined, "", 0},
    {"none", t_none, "", 0},
    {"boolean", t_boolean, "", 0},
    {"true", t_true, "", 0},
    {"false", t_false, "", 0},
    {"integer", t_integer, "", 0},
    {"float", t_float, "", 0},
    {"number", t_number, "", 0},
    {"string", t_string, "", 0},
    {"mapping", t_mapping, "", 0},
    {"sequence", t_sequence, "", 0},
    {"iterable", t_iterable, "", 0},
    {"callable", t_callable, "", 0},
    {"odd", t_odd, "", 0},
    {"even", t_even, "", 0},
    {"divisibleby", t_divisibleby, "num", 1},
    {"lower", t_lower, "", 0},
    {"upper", t_upper, "", 0},
    {"in", t_in, "seq", 1},
    {"sameas", t_sameas, "other", 1},
    {"eq", t_eq, "other", 1},
    {"equalto", t_eq, "other", 1},
    {"==", t_eq, "other", 1},
    {"ne", t_ne, "other", 1},
    {"!=", t_ne, "other", 1},
    {"lt", t_lt, "other", 1},
    {"lessthan", t_lt, "other", 1},
    {"<", t_lt, "other", 1},
    {"le", t_le, "other", 1},
    {"<=", t_le, "other", 1},
    {"gt", t_gt, "other", 1},
    {"greaterthan", t_gt, "other", 1},
    {">", t_gt, "other", 1},
    {"ge", t_ge, "other", 1},
    {">=", t_ge, "other", 1},
    {NULL, NULL, NULL, 0},
};
