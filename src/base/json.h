// Typed access to JSON (cJSON) with messages that name the place: "rope_theta: expected a number".
//
// Documents come from strangers: parsing refuses nesting deeper than 512, invalid UTF-8 and
// trailing text, and getters refuse values of another type. None of the getters takes ownership.
#ifndef TRDPO_BASE_JSON_H
#define TRDPO_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Parses exactly one JSON document from `len` bytes. `what` (a path, or "line 12") begins the
// message on failure, which also gives line and column. NULL on failure; release with cJSON_Delete.
// A string holding the escape \u0000 is refused, since cJSON would cut it short.
cJSON *json_parse(const char *text, size_t len, const char *what);

// The same for texts that may hold U+0000, such as data to tokenise: the escape is accepted, and
// the strings must be read with json_get_text(). Elsewhere in the tree it stands as the bytes
// C0 80.
cJSON *json_parse_nul(const char *text, size_t len, const char *what);

// Reads and parses a file of at most `max_bytes` (0: 1 GiB).
cJSON *json_parse_file(const char *path, size_t max_bytes);

// Member `key` of object `obj`, or NULL if absent, or if present as null. Case-sensitive; of
// several members with that name the last one.
cJSON *json_get(const cJSON *obj, const char *key);

// Each reads member `key` into *out. Absent (or null): leaves *out as it is and returns true, so
// preset the default. Wrong type or not representable: err_user and false.
bool json_get_bool(const cJSON *obj, const char *key, bool *out);
bool json_get_int(const cJSON *obj, const char *key, int64_t *out);   // integral, |v| <= 2^53
bool json_get_double(const cJSON *obj, const char *key, double *out); // finite
bool json_get_string(const cJSON *obj, const char *key, const char **out);

// Appends a string member of a json_parse_nul() tree to *out, U+0000 as a NUL byte. Otherwise as
// above: nothing is appended where it is absent.
struct str;
bool json_get_text(const cJSON *obj, const char *key, struct str *out);

// Compact text of a tree with numbers that read back to the same double; caller frees with
// mem_free().
char *json_print(const cJSON *tree, bool pretty);

// Appends `text` as a JSON string literal, quotes included, to a struct str. Bytes that are not
// valid UTF-8 become U+FFFD.
void json_append_string(struct str *out, const char *text, size_t len);

// Appends a number as JSON: shortest form that reads back to the same float (9 digits) or double
// (17 digits; whole numbers up to 2^53 without exponent); NaN and infinities as the strings "NaN",
// "Infinity", "-Infinity".
void json_append_float(struct str *out, float value);
void json_append_double(struct str *out, double value);

#endif
