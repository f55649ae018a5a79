// Expressions.
#include "chat_template_run.h"

#include "base/error.h"

#include <string.h>

// Arguments of a call; texts of the names are the tree's.
static struct jinja_args eval_args(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_args args = {0};
    args.values = jinja_alloc(&rt->arena, n->count * sizeof *args.values);
    args.named = jinja_alloc(&rt->arena, n->count * sizeof *args.named);
    args.names = jinja_alloc(&rt->arena, n->count * sizeof *args.names);
    for (size_t i = 0; i < n->count; i++) {
        const struct jinja_node *item = n->items[i];
        if (item->type == JINJA_NAMED) {
            args.names[args.named_count] = item->name;
            args.named[args.named_count++] = jinja_eval(rt, item->a);
        } else {
            args.values[args.count++] = jinja_eval(rt, item);
        }
    }
    return args;
}

static struct jinja_value eval_items(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value list =
        jinja_new_list(&rt->arena, n->type == JINJA_ITEMS ? JINJA_LIST : JINJA_TUPLE);
    for (size_t i = 0; i < n->count; i++)
        jinja_push(&rt->arena, list, jinja_eval(rt, n->items[i]));
    return list;
}

static struct jinja_value eval_pairs(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value dict = jinja_new_dict(&rt->arena, JINJA_DICT);
    for (size_t i = 0; i + 1 < n->count && !rt->failed; i += 2) {
        struct jinja_value key = jinja_eval(rt, n->items[i]);
        struct jinja_value value = jinja_eval(rt, n->items[i + 1]);
        if (!jinja_hashable(&key))
            return jinja_fail(rt, "%s cannot be a key", jinja_kind_name(&key));
        jinja_dict_set(&rt->arena, dict.u.dict, key, value);
    }
    return dict;
}

// a < b < c: each operand is evaluated once, and only as far as needed.
static struct jinja_value eval_compare(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value left = jinja_eval(rt, n->a);
    for (size_t i = 0; i < n->count && !rt->failed; i++) {
        struct jinja_value right = jinja_eval(rt, n->items[i]->a);
        struct jinja_text op = n->items[i]->name;
        bool holds = jinja_text_is(op, "in")    ? jinja_contains(rt, right, left)
                     : jinja_text_is(op, "not") ? !jinja_contains(rt, right, left)
                                                : jinja_compare(rt, op, left, right);
        if (!holds) return jinja_bool(false);
        left = right;
    }
    return jinja_bool(true);
}

static struct jinja_value eval_concat(struct jinja_run *rt, const struct jinja_node *n)
{
    struct str text = {0};
    for (size_t i = 0; i < n->count && !rt->failed; i++)
        jinja_append(rt, &text, jinja_eval(rt, n->items[i]));
    return jinja_take(rt, &text);
}

static struct jinja_value eval_index(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value of = jinja_eval(rt, n->a);
    if (n->b->type != JINJA_SLICE) return jinja_index(rt, of, jinja_eval(rt, n->b));
    const struct jinja_node *parts[3] = {n->b->a, n->b->b, n->b->c};
    struct jinja_value bounds[3];
    for (int i = 0; i < 3; i++)
        bounds[i] = parts[i] ? jinja_eval(rt, parts[i]) : jinja_none();
    return jinja_slice(rt, of, bounds);
}

static struct jinja_value eval_call(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value callee = jinja_eval(rt, n->a);
    struct jinja_args args = eval_args(rt, n);
    if (rt->failed) return callee;
    return jinja_call(rt, callee, &args, n->a->name);
}

static struct jinja_value eval_filter(struct jinja_run *rt, const struct jinja_node *n,
                                      struct jinja_value value)
{
    struct jinja_args args = eval_args(rt, n);
    if (rt->failed) return value;
    return jinja_filter(rt, n->name, value, &args);
}

static struct jinja_value eval_test(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value value = jinja_eval(rt, n->a);
    struct jinja_args args = eval_args(rt, n);
    return jinja_bool(!rt->failed && jinja_test(rt, n->name, value, &args));
}

static struct jinja_value eval_logic(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value a = jinja_eval(rt, n->a);
    switch (n->type) {
    case JINJA_AND:
        return jinja_truth(&a) ? jinja_eval(rt, n->b) : a;
    case JINJA_OR:
        return jinja_truth(&a) ? a : jinja_eval(rt, n->b);
    default:
        return jinja_bool(!jinja_truth(&a));
    }
}

static struct jinja_value eval_cond(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value test = jinja_eval(rt, n->b);
    if (jinja_truth(&test)) return jinja_eval(rt, n->a);
    if (n->c) return jinja_eval(rt, n->c);
    return jinja_undefined((struct jinja_text){"an 'if' without 'else'", 22});
}

static struct jinja_value eval_binary(struct jinja_run *rt, const struct jinja_node *n)
{
    struct jinja_value a = jinja_eval(rt, n->a), b = jinja_eval(rt, n->b);
    return jinja_binary(rt, n->name, a, b);
}

static struct jinja_value eval(struct jinja_run *rt, const struct jinja_node *n)
{
    switch (n->type) {
    case JINJA_CONST:
        return n->value;
    case JINJA_NAME:
        return jinja_get_var(rt, n->name);
    case JINJA_ITEMS:
    case JINJA_GROUP:
        return eval_items(rt, n);
    case JINJA_PAIRS:
        return eval_pairs(rt, n);
    case JINJA_COND:
        return eval_cond(rt, n);
    case JINJA_AND:
    case JINJA_OR:
    case JINJA_NOT:
        return eval_logic(rt, n);
    case JINJA_COMPARE:
        return eval_compare(rt, n);
    case JINJA_BINARY:
        return eval_binary(rt, n);
    case JINJA_SIGN:
        return jinja_sign(rt, n->name.at[0] == '-', jinja_eval(rt, n->a));
    case JINJA_CONCAT:
        return eval_concat(rt, n);
    case JINJA_ATTR:
        return jinja_attribute(rt, jinja_eval(rt, n->a), n->name);
    case JINJA_INDEX:
        return eval_index(rt, n);
    case JINJA_CALL:
        return eval_call(rt, n);
    case JINJA_FILTER:
        return eval_filter(rt, n, jinja_eval(rt, n->a));
    case JINJA_TEST:
        return eval_test(rt, n);
    default:
        CHECK(false);
        return jinja_none();
    }
}

struct jinja_value jinja_eval(struct jinja_run *rt, const struct jinja_node *node)
{
    struct jinja_value v = jinja_undefined((struct jinja_text){"", 0});
    if (jinja_enter(rt)) {
        rt->line = node->line;
        v = eval(rt, node);
    }
    rt->depth--;
    return v;
}

struct jinja_value jinja_apply_filters(struct jinja_run *rt, const struct jinja_node *chain,
                                       struct jinja_value value)
{
    if (!chain || rt->failed) return value;
    return eval_filter(rt, chain, jinja_apply_filters(rt, chain->a, value));
}

// ---- calls ----

const struct jinja_builtin *jinja_builtin_find(const struct jinja_builtin *table,
                                               struct jinja_text name)
{
    for (; table->name; table++)
        if (jinja_text_is(name, table->name)) return table;
    return NULL;
}

#define MAX_PARAMETERS 4

// Names of the parameters; returns how many.
static int split_names(const char *parameters, struct jinja_text names[MAX_PARAMETERS])
{
    int n = 0;
    for (const char *at = parameters; *at;) {
        size_t len = strcspn(at, " ");
        CHECK(n < MAX_PARAMETERS);
        names[n++] = (struct jinja_text){at, len};
        at += len + (at[len] == ' ');
    }
    return n;
}

struct jinja_value jinja_run_builtin(struct jinja_run *rt, const struct jinja_builtin *b,
                                     struct jinja_value self, const struct jinja_args *args)
{
    struct jinja_value bound[MAX_PARAMETERS] = {{0}};
    if (!jinja_step(rt, 0)) return self;
    if (strcmp(b->parameters, "*") == 0) return b->run(rt, self, bound, args);
    struct jinja_text names[MAX_PARAMETERS];
    int count = split_names(b->parameters, names);
    if (args->count > (size_t)count)
        return jinja_fail(rt, "'%s' takes at most %d argument%s, not %zu", b->name, count,
                          count == 1 ? "" : "s", args->count);
    for (size_t i = 0; i < args->count; i++)
        bound[i] = args->values[i];
    for (size_t k = 0; k < args->named_count; k++) {
        int i = 0;
        while (i < count && !jinja_same_text(names[i], args->names[k]))
            i++;
        if (i == count || bound[i].kind != JINJA_ABSENT)
            return jinja_fail(rt, "'%s' takes no argument '%.*s'%s", b->name,
                              (int)args->names[k].len, args->names[k].at,
                              i == count ? "" : " beside the one given by position");
        bound[i] = args->named[k];
    }
    for (int i = 0; i < b->required; i++)
        if (bound[i].kind == JINJA_ABSENT)
            return jinja_fail(rt, "'%s' needs its argument '%.*s'", b->name, (int)names[i].len,
                              names[i].at);
    return b->run(rt, self, bound, args);
}

struct jinja_value jinja_filter(struct jinja_run *rt, struct jinja_text name,
                                struct jinja_value self, const struct jinja_args *args)
{
    const struct jinja_builtin *b = jinja_builtin_find(jinja_text_filters, name);
    if (!b) b = jinja_builtin_find(jinja_list_filters, name);
    if (!b)
        return jinja_fail(rt, "there is no filter '%.*s', or it is not supported", (int)name.len,
                          name.at);
    return jinja_run_builtin(rt, b, self, args);
}

bool jinja_test(struct jinja_run *rt, struct jinja_text name, struct jinja_value self,
                const struct jinja_args *args)
{
    const struct jinja_builtin *b = jinja_builtin_find(jinja_tests, name);
    if (!b) {
        jinja_fail(rt, "there is no test '%.*s', or it is not supported", (int)name.len, name.at);
        return false;
    }
    struct jinja_value v = jinja_run_builtin(rt, b, self, args);
    return jinja_truth(&v);
}

struct jinja_value jinja_call(struct jinja_run *rt, struct jinja_value callee,
                              const struct jinja_args *args, struct jinja_text name)
{
    switch (callee.kind) {
    case JINJA_FUNCTION:
        return jinja_run_builtin(rt, callee.u.function, jinja_none(), args);
    case JINJA_METHOD:
        return jinja_run_builtin(rt, callee.u.method->function, callee.u.method->self, args);
    case JINJA_MACRO:
        return jinja_call_macro(rt, callee.u.macro, args);
    case JINJA_UNDEFINED:
        return jinja_fail(rt, "there is no function or method '%.*s', or it is not supported",
                          (int)callee.u.text.len, callee.u.text.at);
    default:
        return jinja_fail(rt, "'%.*s' is %s and cannot be called", (int)name.len, name.at,
                          jinja_kind_name(&callee));
    }
}
