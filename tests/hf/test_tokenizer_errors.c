// Every broken, hostile or unsupported tokenizer.json is refused by name, and no damage to one
// makes loading or encoding misbehave.
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "hf/tokenizer_regex.h"
#include "hf_cases.h"
#include "hf_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void refuse(const char *base, const char *change, const char *message)
{
    cJSON *json = cases_parse(change, strlen(change));
    struct hf_tokenizer *t = cases_load(base, json);
    cJSON_Delete(json);
    if (t) fail_msg("accepted: %.300s", change);
    if (!strstr(err_message(), "tokenizer.json: ")) fail_msg("no file in \"%s\"", err_message());
    expect_user_error(message);
}

#define ADDED(rest) "{\"added_tokens\":[" rest "]}"
#define PRE(rest) "{\"pre_tokenizer\":{\"type\":" rest "}}"
#define PATTERN(regex)                                                                             \
    PRE("\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"" regex "\"}")
#define POST(rest) "{\"post_processor\":{\"type\":" rest "}}"
#define TEMPLATE(single, specials)                                                                 \
    POST("\"TemplateProcessing\",\"single\":" single ",\"special_tokens\":" specials)
#define TEXT "{\"Sequence\":{\"id\":\"A\"}}"
#define NAMED(name) "{\"SpecialToken\":{\"id\":\"" name "\"}}"
#define NORM(rest) "{\"normalizer\":{\"type\":" rest "}}"
#define DECODER(rest) "{\"decoder\":{\"type\":" rest "}}"

// Changes to the tiny-gqa fixture: ids 0 to 287, 0 "<|end|>", 1 "<|pad|>", 2 "!".
static const struct {
    const char *change, *message;
} broken_parts[] = {
    {"{\"model\":null}", "model: missing"},
    {"{\"model\":[]}", "model: expected an object"},
    {"{\"model\":{\"type\":\"WordPiece\"}}",
     "model: type: \"WordPiece\" is not supported; supported: BPE"},
    {"{\"model\":{\"type\":\"Unigram\"}}", "\"Unigram\" is not supported"},
    {"{\"model\":{\"type\":7}}", "model: type: expected a string"},
    {"{\"model\":{\"vocab\":null}}", "model: vocab: missing"},
    {"{\"model\":{\"vocab\":[]}}", "model: vocab: expected an object"},
    {"{\"model\":{\"vocab\":{}}}", "model: vocab: it holds no tokens"},
    {"{\"model\":{\"vocab\":{\"a\":-1}}}", "model: vocab: \"a\": expected an id of 0 to"},
    {"{\"model\":{\"vocab\":{\"a\":0.5}}}", "\"a\": expected an id"},
    {"{\"model\":{\"vocab\":{\"a\":\"0\"}}}", "\"a\": expected an id"},
    {"{\"model\":{\"vocab\":{\"a\":null}}}", "\"a\": expected an id"},
    {"{\"model\":{\"vocab\":{\"a\":16777216}}}", "\"a\": expected an id"},
    {"{\"model\":{\"vocab\":{\"a\":1e308}}}", "\"a\": expected an id"},
    {"{\"model\":{\"vocab\":{\"a\":18446744073709551615}}}", "\"a\": expected an id"},
    {"{\"model\":{\"vocab\":{\"a\":3,\"b\":3}}}", "id 3 is given to two tokens, \"a\" and \"b\""},
    {"{\"model\":{\"vocab\":{\"a\":3,\"a\":4}}}", "token \"a\" is there twice"},
    {"{\"model\":{\"merges\":null}}", "model: merges: missing"},
    {"{\"model\":{\"merges\":{}}}", "model: merges: expected a list"},
    {"{\"model\":{\"merges\":[\"h e\",\"ab\"]}}", "merges: [1]: expected \"left right\""},
    {"{\"model\":{\"merges\":[\"a b c\"]}}", "merges: [0]: expected"},
    {"{\"model\":{\"merges\":[[\"a\"]]}}", "merges: [0]: expected a list of two strings"},
    {"{\"model\":{\"merges\":[[\"a\",\"b\",\"c\"]]}}", "merges: [0]: expected a list of two"},
    {"{\"model\":{\"merges\":[[\"a\",1]]}}", "merges: [0]: expected a list of two"},
    {"{\"model\":{\"merges\":[5]}}", "merges: [0]: expected"},
    {"{\"model\":{\"merges\":[\"a zz\"]}}", "merges: [0]: \"zz\" is not in the vocabulary"},
    {"{\"model\":{\"merges\":[[\"\",\"a\"]]}}", "merges: [0]: \"\" is not in the vocabulary"},
    {"{\"model\":{\"merges\":[\"a !\"]}}", "its result \"a!\" is not in the vocabulary"},
    {"{\"model\":{\"dropout\":0.1}}", "model: dropout: 0.1 is not supported"},
    {"{\"model\":{\"continuing_subword_prefix\":\"##\"}}", "continuing_subword_prefix: \"##\""},
    {"{\"model\":{\"end_of_word_suffix\":\"</w>\"}}", "end_of_word_suffix: \"</w>\""},
    {"{\"model\":{\"byte_fallback\":1}}", "model: byte_fallback: expected true or false"},
    {"{\"model\":{\"ignore_merges\":\"yes\"}}", "model: ignore_merges: expected"},
    {"{\"model\":{\"unk_token\":0}}", "model: unk_token: expected a string"},
    {"{\"added_tokens\":{}}", "added_tokens: expected a list"},
    {ADDED("3"), "added_tokens: [0]: expected an object"},
    {ADDED("{\"id\":288}"), "added_tokens: [0]: content: missing"},
    {ADDED("{\"id\":288,\"content\":\"\"}"), "content: missing or empty"},
    {ADDED("{\"content\":\"<x>\"}"), "added_tokens: [0]: id: expected an id"},
    {ADDED("{\"id\":\"288\",\"content\":\"<x>\"}"), "id: expected an id"},
    {ADDED("{\"id\":-5,\"content\":\"<x>\"}"), "id: expected an id"},
    {ADDED("{\"id\":1e18,\"content\":\"<x>\"}"), "id: expected an id"},
    {ADDED("{\"id\":289,\"content\":\"<x>\"}"), "\"<x>\" has id 289, where 288 is the next free"},
    {ADDED("{\"id\":5,\"content\":\"<x>\"}"), "\"<x>\" has id 5, where 288"},
    {ADDED("{\"id\":5,\"content\":\"!\"}"), "\"!\" has id 5, and id 2 in the model's"},
    {ADDED("{\"id\":2,\"content\":\"!\"},{\"id\":2,\"content\":\"!\"}"),
     "added_tokens: [1]: \"!\" is there twice"},
    {ADDED("{\"id\":288,\"content\":\"<x>\",\"lstrip\":0}"), "lstrip: expected true or false"},
    {ADDED("{\"id\":288,\"content\":\"<x>\",\"special\":\"no\"}"), "special: expected"},
    {"{\"normalizer\":[]}", "normalizer: expected an object"},
    {"{\"normalizer\":{}}", "normalizer: type: missing"},
    {NORM("\"Precompiled\""), "normalizer: type: \"Precompiled\" is not supported; supported: NFC"},
    {NORM("\"Sequence\""), "normalizer: normalizers: expected a list"},
    {NORM("\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Nmt\"}]"),
     "normalizer: normalizers[1]: type: \"Nmt\""},
    {NORM("\"Prepend\""), "prepend: missing"},
    {NORM("\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"x\""), "pattern: expected"},
    {NORM("\"Replace\",\"pattern\":{\"Regex\":\"a*\"},\"content\":\"x\""), "the empty text"},
    {NORM("\"Replace\",\"pattern\":{\"Regex\":\"a\"}"), "content: missing"},
    {NORM("\"Strip\",\"strip_left\":1"), "strip_left: expected"},
    {"{\"pre_tokenizer\":7}", "pre_tokenizer: expected an object"},
    {PRE("null"), "pre_tokenizer: type: missing"},
    {PRE("\"BertPreTokenizer\""),
     "pre_tokenizer: type: \"BertPreTokenizer\" is not supported; supported: ByteLevel"},
    {PRE("\"Sequence\",\"pretokenizers\":7"), "pretokenizers: expected a list"},
    {PRE("\"Sequence\",\"pretokenizers\":[{\"type\":\"Sequence\",\"pretokenizers\":[{}]}]"),
     "pre_tokenizer: pretokenizers[0]: pretokenizers[0]: type: missing"},
    {PRE("\"ByteLevel\",\"use_regex\":0"), "use_regex: expected true or false"},
    {PRE("\"Split\",\"behavior\":\"Isolated\""), "pattern: expected an object"},
    {PRE("\"Split\",\"behavior\":\"Isolated\",\"pattern\":{}"), "one of \"Regex\" and"},
    {PRE("\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"a\",\"String\":\"a\"}"),
     "one of \"Regex\" and"},
    {PRE("\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"String\":\"\"}"), "1 to"},
    {PRE("\"Split\",\"behavior\":\"Apart\",\"pattern\":{\"String\":\"a\"}"),
     "behavior: \"Apart\" is not supported"},
    {PRE("\"Split\",\"pattern\":{\"String\":\"a\"}"), "behavior: missing"},
    {PRE("\"Metaspace\",\"prepend_scheme\":\"last\""), "prepend_scheme: \"last\""},
    {PRE("\"Metaspace\",\"replacement\":\"\""), "replacement: is empty"},
    {"{\"post_processor\":[]}", "post_processor: expected an object"},
    {POST("\"Roberta\""), "post_processor: type: \"Roberta\" is not supported"},
    {TEMPLATE("7", "{}"), "post_processor: single: expected a list"},
    {TEMPLATE("[]", "{}"), "single: the text, sequence \"A\", is missing"},
    {TEMPLATE("[" TEXT "," TEXT "]", "{}"), "single: the text must stand in it once"},
    {TEMPLATE("[{\"Sequence\":{\"id\":\"B\"}}]", "{}"), "single: the text must stand in it once"},
    {TEMPLATE("[{\"Other\":{}}," TEXT "]", "{}"), "single: expected pieces"},
    {TEMPLATE("[3]", "{}"), "single: expected pieces"},
    {TEMPLATE("[" NAMED("x") "," TEXT "]", "{}"), "special_tokens: no ids for \"x\""},
    {TEMPLATE("[" NAMED("x") "," TEXT "]", "{\"x\":{\"ids\":3}}"), "no ids for \"x\""},
    {TEMPLATE("[" NAMED("x") "," TEXT "]", "{\"x\":{\"ids\":[288]}}"), "no token has id 288"},
    {TEMPLATE("[" NAMED("x") "," TEXT "]", "{\"x\":{\"ids\":[-1]}}"), "expected an id"},
    {POST("\"BertProcessing\",\"cls\":[\"a\",0]"), "sep: expected a token and its id"},
    {POST("\"RobertaProcessing\",\"cls\":[\"a\",999],\"sep\":[\"a\",0]"), "no token has id 999"},
    {POST("\"Sequence\",\"processors\":[{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":["
          "\"a\",0]},{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"a\",0]}]"),
     "processors[1]: more than one template"},
    {POST("\"Sequence\""), "processors: expected a list"},
    {"{\"decoder\":\"ByteLevel\"}", "decoder: expected an object"},
    {DECODER("\"CTC\""), "decoder: type: \"CTC\" is not supported; supported: ByteFallback"},
    {DECODER("\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},7]"), "decoders[1]: expected"},
    {DECODER("\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"\""), "only {\"String\""},
    {DECODER("\"Replace\",\"pattern\":{\"String\":\"a\"}"), "content: missing"},
    {DECODER("\"Strip\",\"content\":\"a\",\"start\":-1"), "start: -1 is out of range"},
    {DECODER("\"Strip\",\"content\":\"\""), "content: missing or empty"},
};

static void test_parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken_parts / sizeof *broken_parts; i++)
        refuse("tiny-gqa", broken_parts[i].change, broken_parts[i].message);
}

// Constructs that PCRE2 would read otherwise than the library does, or not at all.
static void test_patterns(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "\\h",
        "\\H",
        "\\b",
        "\\B",
        "\\K",
        "\\R",
        "\\X",
        "\\Q",
        "\\G",
        "\\1",
        "\\0",
        "[\\W]",
        "[a&&b]",
        "[a[b]]",
        "[[:a:]]",
        "(?m:a)",
        "(?s:a)",
        "(?x)a",
        "(?#a)",
        "(?~a)",
        "(?|a)",
        "(?R)",
        "(?1)",
        "(?P<n>a)",
        "(?<n>a)",
        "(*UTF)a",
        "(*F)",
        "a(?i)b",
        "a{2}?",
        "a{2}+",
        "a{1,2}+",
        "a{,2}",
        "\\pL",
        "\\p{L",
        "\\p{Lx}",
        "\\p{L1}",
        "\\x{",
        "\\x{}",
        "\\xe9",
        "\\x{110000}",
        "\\u12",
        "\\x{d800}",
        "\\x{123456789}",
        "(a",
        "a)",
        "[a",
        "a**",
        "(?<=a+)b",
        "[z-a]",
        "\\",
        "\\p{Letter}",
        "\\c[",
        "\\N",
        "\\p{}",
        "(?",
        "(?i",
        "\\p{^}",
        "x\\",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct hf_regex *r = hf_regex_compile(refused[i]);
        if (r) fail_msg("accepted the pattern %s", refused[i]);
        expect_user_error("pattern");
    }
    refuse("tiny-gqa", PATTERN("a(?i)b"), "pre_tokenizer: pattern: \"(?i)\" in a pattern is not");
    refuse("tiny-gqa", PATTERN("(a"), "the pattern does not compile at byte 2 of \"(a\"");
}

// A pattern that would take for ever is stopped, and says so.
static void test_endless_pattern(void **state)
{
    (void)state;
    static const char change[] = PATTERN("(?:a|aa|aaa)+b");
    cJSON *json = cases_parse(change, strlen(change));
    struct hf_tokenizer *t = cases_load("tiny-gqa", json);
    struct hf_ids ids = {0};
    assert_non_null(t);
    char text[2001];
    memset(text, 'a', 2000);
    memcpy(text + 1998, "!b", 3); // the letter that PCRE2 looks for first is there
    assert_false(hf_tokenizer_encode(t, text, 2000, false, &ids));
    expect_user_error("a pattern fails on the text at byte 0 of 2000");
    assert_int_equal(ids.count, 0);
    ARRAY_FREE(&ids);
    hf_tokenizer_destroy(t);
    cJSON_Delete(json);
}

// An unknown token that the vocabulary lacks matters only where a text needs it.
static void test_missing_unknown(void **state)
{
    (void)state;
    static const char change[] =
        "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{\"a\":0,\"b\":1},"
        "\"merges\":[]}}";
    cJSON *json = cases_parse(change, strlen(change));
    struct hf_tokenizer *t = cases_load(NULL, json);
    struct hf_ids ids = {0};
    assert_non_null(t);
    assert_true(hf_tokenizer_encode(t, "abba", 4, false, &ids));
    assert_int_equal(ids.count, 4);
    assert_false(hf_tokenizer_encode(t, "abc", 3, false, &ids));
    expect_user_error("unk_token is not in the vocabulary");
    assert_int_equal(ids.count, 4);
    ARRAY_FREE(&ids);
    hf_tokenizer_destroy(t);
    cJSON_Delete(json);
}

static void refuse_text(const char *text, const char *message)
{
    files_put_text("tokenizer.json", text);
    assert_null(hf_tokenizer_load(files_path(".")));
    assert_non_null(strstr(err_message(), "tokenizer.json"));
    expect_user_error(message);
}

static void test_files(void **state)
{
    (void)state;
    assert_true(file_remove(files_path("tokenizer.json")));
    assert_null(hf_tokenizer_load(files_path(".")));
    expect_user_error("tokenizer.json");
    assert_null(hf_tokenizer_load(files_path("no/such")));
    expect_user_error("tokenizer.json");
    refuse_text("", "expected JSON");
    refuse_text("{", "not valid JSON");
    refuse_text("[]", "expected a JSON object");
    refuse_text("{}", "model: missing");
    static const char *const each[] = {"[", "{\"model\":", "{\"pre_tokenizer\":{\"a\":"};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        struct str text = {0};
        for (int k = 0; k < 200000; k++)
            str_append(&text, each[i]);
        refuse_text(str_text(&text), "nested more than");
        str_finish(&text);
    }
    // As deep as JSON may be, and as many steps as there are not.
    struct str text = {0};
    str_append(&text, "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[]},\"pre_tokenizer\":");
    for (int k = 0; k < 200; k++)
        str_append(&text, "{\"type\":\"Sequence\",\"pretokenizers\":[");
    str_append(&text, "7");
    for (int k = 0; k < 200; k++)
        str_append(&text, "]}");
    str_append(&text, "}");
    refuse_text(str_text(&text), "expected an object");
    str_clear(&text);
    str_append(&text, "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[]},\"pre_tokenizer\":{\"type\":"
                      "\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}");
    for (int k = 0; k < 100; k++)
        str_append(&text, ",{\"type\":\"WhitespaceSplit\"}");
    str_append(&text, "]}}");
    refuse_text(str_text(&text), "more than 64 steps");
    str_finish(&text);
}

// Changes bytes of a tokenizer.json. What then still loads must encode and decode without harm.
static void damage(const char *path, int trials)
{
    static const char text[] =
        " The <|end|> q 12\n\n\xc3\xa9\xe4\xb8\xad<|pad|> the the \xf0\x9f\x9a\x80";
    static const char swaps[] = "0123456789\"[]{},:\\ntfaeu-.";
    struct rng rng = rng_begin(9, RNG_TEST);
    size_t len, loaded = 0;
    char *bytes = file_read(path, 0, &len);
    assert_non_null(bytes);
    for (int trial = 0; trial < trials; trial++) {
        char *copy = mem_strndup(bytes, len);
        size_t changes = 1 + (size_t)rng_below(&rng, 3);
        for (size_t i = 0; i < changes; i++) {
            size_t at = (size_t)rng_below(&rng, len);
            copy[at] = trial % 2 ? swaps[rng_below(&rng, sizeof swaps - 1)]
                                 : (char)(copy[at] ^ (1 << rng_below(&rng, 7)));
        }
        size_t cut = trial % 10 == 9 ? (size_t)rng_below(&rng, len) : len;
        files_put("tokenizer.json", copy, cut);
        struct hf_tokenizer *t = hf_tokenizer_load(files_path("."));
        if (!t) expect_user_error("tokenizer.json");
        if (t) {
            struct hf_ids ids = {0};
            struct str out = {0};
            loaded++;
            if (hf_tokenizer_encode(t, text, strlen(text), true, &ids))
                assert_true(hf_tokenizer_decode(t, ids.items, ids.count, true, &out));
            else
                expect_user_error("tokenizer.json");
            ARRAY_FREE(&ids);
            str_finish(&out);
            hf_tokenizer_destroy(t);
        }
        mem_free(copy);
    }
    assert_true(loaded > 0 && loaded < (size_t)trials); // both ends were tried
    mem_free(bytes);
}

static void test_damage(void **state)
{
    (void)state;
    damage(TEST_FIXTURES "/tiny-gqa/tokenizer.json", 1000);
    damage(TEST_FIXTURES "/tiny-llama3/tokenizer.json", 1000);
}

static int begin(void **state)
{
    (void)state;
    files_begin("test_tokenizer_errors");
    return 0;
}

static int end(void **state)
{
    (void)state;
    files_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),           cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_endless_pattern), cmocka_unit_test(test_missing_unknown),
        cmocka_unit_test(test_files),           cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
