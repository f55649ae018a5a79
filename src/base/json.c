#include "json.h"

#include "file.h"
#include "mem.h"
#include "str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 512 }; // cJSON recurses once for each level, in parsing and in freeing

// Stands for U+0000 in the strings of json_parse_nul(): overlong, so no valid text has it.
#define NUL_BYTES "\xC0\x80"

// Reading

// Records what is wrong at byte `at` of the text, as line and column (in characters, from 1).
static bool wrong_at(const char *text, size_t at, const char *what, const char *problem)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    return err_user("%s: line %zu, column %zu: %s", what, line, column, problem);
}

// The four hexadecimal digits of an escape, or -1.
static int escaped_unit(const char *digits, size_t len)
{
    int unit = 0;
    if (len < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = digits[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

// Checks the string whose first byte after the quote is text[*pos]; leaves *pos after its end.
// Escapes other than \u are left to cJSON.
static const char *scan_string(const char *text, size_t len, bool nul, size_t *pos)
{
    for (size_t i = *pos; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        *pos = i;
        if (c == '"') {
            *pos = i + 1;
            return NULL;
        }
        if (c < 0x20) return "a control character in a string; write it as an escape such as \\n";
        if (c != '\\') continue;
        i++;
        if (i >= len || text[i] != 'u') continue;
        int unit = escaped_unit(text + i + 1, len - i - 1);
        if (unit < 0) return "\\u needs four hexadecimal digits";
        if (unit == 0 && !nul) return "the character \\u0000 is not supported in strings";
        i += 4;
        if (unit < 0xD800 || unit > 0xDFFF) continue;
        int next = -1;
        if (unit <= 0xDBFF && len - i > 2 && text[i + 1] == '\\' && text[i + 2] == 'u')
            next = escaped_unit(text + i + 3, len - i - 3);
        if (next < 0xDC00 || next > 0xDFFF)
            return "half of a surrogate pair (\\ud800 to \\udfff) without its other half";
        i += 6;
    }
    *pos = len;
    return "the text ends inside a string";
}

// What cJSON does not check, or could not survive. On failure *pos is the place.
static const char *scan(const char *text, size_t len, bool nul, size_t *pos)
{
    int depth = 0;
    if (!str_utf8_valid(text, len, pos)) return "not valid UTF-8";
    for (*pos = 0; *pos < len;) {
        unsigned char c = (unsigned char)text[*pos];
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r') return "a control character";
        if ((c == '[' || c == '{') && ++depth > MAX_DEPTH)
            return "nested more than 512 levels deep";
        if (c == ']' || c == '}') depth--;
        ++*pos;
        if (c == '"') {
            const char *problem = scan_string(text, len, nul, pos);
            if (problem) return problem;
        }
    }
    return NULL;
}

static size_t skip_space(const char *text, size_t len, size_t pos)
{
    while (pos < len && strchr(" \t\r\n", text[pos]))
        pos++;
    return pos;
}

// Writes the escapes of U+0000 as the two bytes that stand for it; valid JSON has no such bytes.
static size_t replace_nul_escapes(char *text, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\\' && len - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0) {
            memcpy(text + kept, NUL_BYTES, 2);
            kept += 2;
            i += 5;
            continue;
        }
        text[kept++] = text[i];
        if (text[i] == '\\' && i + 1 < len) text[kept++] = text[++i];
    }
    text[kept] = '\0';
    return kept;
}

// A place in text with its escapes replaced, as a place in the text before.
static size_t place_before(const char *text, size_t pos)
{
    size_t before = pos;
    for (size_t i = 0; i + 1 < pos; i++)
        if (memcmp(text + i, NUL_BYTES, 2) == 0) before += 4;
    return before;
}

static cJSON *parse(const char *text, size_t len, bool nul, const char *what)
{
    size_t pos = 0;
    const char *problem = scan(text, len, nul, &pos);
    if (problem) {
        wrong_at(text, pos, what, problem);
        return NULL;
    }
    if (skip_space(text, len, 0) == len) {
        err_user("%s: line 1, column 1: nothing here; expected JSON", what);
        return NULL;
    }
    // cJSON looks a byte past the end in places, so it gets a text that ends in NUL. The place of
    // an error comes from the end it returns: cJSON_GetErrorPtr() is shared by all threads.
    char *copy = mem_strndup(text, len);
    const char *end = NULL;
    size_t copy_len = nul ? replace_nul_escapes(copy, len) : len;
    cJSON *tree = cJSON_ParseWithLengthOpts(copy, copy_len + 1, &end, false);
    pos = end ? (size_t)(end - copy) : 0;
    if (nul) pos = place_before(copy, pos);
    mem_free(copy);
    if (!tree) {
        if (pos >= len)
            wrong_at(text, len, what, "not valid JSON: the text ends too early");
        else
            wrong_at(text, pos, what, "not valid JSON");
        return NULL;
    }
    pos = skip_space(text, len, pos);
    if (pos < len) {
        wrong_at(text, pos, what, "more text after the end of the JSON document");
        cJSON_Delete(tree);
        return NULL;
    }
    return tree;
}

cJSON *json_parse(const char *text, size_t len, const char *what)
{
    return parse(text, len, false, what);
}

cJSON *json_parse_nul(const char *text, size_t len, const char *what)
{
    return parse(text, len, true, what);
}

cJSON *json_parse_file(const char *path, size_t max_bytes)
{
    size_t len;
    char *text = file_read(path, max_bytes ? max_bytes : (size_t)1 << 30, &len);
    if (!text) return NULL;
    cJSON *tree = json_parse(text, len, path);
    mem_free(text);
    return tree;
}

// Members

// Of members with one name the last counts, as in Python and most other readers of these files.
cJSON *json_get(const cJSON *obj, const char *key)
{
    cJSON *found = NULL;
    if (!cJSON_IsObject(obj)) return NULL;
    for (cJSON *item = obj->child; item; item = item->next)
        if (item->string && strcmp(item->string, key) == 0) found = item;
    return cJSON_IsNull(found) ? NULL : found;
}

static const char *type_name(const cJSON *item)
{
    if (cJSON_IsBool(item)) return cJSON_IsTrue(item) ? "true" : "false";
    if (cJSON_IsNumber(item)) return "a number";
    if (cJSON_IsString(item)) return "a string";
    if (cJSON_IsArray(item)) return "an array";
    if (cJSON_IsObject(item)) return "an object";
    return "something else";
}

static bool expected(const char *key, const char *wanted, const cJSON *item)
{
    return err_user("%s: expected %s, found %s", key, wanted, type_name(item));
}

bool json_get_bool(const cJSON *obj, const char *key, bool *out)
{
    const cJSON *item = json_get(obj, key);
    if (!item) return true;
    if (!cJSON_IsBool(item)) return expected(key, "true or false", item);
    *out = cJSON_IsTrue(item);
    return true;
}

bool json_get_int(const cJSON *obj, const char *key, int64_t *out)
{
    const cJSON *item = json_get(obj, key);
    if (!item) return true;
    if (!cJSON_IsNumber(item)) return expected(key, "a whole number", item);
    double value = item->valuedouble;
    if (!(fabs(value) <= 0x1p53) || value != floor(value))
        return err_user("%s: expected a whole number of at most 2^53, found %.17g", key, value);
    *out = (int64_t)value;
    return true;
}

bool json_get_double(const cJSON *obj, const char *key, double *out)
{
    const cJSON *item = json_get(obj, key);
    if (!item) return true;
    if (!cJSON_IsNumber(item)) return expected(key, "a number", item);
    if (!isfinite(item->valuedouble))
        return err_user("%s: the number is too large for a double", key);
    *out = item->valuedouble;
    return true;
}

bool json_get_string(const cJSON *obj, const char *key, const char **out)
{
    const cJSON *item = json_get(obj, key);
    if (!item) return true;
    if (!cJSON_IsString(item)) return expected(key, "a string", item);
    *out = item->valuestring;
    return true;
}

// Writing

void json_append_string(struct str *out, const char *text, size_t len)
{
    static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    str_append_char(out, '"');
    for (size_t i = 0; i < len;) {
        // All up to the next byte that needs care goes out at once.
        size_t end = i;
        while (end < len && (unsigned char)text[end] >= 0x20 && text[end] != '"' &&
               text[end] != '\\')
            end++;
        size_t bad;
        if (!str_utf8_valid(text + i, end - i, &bad)) end = i + bad;
        str_append_bytes(out, text + i, end - i);
        i = end;
        if (i >= len) break;
        unsigned char c = (unsigned char)text[i++];
        const char *special = c ? strchr(named, c) : NULL;
        if (special)
            str_appendf(out, "\\%c", letters[special - named]);
        else if (c < 0x20)
            str_appendf(out, "\\u%04x", c);
        else
            str_append_codepoint(out, 0xFFFD);
    }
    str_append_char(out, '"');
}

// Appends a number that printf wrote; its decimal point, which the locale chooses and which may be
// several bytes, becomes ".".
static void append_number(struct str *out, const char *number)
{
    bool point = false;
    for (const char *p = number; *p; p++) {
        if (strchr("0123456789+-e", *p)) {
            str_append_char(out, *p);
        } else if (!point) {
            str_append_char(out, '.');
            point = true;
        }
    }
}

static bool append_special(struct str *out, double value)
{
    if (isfinite(value)) return false;
    str_append(out, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    return true;
}

void json_append_float(struct str *out, float value)
{
    char number[64];
    if (append_special(out, (double)value)) return;
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, (double)value);
        if (strtof(number, NULL) == value) break;
    }
    append_number(out, number);
}

void json_append_double(struct str *out, double value)
{
    char number[64];
    if (append_special(out, value)) return;
    if (fabs(value) <= 0x1p53 && value == floor(value)) {
        snprintf(number, sizeof number, "%.0f", value); // whole numbers stay whole: no exponent
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(number, sizeof number, "%.*g", digits, value);
            if (strtod(number, NULL) == value) break;
        }
    }
    append_number(out, number);
}

static void print_value(struct str *out, const cJSON *item, bool pretty, int depth);

static void new_line(struct str *out, bool pretty, int depth)
{
    if (!pretty) return;
    str_append_char(out, '\n');
    for (int i = 0; i < depth; i++)
        str_append(out, "  ");
}

static void print_members(struct str *out, const cJSON *parent, bool pretty, int depth)
{
    bool object = cJSON_IsObject(parent);
    str_append_char(out, object ? '{' : '[');
    for (const cJSON *item = parent->child; item; item = item->next) {
        new_line(out, pretty, depth + 1);
        if (object) {
            const char *name = item->string ? item->string : "";
            json_append_string(out, name, strlen(name));
            str_append(out, pretty ? ": " : ":");
        }
        print_value(out, item, pretty, depth + 1);
        if (item->next) str_append_char(out, ',');
    }
    if (parent->child) new_line(out, pretty, depth);
    str_append_char(out, object ? '}' : ']');
}

static void print_value(struct str *out, const cJSON *item, bool pretty, int depth)
{
    CHECK(depth <= MAX_DEPTH);
    if (cJSON_IsObject(item) || cJSON_IsArray(item))
        print_members(out, item, pretty, depth);
    else if (cJSON_IsString(item))
        json_append_string(out, item->valuestring, strlen(item->valuestring));
    else if (cJSON_IsNumber(item))
        json_append_double(out, item->valuedouble);
    else if (cJSON_IsBool(item))
        str_append(out, cJSON_IsTrue(item) ? "true" : "false");
    else if (cJSON_IsRaw(item))
        str_append(out, item->valuestring);
    else
        str_append(out, "null");
}

bool json_get_text(const cJSON *obj, const char *key, struct str *out)
{
    const char *text = NULL;
    if (!json_get_string(obj, key, &text)) return false;
    for (const char *end; text && (end = strstr(text, NUL_BYTES)); text = end + 2) {
        str_append_bytes(out, text, (size_t)(end - text));
        str_append_char(out, '\0');
    }
    if (text) str_append(out, text);
    return true;
}

// cJSON's own printer rounds: it takes 15 digits as soon as they agree to a relative 2^-52.
char *json_print(const cJSON *tree, bool pretty)
{
    struct str out = {0};
    print_value(&out, tree, pretty, 0);
    return str_take(&out);
}
