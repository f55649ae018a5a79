// Statements, scopes, macros.
#include "chat_template_run.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_RECURSION 1000

// ---- failures and limits ----

struct jinja_value jinja_fail(struct jinja_run *rt, const char *fmt, ...)
{
    if (!rt->failed) {
        char text[512];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        rt->failed = true;
        err_user("line %u: %s", rt->line, text);
    }
    return jinja_undefined((struct jinja_text){"", 0});
}

bool jinja_step(struct jinja_run *rt, size_t bytes)
{
    if (rt->failed) return false;
    rt->steps += 1 + bytes / 64;
    if (rt->steps > JINJA_MAX_STEPS)
        jinja_fail(rt, "the template took more than 10 million steps");
    else if (rt->arena.used > JINJA_MAX_BYTES)
        jinja_fail(rt, "the template needs more than 256 MiB of memory");
    return !rt->failed;
}

bool jinja_enter(struct jinja_run *rt)
{
    if (rt->depth++ < MAX_RECURSION) return jinja_step(rt, 0);
    jinja_fail(rt, "macros and blocks call each other too deep");
    return false;
}

// ---- scopes ----

struct jinja_var {
    struct jinja_var *next;
    struct jinja_text name;
    struct jinja_value value;
};

void jinja_push_scope(struct jinja_run *rt, struct jinja_scope *parent)
{
    rt->scope = jinja_alloc(&rt->arena, sizeof *rt->scope);
    rt->scope->parent = parent;
}

static struct jinja_var *find_var(struct jinja_scope *scope, struct jinja_text name)
{
    for (struct jinja_var *v = scope->vars; v; v = v->next)
        if (jinja_same_text(v->name, name)) return v;
    return NULL;
}

void jinja_set_var(struct jinja_run *rt, struct jinja_text name, struct jinja_value value)
{
    struct jinja_var *v = find_var(rt->scope, name);
    if (!v) {
        v = jinja_alloc(&rt->arena, sizeof *v);
        *v = (struct jinja_var){.next = rt->scope->vars, .name = name};
        rt->scope->vars = v;
    }
    v->value = value;
}

struct jinja_value jinja_get_var(struct jinja_run *rt, struct jinja_text name)
{
    for (struct jinja_scope *s = rt->scope; s; s = s->parent) {
        struct jinja_var *v = find_var(s, name);
        if (v) return v->value;
    }
    const struct jinja_builtin *f = jinja_builtin_find(jinja_functions, name);
    if (f) return (struct jinja_value){.kind = JINJA_FUNCTION, .u.function = f};
    return jinja_undefined(name);
}

static void assign(struct jinja_run *rt, const struct jinja_node *target, struct jinja_value value)
{
    if (target->type == JINJA_NAME) {
        jinja_set_var(rt, target->name, value);
    } else if (target->type == JINJA_MEMBER) {
        struct jinja_value ns = jinja_get_var(rt, target->name);
        if (ns.kind == JINJA_NAMESPACE)
            jinja_dict_set(&rt->arena, ns.u.dict, target->value, value);
        else
            jinja_fail(rt, "'%.*s' is %s: only members of a namespace can be set",
                       (int)target->name.len, target->name.at, jinja_kind_name(&ns));
    } else {
        const struct jinja_list *items = jinja_iterate(rt, value);
        if (!rt->failed && items->count != target->count)
            jinja_fail(rt, "%zu values cannot be taken apart into %zu names", items->count,
                       target->count);
        for (size_t i = 0; !rt->failed && i < target->count; i++)
            assign(rt, target->items[i], items->items[i]);
    }
}

// ---- output that is caught ----

// Runs a body with its output in a text of its own, in a scope of its own.
static struct jinja_value capture(struct jinja_run *rt, const struct jinja_node *body,
                                  struct jinja_scope *parent)
{
    struct str text = {0}, *out = rt->out;
    struct jinja_scope *scope = rt->scope;
    rt->out = &text;
    jinja_push_scope(rt, parent);
    jinja_exec(rt, body);
    rt->scope = scope;
    rt->out = out;
    return jinja_take(rt, &text);
}

// ---- macros ----

static struct jinja_value extra_positions(struct jinja_run *rt, const struct jinja_args *args,
                                          size_t from)
{
    struct jinja_value tuple = jinja_new_list(&rt->arena, JINJA_TUPLE);
    for (size_t i = from; i < args->count; i++)
        jinja_push(&rt->arena, tuple, args->values[i]);
    return tuple;
}

// Named arguments that are no parameter: the caller, or what `kwargs` takes.
static void take_extra_names(struct jinja_run *rt, const struct jinja_node *macro,
                             const struct jinja_args *args)
{
    struct jinja_value rest = jinja_new_dict(&rt->arena, JINJA_DICT);
    for (size_t i = 0; i < args->named_count && !rt->failed; i++) {
        struct jinja_text name = args->names[i];
        bool known = false;
        for (size_t k = 0; k < macro->count; k++)
            known = known || jinja_same_text(macro->items[k]->name, name);
        if (known) continue;
        if (macro->uses_caller && jinja_text_is(name, "caller"))
            jinja_set_var(rt, name, args->named[i]);
        else if (macro->uses_kwargs)
            jinja_dict_set(&rt->arena, rest.u.dict, jinja_string(name.at, name.len),
                           args->named[i]);
        else
            jinja_fail(rt, "macro '%.*s' takes no argument '%.*s'", (int)macro->name.len,
                       macro->name.at, (int)name.len, name.at);
    }
    if (macro->uses_kwargs) jinja_set_var(rt, (struct jinja_text){"kwargs", 6}, rest);
}

static void bind_parameters(struct jinja_run *rt, const struct jinja_node *macro,
                            const struct jinja_args *args)
{
    for (size_t i = 0; i < macro->count && !rt->failed; i++) {
        const struct jinja_node *p = macro->items[i];
        struct jinja_value value = {.kind = JINJA_ABSENT};
        if (i < args->count) value = args->values[i];
        for (size_t k = 0; k < args->named_count; k++)
            if (jinja_same_text(args->names[k], p->name)) value = args->named[k];
        if (value.kind == JINJA_ABSENT)
            value = p->a ? jinja_eval(rt, p->a) : jinja_undefined(p->name);
        jinja_set_var(rt, p->name, value);
    }
    if (macro->uses_varargs)
        jinja_set_var(rt, (struct jinja_text){"varargs", 7},
                      extra_positions(rt, args, macro->count));
    else if (args->count > macro->count)
        jinja_fail(rt, "macro '%.*s' takes at most %zu arguments, not %zu", (int)macro->name.len,
                   macro->name.at, macro->count, args->count);
    take_extra_names(rt, macro, args);
}

struct jinja_value jinja_call_macro(struct jinja_run *rt, const struct jinja_macro *macro,
                                    const struct jinja_args *args)
{
    struct jinja_value result = jinja_none();
    struct jinja_scope *scope = rt->scope;
    if (jinja_enter(rt)) {
        jinja_push_scope(rt, macro->scope);
        bind_parameters(rt, macro->node, args);
        result = capture(rt, macro->node->body, rt->scope);
    }
    rt->depth--;
    rt->scope = scope;
    return result;
}

static struct jinja_value make_macro(struct jinja_run *rt, const struct jinja_node *node)
{
    struct jinja_macro *macro = jinja_alloc(&rt->arena, sizeof *macro);
    *macro = (struct jinja_macro){node, rt->scope};
    return (struct jinja_value){.kind = JINJA_MACRO, .u.macro = macro};
}

// ---- statements ----

static void exec_if(struct jinja_run *rt, const struct jinja_node *n)
{
    for (; n && !rt->failed; n = n->c) {
        rt->line = n->line;
        struct jinja_value condition = jinja_eval(rt, n->a);
        if (rt->failed) return;
        if (jinja_truth(&condition)) {
            jinja_exec(rt, n->body);
            return;
        }
        if (!n->c) jinja_exec(rt, n->orelse);
    }
}

// The items that the loop's condition lets pass.
static const struct jinja_list *passing(struct jinja_run *rt, const struct jinja_node *n,
                                        const struct jinja_list *items)
{
    if (!n->c) return items;
    struct jinja_value kept = jinja_new_list(&rt->arena, JINJA_LIST);
    struct jinja_scope *scope = rt->scope;
    for (size_t i = 0; i < items->count && jinja_step(rt, 0); i++) {
        jinja_push_scope(rt, scope);
        assign(rt, n->a, items->items[i]);
        struct jinja_value keep = jinja_eval(rt, n->c);
        if (jinja_truth(&keep)) jinja_push(&rt->arena, kept, items->items[i]);
    }
    rt->scope = scope;
    return kept.u.list;
}

static void exec_for(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value over = jinja_eval(rt, n->b);
    if (rt->failed) return;
    const struct jinja_list *items = passing(rt, n, jinja_iterate(rt, over));
    struct jinja_scope *scope = rt->scope;
    struct jinja_loop *loop = jinja_alloc(&rt->arena, sizeof *loop);
    *loop = (struct jinja_loop){.items = items};
    for (size_t i = 0; i < items->count && jinja_step(rt, 0); i++) {
        loop->index = i;
        jinja_push_scope(rt, scope);
        jinja_set_var(rt, (struct jinja_text){"loop", 4},
                      (struct jinja_value){.kind = JINJA_LOOP, .u.loop = loop});
        assign(rt, n->a, items->items[i]);
        jinja_exec(rt, n->body);
        if (rt->flow == JINJA_BREAKING) break;
        rt->flow = JINJA_GO_ON;
    }
    rt->flow = JINJA_GO_ON;
    rt->scope = scope;
    if (items->count == 0) jinja_exec(rt, n->orelse);
}

static void exec_with(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_scope *scope = rt->scope;
    struct jinja_value values = jinja_new_list(&rt->arena, JINJA_LIST);
    for (size_t i = 1; i < n->count; i += 2) // all before the first is set
        jinja_push(&rt->arena, values, jinja_eval(rt, n->items[i]));
    jinja_push_scope(rt, scope);
    for (size_t i = 0; i + 1 < n->count && !rt->failed; i += 2)
        assign(rt, n->items[i], values.u.list->items[i / 2]);
    jinja_exec(rt, n->body);
    rt->scope = scope;
}

static void exec_call_block(struct jinja_run *rt, const struct jinja_node *n)
{
    // The call's own arguments, and the block as the argument `caller`.
    struct jinja_node argument = {.type = JINJA_CONST, .line = n->line};
    struct jinja_node named = {.type = JINJA_NAMED, .line = n->line, .name = {"caller", 6}};
    argument.value = make_macro(rt, n->b);
    named.a = &argument;
    struct jinja_node call = *n->a;
    call.items = jinja_alloc(&rt->arena, (call.count + 1) * sizeof *call.items);
    if (call.count) memcpy(call.items, n->a->items, call.count * sizeof *call.items);
    call.items[call.count++] = &named;
    jinja_append(rt, rt->out, jinja_eval(rt, &call));
}

static void exec_one(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_scope *scope = rt->scope;
    switch (n->type) {
    case JINJA_DATA:
        jinja_put(rt, rt->out, n->name.at, n->name.len);
        break;
    case JINJA_OUTPUT:
        jinja_append(rt, rt->out, jinja_eval(rt, n->a));
        break;
    case JINJA_IF:
        exec_if(rt, n);
        break;
    case JINJA_FOR:
        exec_for(rt, n);
        break;
    case JINJA_SET:
        assign(rt, n->a, jinja_eval(rt, n->b));
        break;
    case JINJA_SET_BLOCK:
        assign(rt, n->a, jinja_apply_filters(rt, n->b, capture(rt, n->body, scope)));
        break;
    case JINJA_FILTERED:
        jinja_append(rt, rt->out, jinja_apply_filters(rt, n->b, capture(rt, n->body, scope)));
        break;
    case JINJA_MACRO_DEF:
        jinja_set_var(rt, n->name, make_macro(rt, n));
        break;
    case JINJA_CALL_BLOCK:
        exec_call_block(rt, n);
        break;
    case JINJA_WITH:
        exec_with(rt, n);
        break;
    case JINJA_SCOPE:
        jinja_push_scope(rt, scope);
        jinja_exec(rt, n->body);
        rt->scope = scope;
        break;
    case JINJA_BREAK:
        rt->flow = JINJA_BREAKING;
        break;
    case JINJA_CONTINUE:
        rt->flow = JINJA_CONTINUING;
        break;
    default:
        CHECK(false);
    }
}

void jinja_exec(struct jinja_run *rt, const struct jinja_node *first)
{
    if (jinja_enter(rt))
        for (const struct jinja_node *n = first; n && rt->flow == JINJA_GO_ON && jinja_step(rt, 0);
             n = n->next) {
            rt->line = n->line;
            exec_one(rt, n);
        }
    rt->depth--;
}
