#include "hf_cases.h"

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "hf_files.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

cJSON *cases_parse(const char *line, size_t len)
{
    cJSON *json = json_parse_nul(line, len, "case");
    if (!json) fail_msg("%s", err_message());
    return json;
}

struct str cases_text(const cJSON *obj, const char *key)
{
    struct str out = {0};
    assert_non_null(json_get(obj, key));
    str_append(&out, ""); // never NULL
    assert_true(json_get_text(obj, key, &out));
    return out;
}

bool cases_same_ids(const struct hf_ids *got, const cJSON *want)
{
    size_t i = 0;
    assert_true(cJSON_IsArray(want));
    for (const cJSON *id = want->child; id; id = id->next, i++)
        if (i >= got->count || got->items[i] != id->valueint) return false;
    return i == got->count;
}

static bool encodes_to(const struct hf_tokenizer *t, const struct str *text, bool special,
                       const cJSON *want)
{
    struct hf_ids ids = {0};
    if (!hf_tokenizer_encode(t, text->data, text->len, special, &ids))
        fail_msg("%s", err_message());
    bool same = cases_same_ids(&ids, want);
    ARRAY_FREE(&ids);
    return same;
}

static bool decodes_to(const struct hf_tokenizer *t, const cJSON *list, const struct str *want)
{
    struct hf_ids ids = {0};
    struct str got = {0};
    for (const cJSON *id = list->child; id; id = id->next)
        ARRAY_PUSH(&ids, id->valueint);
    if (!hf_tokenizer_decode(t, ids.items, ids.count, false, &got)) fail_msg("%s", err_message());
    bool same = got.len == want->len && memcmp(str_text(&got), want->data, want->len) == 0;
    str_finish(&got);
    ARRAY_FREE(&ids);
    return same;
}

const char *cases_check(const struct hf_tokenizer *t, const cJSON *obj)
{
    const cJSON *ids = json_get(obj, "ids");
    struct str text = cases_text(obj, "text"), decoded = {0};
    const char *wrong = NULL;
    bool decode = json_get(obj, "decoded") != NULL;
    if (decode) decoded = cases_text(obj, "decoded");
    if (!encodes_to(t, &text, false, ids))
        wrong = "ids";
    else if (!encodes_to(t, &text, true, json_get(obj, "ids_special")))
        wrong = "ids_special";
    else if (decode && !decodes_to(t, ids, &decoded))
        wrong = "decoded";
    str_finish(&text);
    str_finish(&decoded);
    return wrong;
}

static bool is_noncharacter(uint32_t c)
{
    return (c & 0xfffe) == 0xfffe || (c >= 0xfdd0 && c <= 0xfdef);
}

bool cases_has_young(const struct str *text)
{
    static pcre2_code *unassigned;
    bool young = false;
    if (!unassigned) {
        int error;
        PCRE2_SIZE offset;
        unassigned = pcre2_compile((PCRE2_SPTR) "\\p{Cn}", PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
        assert_non_null(unassigned);
    }
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    for (size_t at = 0; at < text->len && !young;) {
        int rc = pcre2_match(unassigned, (PCRE2_SPTR)text->data, text->len, at, 0, data, NULL);
        if (rc == PCRE2_ERROR_NOMATCH) break;
        assert_true(rc >= 0);
        at = pcre2_get_ovector_pointer(data)[0];
        young = !is_noncharacter(str_next_codepoint(text->data, text->len, &at));
    }
    pcre2_match_data_free(data);
    return young;
}

static void put_member(cJSON *tree, const cJSON *member)
{
    cJSON_DeleteItemFromObjectCaseSensitive(tree, member->string);
    assert_true(cJSON_AddItemToObject(tree, member->string, cJSON_Duplicate(member, true)));
}

struct hf_tokenizer *cases_load(const char *base, const cJSON *change)
{
    char *path = base ? str_format("%s/%s/tokenizer.json", TEST_FIXTURES, base) : NULL;
    cJSON *tree = path ? json_parse_file(path, 0) : cJSON_CreateObject();
    assert_non_null(tree);
    for (const cJSON *member = change->child; member; member = member->next) {
        bool merge = base && strcmp(member->string, "model") == 0 && cJSON_IsObject(member);
        if (!merge) put_member(tree, member);
        for (const cJSON *part = merge ? member->child : NULL; part; part = part->next)
            put_member(json_get(tree, "model"), part);
    }
    char *text = json_print(tree, false);
    files_put_text("tokenizer.json", text);
    mem_free(text);
    mem_free(path);
    cJSON_Delete(tree);
    return hf_tokenizer_load(files_path("."));
}
