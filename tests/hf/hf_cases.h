// Cases of text, ids and decoded text for the tokenizer tests.
#ifndef TEST_HF_CASES_H
#define TEST_HF_CASES_H

#include "base/str.h"
#include "hf/tokenizer.h"

#include <cjson/cJSON.h>

// Parses a line of JSON; a failure fails the test.
cJSON *cases_parse(const char *line, size_t len);

// The string of a member, which must be there.
struct str cases_text(const cJSON *obj, const char *key);

// True if the list `want` holds exactly these ids.
bool cases_same_ids(const struct hf_ids *got, const cJSON *want);

// Encodes the case's "text" and decodes its "ids", and compares with "ids", "ids_special" and
// "decoded" (which may be absent). NULL if all agree, else what does not.
const char *cases_check(const struct hf_tokenizer *t, const cJSON *obj);

// Loads the tokenizer.json of a fixture (NULL: an empty one) with members changed: those of "model"
// one by one, the others whole. It is written to the folder of files_begin().
struct hf_tokenizer *cases_load(const char *base, const cJSON *change);

// True if the text has a character that PCRE2's Unicode tables do not know: one that was not yet
// assigned when they were made. (Code points that will never be characters do not count.)
bool cases_has_young(const struct str *text);

#endif
