// Rendering: the state of a run, and what the files of the interpreter call of each other.
//
// After a failure rt->failed is set, the message recorded, and values that follow mean nothing;
// loops look at the flag, everything else just runs to its end.
#ifndef TRDPO_HF_CHAT_TEMPLATE_RUN_H
#define TRDPO_HF_CHAT_TEMPLATE_RUN_H

#include "chat_template_ast.h"
#include "chat_template_chars.h"

#include <time.h>

// Values, and output, may take so many bytes.
#define JINJA_MAX_BYTES ((size_t)256 << 20)

struct jinja_scope {
    struct jinja_scope *parent;
    struct jinja_var *vars; // linked, newest first
};

enum jinja_flow { JINJA_GO_ON, JINJA_BREAKING, JINJA_CONTINUING };

struct jinja_run {
    struct jinja_arena arena;
    struct jinja_scope *scope;
    struct str *out; // where output goes: the caller's text, or that of a macro or block
    enum jinja_flow flow;
    uint32_t line;
    size_t steps;
    int depth; // of the recursion
    bool failed;
    const struct tm *now; // for strftime_now
};

struct jinja_macro {
    const struct jinja_node *node; // MACRO_DEF
    struct jinja_scope *scope;     // where it was defined
};

struct jinja_loop {
    const struct jinja_list *items;
    size_t index;
    bool has_changed; // loop.changed() was called
    struct jinja_value last_change;
};

// Arguments of a call as given.
struct jinja_args {
    struct jinja_value *values; // by position
    size_t count;
    struct jinja_text *names; // named ones
    struct jinja_value *named;
    size_t named_count;
};

// A filter, test, method or function. `parameters`: names with a space between, at most four of
// them, "*" alone: `args` are taken as they are. The function gets them by position in `arg`,
// ABSENT where not given; the first `required` are always given.
struct jinja_builtin {
    const char *name;
    struct jinja_value (*run)(struct jinja_run *rt, struct jinja_value self,
                              const struct jinja_value *arg, const struct jinja_args *args);
    const char *parameters;
    int required;
};

// Finds by name in a table that ends with a NULL name; NULL if it is not there.
const struct jinja_builtin *jinja_builtin_find(const struct jinja_builtin *table,
                                               struct jinja_text name);
extern const struct jinja_builtin jinja_text_filters[], jinja_list_filters[], jinja_tests[],
    jinja_string_methods[], jinja_dict_methods[], jinja_list_methods[], jinja_loop_methods[],
    jinja_functions[];

// ---- running ----

// Records the failure, with the line, unless there is one already; returns an undefined value.
struct jinja_value jinja_fail(struct jinja_run *rt, const char *fmt, ...) BASE_PRINTF(2, 3);
// Counts steps (of work that grows with `bytes`, one for each 64). False once they are used up, or
// memory is.
bool jinja_step(struct jinja_run *rt, size_t bytes);
// A step that recurses: fails if too deep. In any case rt->depth-- on the way out.
bool jinja_enter(struct jinja_run *rt);

struct jinja_value jinja_eval(struct jinja_run *rt, const struct jinja_node *node);
void jinja_exec(struct jinja_run *rt, const struct jinja_node *first);
struct jinja_value jinja_call(struct jinja_run *rt, struct jinja_value callee,
                              const struct jinja_args *args, struct jinja_text name);
struct jinja_value jinja_call_macro(struct jinja_run *rt, const struct jinja_macro *macro,
                                    const struct jinja_args *args);
struct jinja_value jinja_run_builtin(struct jinja_run *rt, const struct jinja_builtin *b,
                                     struct jinja_value self, const struct jinja_args *args);
// Fails if there is none of that name.
struct jinja_value jinja_filter(struct jinja_run *rt, struct jinja_text name,
                                struct jinja_value self, const struct jinja_args *args);
bool jinja_test(struct jinja_run *rt, struct jinja_text name, struct jinja_value self,
                const struct jinja_args *args);
// Applies the chain of a filter block.
struct jinja_value jinja_apply_filters(struct jinja_run *rt, const struct jinja_node *chain,
                                       struct jinja_value value);

// ---- scopes ----

void jinja_push_scope(struct jinja_run *rt, struct jinja_scope *parent);
void jinja_set_var(struct jinja_run *rt, struct jinja_text name, struct jinja_value value);
struct jinja_value jinja_get_var(struct jinja_run *rt, struct jinja_text name);

// ---- operations on values ----

struct jinja_value jinja_attribute(struct jinja_run *rt, struct jinja_value of,
                                   struct jinja_text name); // a.name
struct jinja_value jinja_index(struct jinja_run *rt, struct jinja_value of,
                               struct jinja_value index); // a[index]
// A part of a string, list or tuple; bounds are integers, or anything else for none.
struct jinja_value jinja_slice(struct jinja_run *rt, struct jinja_value of,
                               const struct jinja_value bounds[3]);
struct jinja_value jinja_binary(struct jinja_run *rt, struct jinja_text op, struct jinja_value a,
                                struct jinja_value b);
struct jinja_value jinja_sign(struct jinja_run *rt, bool minus, struct jinja_value a);
bool jinja_compare(struct jinja_run *rt, struct jinja_text op, struct jinja_value a,
                   struct jinja_value b);
bool jinja_contains(struct jinja_run *rt, struct jinja_value list, struct jinja_value item);
// The items of what can be iterated, as a list (the value's own where it is one).
const struct jinja_list *jinja_iterate(struct jinja_run *rt, struct jinja_value v);

// ---- values as text ----

// str(v), appended; as a value.
void jinja_append(struct jinja_run *rt, struct str *out, struct jinja_value v);
struct jinja_text jinja_text_of(struct jinja_run *rt, struct jinja_value v);
void jinja_append_repr(struct jinja_run *rt, struct str *out, const struct jinja_value *v);
// Appends bytes, or fails where the text grows beyond JINJA_MAX_BYTES.
bool jinja_put(struct jinja_run *rt, struct str *out, const char *bytes, size_t len);
// The text as a value; frees it.
struct jinja_value jinja_take(struct jinja_run *rt, struct str *text);

// json.dumps(v, ensure_ascii=False, ...). Separators and indent: NULL for none.
struct jinja_json_style {
    struct jinja_text item, key; // separators
    const struct jinja_text *indent;
    bool sort_keys;
};
void jinja_append_json(struct jinja_run *rt, struct str *out, const struct jinja_value *v,
                       const struct jinja_json_style *style);
void jinja_append_float(struct str *out, double d); // repr()

#endif
