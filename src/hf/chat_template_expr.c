// The parser's expressions, in the order of precedence of Jinja's grammar.
#include "chat_template_ast.h"

#include <string.h>

static bool at_one_of(const struct jinja_parser *p, const char *const *symbols)
{
    for (; *symbols; symbols++)
        if (jinja_at_symbol(p, *symbols)) return true;
    return false;
}

// Guards every recursion into sub-expressions.
static bool enter(struct jinja_parser *p)
{
    if (p->depth++ < JINJA_MAX_DEPTH) return !p->failed;
    jinja_parse_fail(p, NULL);
    return false;
}

static struct jinja_node *leave(struct jinja_parser *p, struct jinja_node *node)
{
    p->depth--;
    return node;
}

static struct jinja_node *nothing(struct jinja_parser *p)
{
    return jinja_node(p, JINJA_CONST);
}

// Takes the token as the operator of a node with one operand set.
static struct jinja_node *operator_node(struct jinja_parser *p, enum jinja_node_type type,
                                        struct jinja_node *a)
{
    struct jinja_node *n = jinja_node(p, type);
    n->name = jinja_peek(p, 0)->text;
    n->a = a;
    p->at++;
    return n;
}

// ---- literals ----

static struct jinja_node *parse_list(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node(p, JINJA_ITEMS);
    jinja_expect_symbol(p, "[");
    while (!p->failed && !jinja_at_symbol(p, "]")) {
        if (n->count) jinja_expect_symbol(p, ",");
        if (jinja_at_symbol(p, "]")) break;
        jinja_add_item(p, n, jinja_parse_expr(p));
    }
    jinja_expect_symbol(p, "]");
    return jinja_done(p, n);
}

static struct jinja_node *parse_dict(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node(p, JINJA_PAIRS);
    jinja_expect_symbol(p, "{");
    while (!p->failed && !jinja_at_symbol(p, "}")) {
        if (n->count) jinja_expect_symbol(p, ",");
        if (jinja_at_symbol(p, "}")) break;
        jinja_add_item(p, n, jinja_parse_expr(p));
        jinja_expect_symbol(p, ":");
        jinja_add_item(p, n, jinja_parse_expr(p));
    }
    jinja_expect_symbol(p, "}");
    return jinja_done(p, n);
}

static struct jinja_node *parse_strings(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node(p, JINJA_CONST);
    n->value = jinja_peek(p, 0)->value;
    p->at++;
    while (n->value.kind == JINJA_STRING) { // adjacent strings are one
        const struct jinja_token *t = jinja_peek(p, 0);
        if (t->kind != JINJA_TOKEN_CONST || t->value.kind != JINJA_STRING) break;
        struct jinja_text a = n->value.u.text, b = t->value.u.text;
        char *joined = jinja_alloc(p->arena, a.len + b.len + 1);
        if (a.len) memcpy(joined, a.at, a.len);
        if (b.len) memcpy(joined + a.len, b.at, b.len);
        n->value = jinja_string(joined, a.len + b.len);
        p->at++;
    }
    return n;
}

static struct jinja_node *parse_name(struct jinja_parser *p)
{
    struct jinja_text name = jinja_peek(p, 0)->text;
    struct jinja_node *n = jinja_node(p, JINJA_NAME);
    n->name = name;
    p->at++;
    if (jinja_text_is(name, "true") || jinja_text_is(name, "True") ||
        jinja_text_is(name, "false") || jinja_text_is(name, "False")) {
        n->type = JINJA_CONST;
        n->value = jinja_bool(name.len == 4);
    } else if (jinja_text_is(name, "none") || jinja_text_is(name, "None")) {
        n->type = JINJA_CONST;
        n->value = jinja_none();
    } else if (p->macro) {
        p->macro->uses_caller |= jinja_text_is(name, "caller");
        p->macro->uses_varargs |= jinja_text_is(name, "varargs");
        p->macro->uses_kwargs |= jinja_text_is(name, "kwargs");
    }
    return n;
}

static struct jinja_node *parse_primary(struct jinja_parser *p)
{
    const struct jinja_token *t = jinja_peek(p, 0);
    if (t->kind == JINJA_TOKEN_NAME) return parse_name(p);
    if (t->kind == JINJA_TOKEN_CONST) return parse_strings(p);
    if (jinja_at_symbol(p, "[")) return parse_list(p);
    if (jinja_at_symbol(p, "{")) return parse_dict(p);
    if (jinja_skip_symbol(p, "(")) {
        struct jinja_node *n =
            jinja_at_symbol(p, ")") ? jinja_node(p, JINJA_GROUP) : jinja_parse_group(p, true, NULL);
        jinja_expect_symbol(p, ")");
        return n;
    }
    jinja_parse_fail(p, "an expression");
    return nothing(p);
}

// ---- behind a value ----

static struct jinja_node *parse_slice_part(struct jinja_parser *p)
{
    if (jinja_at_symbol(p, ":") || jinja_at_symbol(p, "]")) return NULL;
    return jinja_parse_expr(p);
}

static struct jinja_node *parse_index(struct jinja_parser *p, struct jinja_node *a)
{
    struct jinja_node *n = jinja_node(p, JINJA_INDEX);
    n->a = a;
    jinja_expect_symbol(p, "[");
    struct jinja_node *first = parse_slice_part(p);
    if (jinja_at_symbol(p, ":")) {
        struct jinja_node *slice = jinja_node(p, JINJA_SLICE);
        p->at++;
        slice->a = first;
        slice->b = parse_slice_part(p);
        if (jinja_skip_symbol(p, ":")) slice->c = parse_slice_part(p);
        first = jinja_done(p, slice);
    } else if (!first) {
        jinja_parse_fail(p, "an index");
        first = nothing(p);
    } else if (jinja_at_symbol(p, ",")) {
        struct jinja_node *group = jinja_node(p, JINJA_GROUP);
        jinja_add_item(p, group, first);
        while (jinja_skip_symbol(p, ",") && !jinja_at_symbol(p, "]"))
            jinja_add_item(p, group, jinja_parse_expr(p));
        first = jinja_done(p, group);
    }
    jinja_expect_symbol(p, "]");
    n->b = first;
    return jinja_done(p, n);
}

static struct jinja_node *parse_attribute(struct jinja_parser *p, struct jinja_node *a)
{
    p->at++; // the dot
    const struct jinja_token *t = jinja_peek(p, 0);
    if (t->kind == JINJA_TOKEN_CONST && t->value.kind == JINJA_INT) {
        struct jinja_node *n = jinja_node(p, JINJA_INDEX);
        n->a = a;
        n->b = jinja_node(p, JINJA_CONST);
        n->b->value = t->value;
        p->at++;
        return jinja_done(p, n);
    }
    struct jinja_node *n = jinja_node(p, JINJA_ATTR);
    n->a = a;
    n->name = jinja_expect_name(p);
    return jinja_done(p, n);
}

// Arguments in brackets, appended to `n`; named ones come last.
static void parse_arguments(struct jinja_parser *p, struct jinja_node *n)
{
    bool named = false;
    jinja_expect_symbol(p, "(");
    for (bool first = true; !p->failed && !jinja_at_symbol(p, ")"); first = false) {
        if (!first) jinja_expect_symbol(p, ",");
        if (jinja_at_symbol(p, ")")) break;
        const struct jinja_token *next = jinja_peek(p, 1);
        if (jinja_peek(p, 0)->kind == JINJA_TOKEN_NAME && next->kind == JINJA_TOKEN_SYMBOL &&
            jinja_text_is(next->text, "=")) {
            struct jinja_node *arg = jinja_node(p, JINJA_NAMED);
            arg->name = jinja_expect_name(p);
            jinja_expect_symbol(p, "=");
            arg->a = jinja_parse_expr(p);
            jinja_add_item(p, n, jinja_done(p, arg));
            named = true;
        } else if (named) {
            jinja_parse_fail(p, "a named argument (name=value)");
        } else {
            jinja_add_item(p, n, jinja_parse_expr(p));
        }
    }
    jinja_expect_symbol(p, ")");
}

struct jinja_node *jinja_parse_call(struct jinja_parser *p, struct jinja_node *callee)
{
    struct jinja_node *n = jinja_node(p, JINJA_CALL);
    n->a = callee;
    parse_arguments(p, n);
    return jinja_done(p, n);
}

static struct jinja_node *parse_postfix(struct jinja_parser *p, struct jinja_node *n)
{
    while (!p->failed) {
        if (jinja_at_symbol(p, "."))
            n = parse_attribute(p, n);
        else if (jinja_at_symbol(p, "["))
            n = parse_index(p, n);
        else if (jinja_at_symbol(p, "("))
            n = jinja_parse_call(p, n);
        else
            break;
    }
    return n;
}

struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *node, bool first)
{
    while (!p->failed && (first || jinja_skip_symbol(p, "|"))) {
        struct jinja_node *n = jinja_node(p, JINJA_FILTER);
        n->a = node;
        n->name = jinja_expect_name(p);
        if (jinja_at_symbol(p, "(")) parse_arguments(p, n);
        node = jinja_done(p, n);
        first = false;
    }
    return node;
}

static struct jinja_node *parse_test(struct jinja_parser *p, struct jinja_node *a)
{
    bool negated = jinja_skip_name(p, "not");
    struct jinja_node *n = jinja_node(p, JINJA_TEST);
    n->a = a;
    n->name = jinja_expect_name(p);
    const struct jinja_token *t = jinja_peek(p, 0);
    bool starts_value = t->kind == JINJA_TOKEN_NAME || t->kind == JINJA_TOKEN_CONST ||
                        jinja_at_symbol(p, "[") || jinja_at_symbol(p, "{");
    if (jinja_at_symbol(p, "(")) {
        parse_arguments(p, n);
    } else if (starts_value && !jinja_at_name(p, "else") && !jinja_at_name(p, "or") &&
               !jinja_at_name(p, "and")) {
        if (jinja_at_name(p, "is")) jinja_parse_fail(p, "'and' between two tests");
        jinja_add_item(p, n, parse_postfix(p, parse_primary(p)));
    }
    n = jinja_done(p, n);
    if (!negated) return n;
    struct jinja_node *inverse = jinja_node(p, JINJA_NOT);
    inverse->a = n;
    return jinja_done(p, inverse);
}

static struct jinja_node *parse_filters_and_tests(struct jinja_parser *p, struct jinja_node *n)
{
    while (!p->failed) {
        if (jinja_at_symbol(p, "|"))
            n = jinja_parse_filters(p, n, false);
        else if (jinja_skip_name(p, "is"))
            n = parse_test(p, n);
        else if (jinja_at_symbol(p, "("))
            n = jinja_parse_call(p, n);
        else
            break;
    }
    return n;
}

// ---- operators ----

static struct jinja_node *parse_unary(struct jinja_parser *p, bool with_filters)
{
    struct jinja_node *n;
    if (!enter(p)) return leave(p, nothing(p));
    if (jinja_at_symbol(p, "-") || jinja_at_symbol(p, "+")) {
        n = operator_node(p, JINJA_SIGN, NULL);
        n->a = parse_unary(p, false);
        n = jinja_done(p, n);
    } else {
        n = parse_primary(p);
    }
    n = parse_postfix(p, n);
    return leave(p, with_filters ? parse_filters_and_tests(p, n) : n);
}

static struct jinja_node *parse_with_filters(struct jinja_parser *p)
{
    return parse_unary(p, true);
}

// Operators of one precedence, from left to right.
static struct jinja_node *parse_left(struct jinja_parser *p, const char *const *symbols,
                                     struct jinja_node *(*operand)(struct jinja_parser *))
{
    struct jinja_node *n = operand(p);
    while (!p->failed && at_one_of(p, symbols)) {
        n = operator_node(p, JINJA_BINARY, n);
        n->b = operand(p);
        n = jinja_done(p, n);
    }
    return n;
}

static struct jinja_node *parse_power(struct jinja_parser *p)
{
    static const char *const symbols[] = {"**", NULL};
    return parse_left(p, symbols, parse_with_filters);
}

static struct jinja_node *parse_product(struct jinja_parser *p)
{
    static const char *const symbols[] = {"*", "/", "//", "%", NULL};
    return parse_left(p, symbols, parse_power);
}

static struct jinja_node *parse_concat(struct jinja_parser *p)
{
    struct jinja_node *first = parse_product(p);
    if (!jinja_at_symbol(p, "~")) return first;
    struct jinja_node *n = jinja_node(p, JINJA_CONCAT);
    jinja_add_item(p, n, first);
    while (!p->failed && jinja_skip_symbol(p, "~"))
        jinja_add_item(p, n, parse_product(p));
    return jinja_done(p, n);
}

static struct jinja_node *parse_sum(struct jinja_parser *p)
{
    static const char *const symbols[] = {"+", "-", NULL};
    return parse_left(p, symbols, parse_concat);
}

static struct jinja_node *parse_compare(struct jinja_parser *p)
{
    static const char *const symbols[] = {"==", "!=", "<", "<=", ">", ">=", NULL};
    struct jinja_node *first = parse_sum(p), *n = NULL;
    while (!p->failed) {
        struct jinja_node *operand = jinja_node(p, JINJA_OPERAND);
        const struct jinja_token *next = jinja_peek(p, 1);
        operand->name = jinja_peek(p, 0)->text;
        if (jinja_at_name(p, "not") && next->kind == JINJA_TOKEN_NAME &&
            jinja_text_is(next->text, "in"))
            p->at += 2; // the operator is called "not"
        else if (at_one_of(p, symbols) || jinja_at_name(p, "in"))
            p->at++;
        else
            break;
        operand->a = parse_sum(p);
        if (!n) {
            n = jinja_node(p, JINJA_COMPARE);
            n->a = first;
        }
        jinja_add_item(p, n, jinja_done(p, operand));
    }
    return n ? jinja_done(p, n) : first;
}

static struct jinja_node *parse_not(struct jinja_parser *p)
{
    if (!jinja_at_name(p, "not")) return parse_compare(p);
    if (!enter(p)) return leave(p, nothing(p));
    struct jinja_node *n = operator_node(p, JINJA_NOT, NULL);
    n->a = parse_not(p);
    return leave(p, jinja_done(p, n));
}

static struct jinja_node *parse_and(struct jinja_parser *p)
{
    struct jinja_node *n = parse_not(p);
    while (!p->failed && jinja_at_name(p, "and")) {
        n = operator_node(p, JINJA_AND, n);
        n->b = parse_not(p);
        n = jinja_done(p, n);
    }
    return n;
}

struct jinja_node *jinja_parse_or(struct jinja_parser *p)
{
    struct jinja_node *n = parse_and(p);
    while (!p->failed && jinja_at_name(p, "or")) {
        n = operator_node(p, JINJA_OR, n);
        n->b = parse_and(p);
        n = jinja_done(p, n);
    }
    return n;
}

struct jinja_node *jinja_parse_expr(struct jinja_parser *p)
{
    if (!enter(p)) return leave(p, nothing(p));
    struct jinja_node *n = jinja_parse_or(p);
    while (!p->failed && jinja_skip_name(p, "if")) {
        struct jinja_node *cond = jinja_node(p, JINJA_COND);
        cond->a = n;
        cond->b = jinja_parse_or(p);
        if (jinja_skip_name(p, "else")) cond->c = jinja_parse_expr(p);
        n = jinja_done(p, cond);
    }
    return leave(p, n);
}

static bool ends_group(const struct jinja_parser *p, const char *end_name)
{
    return jinja_peek(p, 0)->kind == JINJA_TOKEN_CLOSE || jinja_at_symbol(p, ")") ||
           (end_name && jinja_at_name(p, end_name));
}

struct jinja_node *jinja_parse_group(struct jinja_parser *p, bool with_cond, const char *end_name)
{
    struct jinja_node *first = with_cond ? jinja_parse_expr(p) : jinja_parse_or(p);
    if (!jinja_at_symbol(p, ",")) return first;
    struct jinja_node *n = jinja_node(p, JINJA_GROUP);
    jinja_add_item(p, n, first);
    while (!p->failed && jinja_skip_symbol(p, ",") && !ends_group(p, end_name))
        jinja_add_item(p, n, with_cond ? jinja_parse_expr(p) : jinja_parse_or(p));
    return jinja_done(p, n);
}

// ---- targets of assignments ----

static struct jinja_node *parse_one_target(struct jinja_parser *p, bool with_member)
{
    if (!enter(p)) return leave(p, nothing(p));
    struct jinja_node *n;
    if (jinja_skip_symbol(p, "(")) {
        n = jinja_parse_target(p, with_member);
        jinja_expect_symbol(p, ")");
        return leave(p, n);
    }
    n = jinja_node(p, JINJA_NAME);
    n->name = jinja_expect_name(p);
    if (with_member && jinja_skip_symbol(p, ".")) {
        n->type = JINJA_MEMBER;
        struct jinja_text member = jinja_expect_name(p);
        n->value = jinja_string(member.at, member.len);
    }
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (jinja_text_is(n->name, reserved[i])) jinja_parse_fail(p, "a name that can be set");
    return leave(p, n);
}

struct jinja_node *jinja_parse_target(struct jinja_parser *p, bool with_member)
{
    struct jinja_node *first = parse_one_target(p, with_member);
    if (!jinja_at_symbol(p, ",")) return first;
    struct jinja_node *n = jinja_node(p, JINJA_GROUP);
    jinja_add_item(p, n, first);
    while (!p->failed && jinja_skip_symbol(p, ",") && !jinja_at_symbol(p, ")") &&
           !jinja_at_symbol(p, "=") && !jinja_at_name(p, "in"))
        jinja_add_item(p, n, parse_one_target(p, with_member));
    return jinja_done(p, n);
}
