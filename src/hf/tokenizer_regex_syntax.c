// Oniguruma's pattern language (Ruby syntax) to PCRE2's.
#include "base/error.h"
#include "base/mem.h"
#include "hf/tokenizer_regex.h"

#include <stdlib.h>
#include <string.h>

// Members of a class that \w stands for; of the other numbers Oniguruma takes Latin-1's.
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"

struct scan {
    const char *pattern, *at;
    struct str *out;
    bool in_class;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool refuse(const char *construct, size_t len)
{
    return err_user("\"%.*s\" in a pattern is not supported; supported: literals, sets, groups, "
                    "lookaround, quantifiers, (?i), and the escapes of characters, categories, "
                    "\\s, \\w and \\d",
                    (int)(len < 32 ? len : 32), construct);
}

static bool compiles(const char *pattern)
{
    int error;
    PCRE2_SIZE offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
    pcre2_code_free(code);
    return code != NULL;
}

// \p{Name}, \P{Name}, \p{^Name}. A script's name alone means its extensions too in PCRE2, and not
// so in Oniguruma.
static bool property(struct scan *s)
{
    const char *begin = s->at, *name = begin + 2;
    const char *end = *name == '{' ? strchr(name, '}') : NULL;
    if (!end || end - begin > 64) return refuse(begin, 2);
    bool negated = begin[1] == 'P';
    if (*++name == '^') {
        negated = !negated;
        name++;
    }
    int len = (int)(end - name);
    for (int i = 0; i < len; i++)
        if (!is_letter(name[i]) && name[i] != '_') return refuse(begin, (size_t)(end - begin) + 1);
    char *script = str_format("\\p{sc:%.*s}", len, name), *plain = script + 5;
    bool is_script = len > 2 && compiles(script);
    if (!is_script) plain = str_format("\\p{%.*s}", len, name);
    bool ok = is_script || compiles(plain);
    if (ok)
        str_appendf(s->out, "\\%c{%s%.*s}", negated ? 'P' : 'p', is_script ? "sc:" : "", len, name);
    if (!is_script) mem_free(plain);
    mem_free(script);
    s->at = end + 1;
    return ok || refuse(begin, (size_t)(end - begin) + 1);
}

// \xHH below 80, \x{H...}, \uHHHH.
static bool code_point(struct scan *s)
{
    const char *begin = s->at;
    bool braces = begin[1] == 'x' && begin[2] == '{';
    const char *hex = begin + (braces ? 3 : 2);
    size_t len = strspn(hex, "0123456789abcdefABCDEF"), most = begin[1] == 'u' ? 4 : 2;
    if (braces ? len < 1 || len > 8 || hex[len] != '}' : len < most) return refuse(begin, 2);
    if (!braces) len = most;
    char digits[9] = {0};
    memcpy(digits, hex, len);
    unsigned long value = strtoul(digits, NULL, 16);
    // Two digits alone are a byte there and a code point here.
    if (!braces && most == 2 && value >= 0x80) return refuse(begin, 4);
    str_appendf(s->out, "\\x{%lx}", value);
    s->at = hex + len + braces;
    return true;
}

static bool escape(struct scan *s)
{
    char c = s->at[1];
    const char *text = NULL;
    switch (c) {
    case 's':
        text = "\\p{White_Space}";
        break;
    case 'S':
        text = "\\P{White_Space}";
        break;
    case 'w':
        text = s->in_class ? WORD : "[" WORD "]";
        break;
    case 'W':
        if (!s->in_class) text = "[^" WORD "]";
        break;
    case 'v': // the character there, a set of characters here
        text = "\\x0b";
        break;
    case 'p':
    case 'P':
        return property(s);
    case 'x':
    case 'u':
        return code_point(s);
    default: {
        const char *same = s->in_class ? "dDnrtfae" : "dDnrtfaeAzZ";
        bool literal = c && !is_digit(c) && !is_letter(c);
        if (!c || (!literal && !strchr(same, c))) return refuse(s->at, 2);
        str_append_bytes(s->out, s->at, 2);
        s->at += 2;
        return true;
    }
    }
    if (!text) return refuse(s->at, 2);
    str_append(s->out, text);
    s->at += 2;
    return true;
}

// What follows "(": only groups that mean the same in both languages.
static bool group(struct scan *s)
{
    static const char *const same[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", NULL};
    const char *begin = s->at;
    if (begin[1] == '*') return refuse(begin, 2);
    if (begin[1] != '?') {
        str_append_char(s->out, '(');
        s->at++;
        return true;
    }
    for (size_t i = 0; same[i]; i++) {
        if (!str_starts_with(begin, same[i])) continue;
        str_append(s->out, same[i]);
        s->at += strlen(same[i]);
        return true;
    }
    size_t len = 2 + strspn(begin + 2, "i-");
    if (len == 2 || (begin[len] != ':' && begin[len] != ')')) return refuse(begin, len + 1);
    // Without a colon it is a group to the end of the enclosing one in Ruby: the same only here.
    if (begin[len] == ')' && begin != s->pattern) return refuse(begin, len + 1);
    str_append_bytes(s->out, begin, len + 1);
    s->at += len + 1;
    return true;
}

// A quantifier in braces; elsewhere a brace is itself.
static bool braces(struct scan *s)
{
    const char *begin = s->at, *p = begin + 1;
    size_t low = strspn(p, "0123456789"), high = 0;
    bool comma = p[low] == ',';
    p += low + comma;
    if (comma) high = strspn(p, "0123456789");
    p += high;
    if (*p == '}' && low + high) {
        // {,n} is literal in some versions of PCRE2; {n}? and {n,m}+ repeat the repetition in Ruby.
        if (!low || p[1] == '+' || (p[1] == '?' && !comma))
            return refuse(begin, (size_t)(p - begin) + 2);
        str_append_bytes(s->out, begin, (size_t)(p - begin) + 1);
        s->at = p + 1;
        return true;
    }
    str_append(s->out, "\\{");
    s->at++;
    return true;
}

static bool class_member(struct scan *s)
{
    if (*s->at == '[') return refuse(s->at, 2);
    if (s->at[0] == '&' && s->at[1] == '&') return refuse(s->at, 2);
    if (*s->at == ']') s->in_class = false;
    str_append_char(s->out, *s->at++);
    return true;
}

static void class_begin(struct scan *s)
{
    s->in_class = true;
    str_append_char(s->out, *s->at++);
    if (*s->at == '^') str_append_char(s->out, *s->at++);
    if (*s->at == ']') {
        str_append(s->out, "\\]");
        s->at++;
    }
}

bool hf_regex_translate(const char *pattern, struct str *out)
{
    struct scan s = {.pattern = pattern, .at = pattern, .out = out};
    while (*s.at) {
        bool ok = true;
        if (*s.at == '\\')
            ok = escape(&s);
        else if (s.in_class)
            ok = class_member(&s);
        else if (*s.at == '[')
            class_begin(&s);
        else if (*s.at == '(')
            ok = group(&s);
        else if (*s.at == '{')
            ok = braces(&s);
        else
            str_append_char(out, *s.at++);
        if (!ok) return false;
    }
    return true;
}
