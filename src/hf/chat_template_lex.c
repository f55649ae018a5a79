#include "chat_template_lex.h"

#include "chat_template_chars.h"

#include "base/error.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPEN 256 // brackets open at once

struct lexer {
    const char *text;
    size_t len, at;
    uint32_t line;
    bool line_starting; // what came before ended a line
    struct jinja_arena *arena;
    struct jinja_tokens *tokens;
    char open[MAX_OPEN];
    int open_count;
};

static bool fail(const struct lexer *x, const char *what)
{
    return err_user("line %u: %s", x->line, what);
}

static void push(struct lexer *x, enum jinja_token_kind kind, struct jinja_text text)
{
    struct jinja_token token = {.kind = kind, .line = x->line, .text = text};
    ARRAY_PUSH(x->tokens, token);
}

static bool looking_at(const struct lexer *x, const char *text)
{
    size_t n = strlen(text);
    return x->len - x->at >= n && memcmp(x->text + x->at, text, n) == 0;
}

static void advance(struct lexer *x, size_t bytes)
{
    for (; bytes; bytes--)
        x->line += x->text[x->at++] == '\n';
}

static void skip_space(struct lexer *x)
{
    while (x->at < x->len) {
        size_t next = x->at;
        if (!jinja_is_space(str_next_codepoint(x->text, x->len, &next))) return;
        advance(x, next - x->at);
    }
}

// ---- text outside of tags ----

// Where the next tag begins; x->len if there is none.
static size_t find_tag(const struct lexer *x)
{
    for (size_t i = x->at; i + 1 < x->len; i++)
        if (x->text[i] == '{' && strchr("{%#", x->text[i + 1])) return i;
    return x->len;
}

// Pushes text[x->at, end), which a tag with `sign` ('-', '+' or 0) follows.
static void push_data(struct lexer *x, size_t end, char sign, bool is_output)
{
    struct jinja_text data = {x->text + x->at, end - x->at};
    if (sign == '-') {
        data.len = jinja_trimmed(data, false, true).len;
    } else if (sign != '+' && !is_output) {
        size_t line = data.len;
        while (line > 0 && data.at[line - 1] != '\n')
            line--;
        struct jinja_text rest = {data.at + line, data.len - line};
        if ((line > 0 || x->line_starting) && jinja_trimmed(rest, true, true).len == 0)
            data.len = line;
    }
    if (data.len) push(x, JINJA_TOKEN_DATA, data);
    advance(x, end - x->at);
}

// What follows a tag: `-` strips all space, a block's or comment's plain end one newline.
static void after_tag(struct lexer *x, char sign, bool trim)
{
    size_t before = x->at;
    if (sign == '-')
        skip_space(x);
    else if (sign != '+' && trim && looking_at(x, "\n"))
        advance(x, 1);
    x->line_starting = x->at > before && x->text[x->at - 1] == '\n';
}

static bool lex_comment(struct lexer *x)
{
    uint32_t line = x->line;
    size_t begin = x->at;
    while (x->at + 1 < x->len && !looking_at(x, "#}"))
        advance(x, 1);
    if (!looking_at(x, "#}")) {
        x->line = line;
        return fail(x, "a comment {# has no end");
    }
    char sign = x->at > begin ? x->text[x->at - 1] : 0;
    advance(x, 2);
    after_tag(x, sign, true);
    return true;
}

// The length of `{%- word -%}` at x->at with its signs, or 0.
static size_t word_tag(const struct lexer *x, const char *word, char *before, char *after)
{
    struct lexer y = *x;
    if (!looking_at(&y, "{%")) return 0;
    y.at += 2;
    *before = y.at < y.len && strchr("-+", y.text[y.at]) ? y.text[y.at++] : 0;
    skip_space(&y);
    if (!looking_at(&y, word)) return 0;
    y.at += strlen(word);
    skip_space(&y);
    *after = y.at < y.len && strchr("-+", y.text[y.at]) ? y.text[y.at++] : 0;
    if (!looking_at(&y, "%}")) return 0;
    return y.at + 2 - x->at;
}

// After `{% raw %}`: all up to `{% endraw %}` is text.
static bool lex_raw(struct lexer *x)
{
    struct lexer y = *x;
    char before, after;
    size_t n = 0;
    for (; y.at < y.len && !(n = word_tag(&y, "endraw", &before, &after)); y.at++)
        ;
    if (!n) return fail(x, "'raw' has no 'endraw'");
    push_data(x, y.at, before, false);
    advance(x, n);
    after_tag(x, after, true);
    return true;
}

// ---- inside of tags ----

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

// The value of an escape of `digits` hexadecimal digits at text[*i].
static bool escaped(struct jinja_text raw, size_t *i, int digits, uint32_t *code)
{
    *code = 0;
    for (int k = 0; k < digits; k++, ++*i) {
        if (*i >= raw.len || digit_of(raw.at[*i]) > 15) return false;
        *code = *code * 16 + (uint32_t)digit_of(raw.at[*i]);
    }
    return *code < 0x110000 && (*code < 0xD800 || *code > 0xDFFF);
}

// One escape of Python's; raw.at[*i] is behind the backslash.
static bool unescape_one(struct jinja_text raw, size_t *i, struct str *out)
{
    static const char plain[] = "n\nt\tr\rb\bf\fv\va\a\\\\''\"\"";
    char c = raw.at[(*i)++];
    uint32_t code;
    if (c == '\n') return true;
    for (size_t k = 0; k + 1 < sizeof plain; k += 2)
        if (plain[k] == c) {
            str_append_char(out, plain[k + 1]);
            return true;
        }
    if (c == 'x' || c == 'u' || c == 'U') {
        if (!escaped(raw, i, c == 'x' ? 2 : c == 'u' ? 4 : 8, &code)) return false;
        str_append_codepoint(out, code);
    } else if (c >= '0' && c <= '7') {
        code = (uint32_t)(c - '0');
        for (int k = 0; k < 2 && *i < raw.len && raw.at[*i] >= '0' && raw.at[*i] <= '7'; k++)
            code = code * 8 + (uint32_t)(raw.at[(*i)++] - '0');
        str_append_codepoint(out, code);
    } else {
        str_append_char(out, '\\');
        str_append_char(out, c);
    }
    return true;
}

static bool lex_string(struct lexer *x)
{
    char quote = x->text[x->at];
    size_t end = x->at + 1;
    while (end < x->len && x->text[end] != quote)
        end += x->text[end] == '\\' ? 2 : 1;
    if (end >= x->len) return fail(x, "a string has no end");
    struct jinja_text raw = {x->text + x->at + 1, end - x->at - 1};
    struct str out = {0};
    for (size_t i = 0; i < raw.len;) {
        if (raw.at[i] != '\\') {
            str_append_char(&out, raw.at[i++]);
            continue;
        }
        i++;
        if (!unescape_one(raw, &i, &out)) {
            str_finish(&out);
            return fail(x, "a string has a wrong escape (\\x, \\u or \\U)");
        }
    }
    struct jinja_token token = {.kind = JINJA_TOKEN_CONST, .line = x->line};
    token.value = jinja_copy(x->arena, str_text(&out), out.len);
    ARRAY_PUSH(x->tokens, token);
    str_finish(&out);
    advance(x, end + 1 - x->at);
    return true;
}

static bool is_digit(const struct lexer *x, size_t at)
{
    return at < x->len && x->text[at] >= '0' && x->text[at] <= '9';
}

// Digits and single underscores between them; the digits are appended to `out`.
static size_t take_digits(const struct lexer *x, size_t at, struct str *out)
{
    while (is_digit(x, at) || (at < x->len && x->text[at] == '_' && is_digit(x, at + 1))) {
        if (x->text[at] != '_') str_append_char(out, x->text[at]);
        at++;
    }
    return at;
}

static bool push_number(struct lexer *x, const struct str *digits, int base, bool is_float,
                        size_t end)
{
    struct jinja_token token = {.kind = JINJA_TOKEN_CONST, .line = x->line};
    errno = 0;
    token.value = is_float ? jinja_float(strtod(str_text(digits), NULL))
                           : jinja_int(strtoll(str_text(digits), NULL, base));
    if (errno && !is_float) return fail(x, "an integer is too large");
    ARRAY_PUSH(x->tokens, token);
    x->at = end;
    return true;
}

static bool lex_prefixed(struct lexer *x, int base)
{
    struct str digits = {0};
    size_t at = x->at + 2;
    while (at < x->len && (digit_of(x->text[at]) < base || x->text[at] == '_')) {
        if (x->text[at] != '_') str_append_char(&digits, x->text[at]);
        at++;
    }
    bool ok = digits.len ? push_number(x, &digits, base, false, at) : fail(x, "a number is wrong");
    str_finish(&digits);
    return ok;
}

static bool lex_number(struct lexer *x)
{
    char second = x->at + 1 < x->len ? x->text[x->at + 1] | 0x20 : 0;
    if (x->text[x->at] == '0' && strchr("xob", second) && second)
        return lex_prefixed(x, second == 'x' ? 16 : second == 'o' ? 8 : 2);
    struct str digits = {0};
    bool is_float = false, after_dot = x->at > 0 && x->text[x->at - 1] == '.';
    size_t at = take_digits(x, x->at, &digits);
    if (!after_dot && at < x->len && x->text[at] == '.' && is_digit(x, at + 1)) {
        str_append_char(&digits, '.');
        at = take_digits(x, at + 1, &digits);
        is_float = true;
    }
    size_t sign = at + 1 < x->len && strchr("+-", x->text[at + 1]) ? 1 : 0;
    if (!after_dot && at < x->len && (x->text[at] | 0x20) == 'e' && is_digit(x, at + 1 + sign)) {
        str_append_bytes(&digits, x->text + at, 1 + sign);
        at = take_digits(x, at + 1 + sign, &digits);
        is_float = true;
    }
    bool ok;
    if (!is_float && digits.len > 1 && digits.data[0] == '0' &&
        strspn(digits.data, "0") != digits.len)
        ok = fail(x, "an integer begins with 0");
    else
        ok = push_number(x, &digits, 10, is_float, at);
    str_finish(&digits);
    return ok;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool lex_symbol(struct lexer *x)
{
    static const char *const symbols[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                          "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                          ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        if (!looking_at(x, symbols[i])) continue;
        char c = symbols[i][0];
        if (strchr("([{", c)) {
            if (x->open_count == MAX_OPEN) return fail(x, "brackets are nested too deep");
            x->open[x->open_count++] = c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (strchr(")]}", c)) {
            if (!x->open_count || x->open[--x->open_count] != c)
                return err_user("line %u: unexpected '%c'", x->line, c);
        }
        push(x, JINJA_TOKEN_SYMBOL, (struct jinja_text){symbols[i], strlen(symbols[i])});
        x->at += strlen(symbols[i]);
        return true;
    }
    return err_user("line %u: unexpected character '%.*s'", x->line,
                    (int)jinja_char_bytes(x->text[x->at]), x->text + x->at);
}

// The end of a tag at x->at: its bytes and sign; 0 if there is none.
static size_t tag_end(const struct lexer *x, const char *end, char *sign)
{
    *sign = 0;
    if (x->open_count) return 0;
    if (looking_at(x, end)) return 2;
    char c = x->text[x->at];
    if (c != '-' && (c != '+' || end[0] == '}')) return 0;
    struct lexer y = *x;
    y.at++;
    if (!looking_at(&y, end)) return 0;
    *sign = c;
    return 3;
}

static bool lex_tag(struct lexer *x, bool is_output)
{
    const char *end = is_output ? "}}" : "%}";
    uint32_t line = x->line;
    for (;;) {
        skip_space(x);
        if (x->at >= x->len) break;
        char sign, c = x->text[x->at];
        size_t closing = tag_end(x, end, &sign);
        if (closing) {
            push(x, JINJA_TOKEN_CLOSE, (struct jinja_text){end, 2});
            advance(x, closing);
            after_tag(x, sign, !is_output);
            return true;
        }
        bool ok = true;
        if (c == '\'' || c == '"') {
            ok = lex_string(x);
        } else if (c >= '0' && c <= '9') {
            ok = lex_number(x);
        } else if (is_name_char(c)) {
            size_t n = 1;
            while (x->at + n < x->len && is_name_char(x->text[x->at + n]))
                n++;
            push(x, JINJA_TOKEN_NAME, (struct jinja_text){x->text + x->at, n});
            x->at += n;
        } else {
            ok = lex_symbol(x);
        }
        if (!ok) return false;
    }
    x->line = line;
    return fail(x, is_output ? "{{ has no }}" : "{% has no %}");
}

// ---- the whole ----

// Line breaks as \n; one at the very end does not count.
static struct jinja_text normalised(const char *source, struct jinja_arena *arena)
{
    size_t len = strlen(source), n = 0;
    char *text = jinja_alloc(arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        if (source[i] == '\r' && source[i + 1] == '\n') continue;
        text[n++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (n && text[n - 1] == '\n') n--;
    return (struct jinja_text){text, n};
}

static bool lex_next(struct lexer *x)
{
    size_t tag = find_tag(x);
    if (tag == x->len) {
        push_data(x, tag, '+', false);
        return true;
    }
    char sign, after, kind = x->text[tag + 1];
    struct lexer y = *x;
    y.at = tag;
    size_t raw = word_tag(&y, "raw", &sign, &after);
    if (raw && after != '+') {
        push_data(x, tag, sign, false);
        advance(x, raw);
        after_tag(x, after, false);
        return lex_raw(x);
    }
    bool has_sign = tag + 2 < x->len && (x->text[tag + 2] == '-' || x->text[tag + 2] == '+');
    push_data(x, tag, has_sign ? x->text[tag + 2] : 0, kind == '{');
    if (kind != '#')
        push(x, kind == '{' ? JINJA_TOKEN_OUTPUT : JINJA_TOKEN_BLOCK,
             (struct jinja_text){x->text + tag, 2});
    advance(x, has_sign ? 3 : 2);
    return kind == '#' ? lex_comment(x) : lex_tag(x, kind == '{');
}

bool jinja_lex(const char *source, struct jinja_arena *arena, struct jinja_tokens *tokens)
{
    struct jinja_text text = normalised(source, arena);
    struct lexer x = {.text = text.at,
                      .len = text.len,
                      .line = 1,
                      .line_starting = true,
                      .arena = arena,
                      .tokens = tokens};
    while (x.at < x.len)
        if (!lex_next(&x)) return false;
    push(&x, JINJA_TOKEN_END, (struct jinja_text){"", 0});
    return true;
}
