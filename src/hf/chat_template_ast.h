// Templates as trees, and the parser that makes them.
#ifndef TRDPO_HF_CHAT_TEMPLATE_AST_H
#define TRDPO_HF_CHAT_TEMPLATE_AST_H

#include "chat_template_lex.h"

// The members in use are named behind each type.
enum jinja_node_type {
    // expressions
    JINJA_CONST,   // value
    JINJA_NAME,    // name
    JINJA_ITEMS,   // list literal: items
    JINJA_GROUP,   // tuple literal, or the targets of an assignment: items
    JINJA_PAIRS,   // dict literal: items (key, value, key, value)
    JINJA_COND,    // a if b else c (c may be NULL)
    JINJA_AND,     // a, b
    JINJA_OR,      // a, b
    JINJA_NOT,     // a
    JINJA_COMPARE, // a, then items: operands, each with name (operator) and a
    JINJA_OPERAND,
    JINJA_BINARY, // a name b
    JINJA_SIGN,   // name a: - or +
    JINJA_CONCAT, // items
    JINJA_ATTR,   // a.name
    JINJA_INDEX,  // a[b]
    JINJA_SLICE,  // as b of an INDEX: a:b:c, each may be NULL
    JINJA_CALL,   // a(items); a NAMED item has name and a
    JINJA_NAMED,
    JINJA_FILTER, // a | name(items); a is NULL at the start of a filter block's chain
    JINJA_TEST,   // a is name(items)
    JINJA_MEMBER, // target of an assignment: name.value (of a namespace)
    // statements
    JINJA_DATA,       // text: name
    JINJA_OUTPUT,     // a
    JINJA_IF,         // a: condition, body; c: the next branch (IF), or orelse
    JINJA_FOR,        // for a in b if c: body, orelse
    JINJA_SET,        // a = b
    JINJA_SET_BLOCK,  // a = body, through the filters b (may be NULL)
    JINJA_MACRO_DEF,  // name, items (parameters: NAMED, a is the default or NULL), body, uses_*
    JINJA_CALL_BLOCK, // a: CALL; b: MACRO_DEF of the caller
    JINJA_FILTERED,   // body through the filters b
    JINJA_WITH,       // items (target, value, target, value), body
    JINJA_SCOPE,      // body in a scope of its own (generation)
    JINJA_BREAK,
    JINJA_CONTINUE,
};

struct jinja_node {
    enum jinja_node_type type;
    uint32_t line;
    uint32_t depth; // of the tree below, for the nesting limit
    bool uses_caller, uses_varargs, uses_kwargs;
    struct jinja_text name;
    struct jinja_value value;
    struct jinja_node *a, *b, *c;
    struct jinja_node **items;
    size_t count, capacity;
    struct jinja_node *body, *orelse; // statements in a row, linked by `next`
    struct jinja_node *next;
};

// Deepest nesting of expressions and blocks.
#define JINJA_MAX_DEPTH 200

// Parses a whole template into its first statement (NULL if it is empty). False on failure
// (err_user with the line). The tree and what it refers to live in `arena`.
bool jinja_parse(const char *source, struct jinja_arena *arena, struct jinja_node **first);

// ---- between the parser's files ----

struct jinja_parser {
    struct jinja_tokens tokens;
    size_t at;
    struct jinja_arena *arena;
    struct jinja_node *macro; // the one being read
    int loops;                // being read, within that macro
    int depth;                // of the recursion
    bool failed;
};

struct jinja_node *jinja_node(struct jinja_parser *p, enum jinja_node_type type);
void jinja_add_item(struct jinja_parser *p, struct jinja_node *node, struct jinja_node *item);
// Called when the children are set. Fails if the tree became too deep.
struct jinja_node *jinja_done(struct jinja_parser *p, struct jinja_node *node);
void jinja_parse_fail(struct jinja_parser *p, const char *expected);
const struct jinja_token *jinja_peek(const struct jinja_parser *p, size_t ahead);
bool jinja_at_symbol(const struct jinja_parser *p, const char *symbol);
bool jinja_at_name(const struct jinja_parser *p, const char *name);
bool jinja_skip_symbol(struct jinja_parser *p, const char *symbol); // if it is there
bool jinja_skip_name(struct jinja_parser *p, const char *name);
void jinja_expect_symbol(struct jinja_parser *p, const char *symbol);
struct jinja_text jinja_expect_name(struct jinja_parser *p);

// An expression; one without `if` (as in `for x in A if B`); several with commas make a GROUP. They
// return a node in any case; p->failed tells.
struct jinja_node *jinja_parse_expr(struct jinja_parser *p);
struct jinja_node *jinja_parse_or(struct jinja_parser *p);
struct jinja_node *jinja_parse_group(struct jinja_parser *p, bool with_cond, const char *end_name);
struct jinja_node *jinja_parse_target(struct jinja_parser *p, bool with_member);
struct jinja_node *jinja_parse_call(struct jinja_parser *p, struct jinja_node *callee);
// `| name(...) | ...` behind `node`, which may be NULL; `first`: a name comes without its bar.
struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *node, bool first);

#endif
