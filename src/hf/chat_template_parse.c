// The parser's statements, and what all of it is made with.
#include "chat_template_ast.h"

#include "base/error.h"

#include <string.h>

// ---- nodes and tokens ----

struct jinja_node *jinja_node(struct jinja_parser *p, enum jinja_node_type type)
{
    struct jinja_node *n = jinja_alloc(p->arena, sizeof *n);
    n->type = type;
    n->line = jinja_peek(p, 0)->line;
    return n;
}

void jinja_add_item(struct jinja_parser *p, struct jinja_node *node, struct jinja_node *item)
{
    if (node->count == node->capacity) {
        size_t capacity = node->capacity ? 2 * node->capacity : 4;
        struct jinja_node **items = jinja_alloc(p->arena, capacity * sizeof *items);
        if (node->count) memcpy(items, node->items, node->count * sizeof *items);
        node->items = items;
        node->capacity = capacity;
    }
    node->items[node->count++] = item;
}

static uint32_t below(const struct jinja_node *n, uint32_t depth)
{
    return n && n->depth > depth ? n->depth : depth;
}

struct jinja_node *jinja_done(struct jinja_parser *p, struct jinja_node *node)
{
    uint32_t depth = below(node->a, below(node->b, below(node->c, 0)));
    for (size_t i = 0; i < node->count; i++)
        depth = below(node->items[i], depth);
    for (const struct jinja_node *s = node->body; s; s = s->next)
        depth = below(s, depth);
    for (const struct jinja_node *s = node->orelse; s; s = s->next)
        depth = below(s, depth);
    node->depth = depth + 1;
    if (node->depth > JINJA_MAX_DEPTH) jinja_parse_fail(p, NULL);
    return node;
}

// "expected X, found Y"; NULL: nested too deep. The first failure counts.
void jinja_parse_fail(struct jinja_parser *p, const char *expected)
{
    if (p->failed) return;
    p->failed = true;
    const struct jinja_token *t = jinja_peek(p, 0);
    if (!expected)
        err_user("line %u: nested deeper than %d levels", t->line, JINJA_MAX_DEPTH);
    else if (t->kind == JINJA_TOKEN_END)
        err_user("line %u: expected %s, found the end of the template", t->line, expected);
    else if (t->kind == JINJA_TOKEN_CONST)
        err_user("line %u: expected %s, found %s", t->line, expected, jinja_kind_name(&t->value));
    else
        err_user("line %u: expected %s, found '%.*s'", t->line, expected,
                 (int)(t->text.len > 40 ? 40 : t->text.len), t->text.at);
}

const struct jinja_token *jinja_peek(const struct jinja_parser *p, size_t ahead)
{
    size_t at = p->at + ahead, last = p->tokens.count - 1; // the last is END
    return &p->tokens.items[at < last ? at : last];
}

bool jinja_at_symbol(const struct jinja_parser *p, const char *symbol)
{
    const struct jinja_token *t = jinja_peek(p, 0);
    return t->kind == JINJA_TOKEN_SYMBOL && jinja_text_is(t->text, symbol);
}

bool jinja_at_name(const struct jinja_parser *p, const char *name)
{
    const struct jinja_token *t = jinja_peek(p, 0);
    return t->kind == JINJA_TOKEN_NAME && jinja_text_is(t->text, name);
}

bool jinja_skip_symbol(struct jinja_parser *p, const char *symbol)
{
    if (!jinja_at_symbol(p, symbol)) return false;
    p->at++;
    return true;
}

bool jinja_skip_name(struct jinja_parser *p, const char *name)
{
    if (!jinja_at_name(p, name)) return false;
    p->at++;
    return true;
}

void jinja_expect_symbol(struct jinja_parser *p, const char *symbol)
{
    char expected[8] = {'\'', symbol[0], '\'', 0};
    if (!jinja_skip_symbol(p, symbol)) jinja_parse_fail(p, expected);
}

struct jinja_text jinja_expect_name(struct jinja_parser *p)
{
    const struct jinja_token *t = jinja_peek(p, 0);
    if (t->kind == JINJA_TOKEN_NAME) {
        p->at++;
        return t->text;
    }
    jinja_parse_fail(p, "a name");
    return (struct jinja_text){"", 0};
}

static void expect_close(struct jinja_parser *p)
{
    if (jinja_peek(p, 0)->kind == JINJA_TOKEN_CLOSE)
        p->at++;
    else
        jinja_parse_fail(p, "the end of the tag");
}

// ---- blocks ----

static struct jinja_node *parse_statements(struct jinja_parser *p, const char *const *ends);

static bool at_one_of(const struct jinja_parser *p, const char *const *names)
{
    for (; *names; names++)
        if (jinja_at_name(p, *names)) return true;
    return false;
}

// What stands between `%}` and the `{%` of one of `ends`, whose name becomes the next token.
static struct jinja_node *parse_body(struct jinja_parser *p, const char *const *ends)
{
    expect_close(p);
    return p->failed ? NULL : parse_statements(p, ends);
}

static struct jinja_node *parse_body_to(struct jinja_parser *p, const char *end)
{
    const char *const ends[] = {end, NULL};
    struct jinja_node *body = parse_body(p, ends);
    jinja_skip_name(p, end);
    return body;
}

static struct jinja_node *parse_if(struct jinja_parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct jinja_node *n = jinja_node(p, JINJA_IF);
    n->a = jinja_parse_group(p, false, NULL);
    n->body = parse_body(p, ends);
    // Branches hang on each other, but are walked in a row: they do not nest.
    struct jinja_node *last = n;
    while (!p->failed && jinja_skip_name(p, "elif")) {
        struct jinja_node *branch = jinja_node(p, JINJA_IF);
        branch->a = jinja_parse_group(p, false, NULL);
        branch->body = parse_body(p, ends);
        jinja_done(p, branch);
        if (branch->depth > n->depth) n->depth = branch->depth;
        last = last->c = branch;
    }
    if (jinja_skip_name(p, "else"))
        last->orelse = parse_body_to(p, "endif");
    else
        jinja_skip_name(p, "endif");
    uint32_t deepest = n->depth;
    struct jinja_node *branches = n->c;
    n->c = NULL;
    jinja_done(p, last);
    jinja_done(p, n);
    n->c = branches;
    if (deepest > n->depth) n->depth = deepest;
    if (last->depth > n->depth) n->depth = last->depth;
    return n;
}

static struct jinja_node *parse_for(struct jinja_parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    struct jinja_node *n = jinja_node(p, JINJA_FOR);
    n->a = jinja_parse_target(p, false);
    if (!jinja_skip_name(p, "in")) jinja_parse_fail(p, "'in'");
    n->b = jinja_parse_group(p, false, "recursive");
    if (jinja_skip_name(p, "if")) n->c = jinja_parse_expr(p);
    if (jinja_at_name(p, "recursive"))
        jinja_parse_fail(p, "the end of the tag (recursive loops are not supported)");
    p->loops++;
    n->body = parse_body(p, ends);
    p->loops--;
    if (jinja_skip_name(p, "else"))
        n->orelse = parse_body_to(p, "endfor");
    else
        jinja_skip_name(p, "endfor");
    return jinja_done(p, n);
}

static struct jinja_node *parse_set(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node(p, JINJA_SET);
    n->a = jinja_parse_target(p, true);
    if (jinja_skip_symbol(p, "=")) {
        n->b = jinja_parse_group(p, true, NULL);
        return jinja_done(p, n);
    }
    n->type = JINJA_SET_BLOCK;
    n->b = jinja_parse_filters(p, NULL, false);
    n->body = parse_body_to(p, "endset");
    return jinja_done(p, n);
}

static void parse_parameters(struct jinja_parser *p, struct jinja_node *macro)
{
    jinja_expect_symbol(p, "(");
    while (!p->failed && !jinja_at_symbol(p, ")")) {
        if (macro->count) jinja_expect_symbol(p, ",");
        if (jinja_at_symbol(p, ")")) break;
        struct jinja_node *parameter = jinja_node(p, JINJA_NAMED);
        parameter->name = jinja_expect_name(p);
        if (jinja_skip_symbol(p, "=")) parameter->a = jinja_parse_expr(p);
        jinja_add_item(p, macro, jinja_done(p, parameter));
    }
    jinja_expect_symbol(p, ")");
}

static struct jinja_node *parse_macro_body(struct jinja_parser *p, struct jinja_node *macro,
                                           const char *end)
{
    struct jinja_node *outer = p->macro;
    int loops = p->loops;
    p->macro = macro;
    p->loops = 0; // a macro's body is in no loop, wherever the macro is
    macro->body = parse_body_to(p, end);
    p->macro = outer;
    p->loops = loops;
    return jinja_done(p, macro);
}

static struct jinja_node *parse_macro(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node(p, JINJA_MACRO_DEF);
    n->name = jinja_expect_name(p);
    parse_parameters(p, n);
    return parse_macro_body(p, n, "endmacro");
}

static struct jinja_node *parse_call_block(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node(p, JINJA_CALL_BLOCK);
    struct jinja_node *caller = jinja_node(p, JINJA_MACRO_DEF);
    caller->name = (struct jinja_text){"caller", 6};
    if (jinja_at_symbol(p, "(")) parse_parameters(p, caller);
    n->a = jinja_parse_expr(p);
    if (n->a->type != JINJA_CALL) jinja_parse_fail(p, "a call before the end of the tag");
    n->b = parse_macro_body(p, caller, "endcall");
    return jinja_done(p, n);
}

static struct jinja_node *parse_filter_block(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node(p, JINJA_FILTERED);
    n->b = jinja_parse_filters(p, NULL, true);
    n->body = parse_body_to(p, "endfilter");
    return jinja_done(p, n);
}

static struct jinja_node *parse_with(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node(p, JINJA_WITH);
    while (!p->failed && jinja_peek(p, 0)->kind != JINJA_TOKEN_CLOSE) {
        if (n->count) jinja_expect_symbol(p, ",");
        jinja_add_item(p, n, jinja_parse_target(p, false));
        jinja_expect_symbol(p, "=");
        jinja_add_item(p, n, jinja_parse_expr(p));
    }
    n->body = parse_body_to(p, "endwith");
    return jinja_done(p, n);
}

static struct jinja_node *parse_generation(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node(p, JINJA_SCOPE);
    int loops = p->loops;
    p->loops = 0; // a break would leave the block too
    n->body = parse_body_to(p, "endgeneration");
    p->loops = loops;
    return jinja_done(p, n);
}

static struct jinja_node *parse_jump(struct jinja_parser *p, enum jinja_node_type type)
{
    struct jinja_node *n = jinja_node(p, type);
    if (!p->loops && !p->failed) {
        p->failed = true;
        err_user("line %u: '%s' is in no loop", n->line,
                 type == JINJA_BREAK ? "break" : "continue");
    }
    return jinja_done(p, n);
}

static struct jinja_node *parse_tag(struct jinja_parser *p)
{
    static const struct {
        const char *name;
        struct jinja_node *(*parse)(struct jinja_parser *);
    } tags[] = {
        {"if", parse_if},           {"for", parse_for},
        {"set", parse_set},         {"macro", parse_macro},
        {"call", parse_call_block}, {"filter", parse_filter_block},
        {"with", parse_with},       {"generation", parse_generation},
    };
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (jinja_skip_name(p, tags[i].name)) return tags[i].parse(p);
    if (jinja_skip_name(p, "break")) return parse_jump(p, JINJA_BREAK);
    if (jinja_skip_name(p, "continue")) return parse_jump(p, JINJA_CONTINUE);
    jinja_parse_fail(p, "if, for, set, macro, call, filter, with, generation, break or continue");
    return jinja_node(p, JINJA_DATA);
}

static struct jinja_node *parse_statement(struct jinja_parser *p)
{
    const struct jinja_token *t = jinja_peek(p, 0);
    struct jinja_node *n;
    if (t->kind == JINJA_TOKEN_DATA) {
        n = jinja_node(p, JINJA_DATA);
        n->name = t->text;
        p->at++;
        return n;
    }
    p->at++;
    if (t->kind == JINJA_TOKEN_OUTPUT) {
        n = jinja_node(p, JINJA_OUTPUT);
        n->a = jinja_parse_group(p, true, NULL);
        n = jinja_done(p, n);
    } else {
        n = parse_tag(p);
    }
    expect_close(p);
    return n;
}

// Statements up to the tag of one of `ends`, or to the end of the template where that is NULL.
static struct jinja_node *parse_statements(struct jinja_parser *p, const char *const *ends)
{
    struct jinja_node *first = NULL, **next = &first;
    if (p->depth++ >= JINJA_MAX_DEPTH) jinja_parse_fail(p, NULL);
    while (!p->failed) {
        const struct jinja_token *t = jinja_peek(p, 0);
        if (t->kind == JINJA_TOKEN_END) {
            while (ends && ends[1])
                ends++; // the last one is the end itself
            if (ends) jinja_parse_fail(p, ends[0]);
            break;
        }
        if (ends && t->kind == JINJA_TOKEN_BLOCK) {
            p->at++;
            if (at_one_of(p, ends)) break;
            p->at--;
        }
        *next = parse_statement(p);
        next = &(*next)->next;
    }
    p->depth--;
    return first;
}

bool jinja_parse(const char *source, struct jinja_arena *arena, struct jinja_node **first)
{
    struct jinja_parser p = {.arena = arena};
    bool ok = jinja_lex(source, arena, &p.tokens);
    if (ok) *first = parse_statements(&p, NULL);
    ARRAY_FREE(&p.tokens);
    return ok && !p.failed;
}
