// safetensors: what is written is read back, and every damaged or hostile form is refused.
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "hf/safetensors.h"
#include "hf_files.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// A file of a header and `data` zero bytes; `claim` is the header's length as the file tells it.
static const char *put_file(const char *name, const char *header, uint64_t claim, size_t data)
{
    struct str s = {0};
    for (int i = 0; i < 8; i++)
        str_append_char(&s, (char)(claim >> 8 * i));
    str_append(&s, header);
    for (size_t i = 0; i < data; i++)
        str_append_char(&s, '\0');
    const char *path = files_put(name, s.data, s.len);
    str_finish(&s);
    return path;
}

static const char *put(const char *name, const char *header, size_t data)
{
    return put_file(name, header, strlen(header), data);
}

static void refuse(const char *path, const char *part)
{
    struct hf_tensors *t = hf_tensors_open(path);
    if (t) fail_msg("accepted; expected \"%s\"", part);
    expect_user_error(part);
}

#define T(dtype, shape, offsets)                                                                   \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } cases[] = {
        {"[1,2]", 0, "does not begin with '{'"},
        {"{\"a\":", 0, "header"},
        {"{\"a\":1} x", 0, "header"},
        {"{\"a\":1}", 0, "tensor \"a\": its entry is not an object"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "lacks \"dtype\""},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "lacks \"shape\""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "lacks \"data_offsets\""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
         "\"shape\" twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4,
         "unknown member \"x\""},
        {"{\"a\":" T("F33", "[1]", "[0,4]") "}", 4, "its dtype \"F33\""},
        {"{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype is not a string"},
        {"{\"a\":" T("F32", "3", "[0,4]") "}", 4, "shape is not a list"},
        {"{\"a\":" T("F32", "[-1]", "[0,4]") "}", 4, "dimension 0"},
        {"{\"a\":" T("F32", "[1,1.5]", "[0,4]") "}", 4, "dimension 1"},
        {"{\"a\":" T("F32", "[\"1\"]", "[0,4]") "}", 4, "dimension 0"},
        {"{\"a\":" T("F32", "[1e300]", "[0,4]") "}", 4, "dimension 0"},
        {"{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "more than 8 dimensions"},
        {"{\"a\":" T("F32", "[4294967296,4294967296]", "[0,0]") "}", 0, "overflows"},
        {"{\"a\":" T("F32", "[4294967296,1073741824]", "[0,0]") "}", 0, "overflows"},
        {"{\"a\":" T("F32", "[2097152,2097152,2097152,2]", "[0,0]") "}", 0, "overflows"},
        {"{\"a\":" T("F32", "[2]", "[0,4]") "}", 4, "want 8 bytes, its data_offsets span 4"},
        {"{\"a\":" T("F16", "[1]", "[0,4]") "}", 4, "want 2 bytes, its data_offsets span 4"},
        {"{\"a\":" T("F4", "[3]", "[0,1]") "}", 1, "want 1 bytes"},
        {"{\"a\":" T("F32", "[1]", "[4,8]") "}", 4, "ends at byte 8"},
        {"{\"a\":" T("F32", "[1]", "[0,4]") "}", 3, "ends at byte 4"},
        {"{\"a\":" T("F32", "[1]", "[9007199254740988,9007199254740992]") "}", 4, "ends at byte"},
        {"{\"a\":" T("F32", "[1]", "[18446744073709551612,18446744073709551616]") "}", 4,
         "not two whole numbers"},
        {"{\"a\":" T("F32", "[1]", "[4,0]") "}", 4, "reversed"},
        {"{\"a\":" T("F32", "[1]", "[-4,0]") "}", 4, "not two whole numbers"},
        {"{\"a\":" T("F32", "[1]", "[0.5,4.5]") "}", 8, "not two whole numbers"},
        {"{\"a\":" T("F32", "[1]", "[0]") "}", 4, "not two whole numbers"},
        {"{\"a\":" T("F32", "[1]", "[0,4,8]") "}", 8, "not two whole numbers"},
        {"{\"a\":" T("F32", "[1]", "{}") "}", 4, "not two whole numbers"},
        {"{\"a\":" T("F32", "[2]", "[0,8]") ",\"b\":" T("F32", "[2]", "[4,12]") "}", 12,
         "\"b\" overlaps that of \"a\""},
        {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[0,4]") "}", 4, "overlaps"},
        {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"b\":" T("F32", "[1]", "[8,12]") "}", 12,
         "bytes 4 to 8 of the data"},
        {"{\"a\":" T("F32", "[1]", "[4,8]") "}", 8, "bytes 0 to 4 of the data"},
        {"{\"a\":" T("F32", "[1]", "[0,4]") "}", 8, "end at byte 4 of the data, which has 8"},
        {"{}", 4, "end at byte 0"},
        {"{\"a\":" T("F32", "[1]", "[0,4]") ",\"a\":" T("F32", "[1]", "[4,8]") "}", 8,
         "tensor \"a\" is there twice"},
        {"{\"i\":" T("I64", "[2]", "[0,8]") "}", 8, "want 16 bytes"},
        {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: \"a\" is not a string"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "\"__metadata__\" is there twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = put("hostile.safetensors", cases[i].header, cases[i].data);
        refuse(path, cases[i].message);
        assert_null(hf_tensors_open(path));
        expect_user_error("hostile.safetensors"); // and the file is named
    }
}

static void test_hostile_lengths(void **state)
{
    (void)state;
    static const uint64_t claims[] = {3, 100, 100000001, UINT64_MAX, UINT64_MAX - 7, 1ull << 63};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
        refuse(put_file("claim.safetensors", "{}", claims[i], 0), "its header claims");
    refuse(put_file("claim.safetensors", "{}", 0, 0), "does not begin");
    for (size_t len = 0; len < 8; len++)
        refuse(files_put("short.safetensors", "\2\0\0\0\0\0\0", len), "too few");
    refuse(files_path("absent.safetensors"), "absent.safetensors");
}

static void test_deep_nesting(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *each;
    } forms[] = {{"{\"a\":", "["}, {"", "{\"a\":"}};
    for (size_t f = 0; f < 2; f++) {
        struct str header = {0};
        str_append(&header, forms[f].begin);
        for (int i = 0; i < 200000; i++)
            str_append(&header, forms[f].each);
        refuse(put("deep.safetensors", str_text(&header), 0), "deep.safetensors");
        str_finish(&header);
    }
}

static const struct hf_tensor_decl decls[] = {
    {"w", DTYPE_F32, 2, {3, 5}}, {"half \"q\"", DTYPE_F16, 1, {7}}, {"none", DTYPE_F32, 2, {0, 4}},
    {"b", DTYPE_BF16, 1, {9}},   {"scalar", DTYPE_F32, 0, {0}},     {"big", DTYPE_BF16, 1, {40000}},
};
#define DECLS (sizeof decls / sizeof *decls)

static uint64_t decl_count(const struct hf_tensor_decl *d)
{
    uint64_t n = 1;
    for (int k = 0; k < d->dims; k++)
        n *= (uint64_t)d->shape[k];
    return n;
}

// Values that F16 and BF16 hold exactly.
static float value_at(size_t tensor, uint64_t i)
{
    return (float)((int)((i * 7 + tensor * 3) % 255) - 127) / 64.0f;
}

static void write_all(const char *path)
{
    static const char *const metadata[] = {"format", "pt", "k\"ey", "v\\\n", NULL};
    struct hf_writer *w = hf_writer_create(path, decls, DECLS, metadata);
    assert_non_null(w);
    for (size_t t = 0; t < DECLS; t++) {
        uint64_t count = decl_count(&decls[t]), half = count / 2;
        float *values = MEM_ARRAY(float, count + 1);
        for (uint64_t i = 0; i < count; i++)
            values[i] = value_at(t, i);
        assert_true(hf_writer_put(w, values, (size_t)half));
        assert_true(hf_writer_put(w, values + half, (size_t)(count - half)));
        mem_free(values);
    }
    assert_true(hf_writer_commit(w));
}

static void test_round_trip(void **state)
{
    (void)state;
    const char *path = files_path("written.safetensors");
    write_all(path);
    struct hf_tensors *t = hf_tensors_open(path);
    assert_non_null(t);
    assert_int_equal(hf_tensors_count(t), DECLS);
    assert_string_equal(hf_tensors_path(t), path);
    assert_string_equal(hf_tensors_metadata(t, "format"), "pt");
    assert_string_equal(hf_tensors_metadata(t, "k\"ey"), "v\\\n");
    assert_null(hf_tensors_metadata(t, "other"));
    assert_null(hf_tensors_find(t, "absent"));
    for (size_t i = 1; i < DECLS; i++)
        assert_true(strcmp(hf_tensors_at(t, i - 1)->name, hf_tensors_at(t, i)->name) < 0);
    for (size_t k = 0; k < DECLS; k++) {
        const struct hf_tensor *x = hf_tensors_find(t, decls[k].name);
        assert_non_null(x);
        assert_int_equal(x->dtype, decls[k].dtype);
        assert_int_equal(x->dims, decls[k].dims);
        assert_int_equal(x->count, decl_count(&decls[k]));
        assert_string_equal(x->file, path);
        for (int d = 0; d < x->dims; d++)
            assert_int_equal(x->shape[d], decls[k].shape[d]);
        float *values = MEM_ARRAY(float, x->count + 1);
        dtype_decode(values, x->data, x->dtype, (size_t)x->count);
        for (uint64_t i = 0; i < x->count; i++)
            assert_true(values[i] == value_at(k, i));
        mem_free(values);
    }
    // The data begins at a multiple of 64 bytes.
    size_t len;
    char *bytes = file_read(path, 0, &len);
    uint64_t header = 0;
    for (int i = 7; i >= 0; i--)
        header = header << 8 | (uint8_t)bytes[i];
    assert_int_equal((8 + header) % 64, 0);
    assert_int_equal(bytes[8], '{');
    mem_free(bytes);
    hf_tensors_close(t);
}

static void test_unfinished_writers(void **state)
{
    (void)state;
    const char *path = files_path("unfinished.safetensors");
    const float zeros[7] = {0};
    struct hf_writer *w = hf_writer_create(path, decls, 2, NULL);
    assert_non_null(w);
    assert_true(hf_writer_put(w, zeros, 7));
    assert_false(hf_writer_commit(w));
    assert_non_null(strstr(err_message(), "2 of 2 tensors have no data"));
    err_clear();
    w = hf_writer_create(path, decls, 2, NULL);
    assert_non_null(w);
    hf_writer_abort(w);
    hf_writer_abort(NULL);
    char **names;
    size_t count;
    assert_true(file_list(files_path("."), &names, &count));
    for (size_t i = 0; i < count; i++)
        assert_null(strstr(names[i], "unfinished"));
    file_list_free(names, count);
    assert_null(hf_writer_create(files_path("no/such/folder.safetensors"), decls, 2, NULL));
    err_clear();
}

static void test_unlisted_dtypes(void **state)
{
    (void)state;
    const char *path =
        put("mixed.safetensors",
            "{\"i\":" T("I64", "[1]", "[0,8]") ",\"f\":" T("F32", "[1]", "[8,12]") "}  ", 12);
    struct hf_tensors *t = hf_tensors_open(path);
    assert_non_null(t);
    assert_int_equal(hf_tensors_count(t), 1);
    assert_string_equal(hf_tensors_at(t, 0)->name, "f");
    assert_null(hf_tensors_find(t, "i"));
    hf_tensors_close(t);
}

static void open_index(const char *index, const char *message)
{
    files_put_text("sharded/model.safetensors.index.json", index);
    refuse(files_path("sharded"), message);
    assert_null(hf_tensors_open(files_path("sharded")));
    expect_user_error("model.safetensors.index.json");
}

static void test_shards(void **state)
{
    (void)state;
    assert_true(file_make_dirs(files_path("sharded")));
    refuse(files_path("sharded"), "neither model.safetensors nor");
    put("sharded/1.safetensors", "{\"a\":" T("F32", "[2]", "[0,8]") "}", 8);
    put("sharded/2.safetensors",
        "{\"b\":" T("F32", "[1]", "[0,4]") ",\"n\":" T("I64", "[1]", "[4,12]") "}", 12);
    put("sharded/twice.safetensors", "{\"a\":" T("F32", "[1]", "[0,4]") "}", 4);
    put("sharded/bad.safetensors", "{\"a\":" T("F32", "[1]", "[0,4]") "}", 3);
    put("outside.safetensors", "{\"a\":" T("F32", "[1]", "[0,4]") "}", 4);
    files_put_text("sharded/model.safetensors.index.json",
                   "{\"metadata\":{\"total_size\":12},\"weight_map\":{\"b\":\"2.safetensors\","
                   "\"a\":\"1.safetensors\",\"n\":\"2.safetensors\"}}");
    struct hf_tensors *t = hf_tensors_open(files_path("sharded"));
    assert_non_null(t);
    assert_int_equal(hf_tensors_count(t), 2);
    assert_string_equal(hf_tensors_at(t, 0)->name, "a");
    assert_non_null(strstr(hf_tensors_at(t, 0)->file, "1.safetensors"));
    assert_non_null(strstr(hf_tensors_at(t, 1)->file, "2.safetensors"));
    assert_null(hf_tensors_metadata(t, "format"));
    hf_tensors_close(t);

    open_index("{\"weight_map\":{\"a\":\"../outside.safetensors\"}}", "not a plain file name");
    open_index("{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "not a plain file name");
    open_index("{\"weight_map\":{\"a\":\"..\"}}", "not a plain file name");
    open_index("{\"weight_map\":{\"a\":\"\"}}", "not a plain file name");
    open_index("{\"weight_map\":{\"a\":\"..\\\\x\"}}", "not a plain file name");
    open_index("{\"weight_map\":{\"a\":3}}", "is not a string");
    open_index("{\"weight_map\":{}}", "names no tensors");
    open_index("{\"weight_map\":[]}", "weight_map");
    open_index("{}", "weight_map");
    open_index("[]", "weight_map");
    open_index("{\"weight_map\":", "model.safetensors.index.json");
    open_index("{\"weight_map\":{\"a\":\"3.safetensors\"}}", "3.safetensors\", which is not in");
    open_index("{\"weight_map\":{\"a\":\"2.safetensors\"}}",
               "\"a\" should be in shard 2.safetensors");
    open_index("{\"weight_map\":{\"c\":\"2.safetensors\"}}",
               "\"c\" should be in shard 2.safetensors");
    open_index("{\"weight_map\":{\"a\":\"1.safetensors\",\"x\":\"twice.safetensors\"}}",
               "\"a\" is in two shards");
    open_index("{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"1.safetensors\",\"c\":"
               "\"2.safetensors\"}}",
               "\"b\" should be in shard 1.safetensors");
    open_index("{\"weight_map\":{\"a\":\"bad.safetensors\"}}", "bad.safetensors: tensor \"a\"");
}

// A file that transformers wrote.
static void test_fixture(void **state)
{
    (void)state;
    struct hf_tensors *t = hf_tensors_open(TEST_FIXTURES "/tiny-gqa");
    assert_non_null(t);
    assert_int_equal(hf_tensors_count(t), 20);
    const struct hf_tensor *k = hf_tensors_find(t, "model.layers.1.self_attn.k_proj.weight");
    assert_non_null(k);
    assert_int_equal(k->dtype, DTYPE_F32);
    assert_int_equal(k->dims, 2);
    assert_int_equal(k->shape[0], 24);
    assert_int_equal(k->shape[1], 48);
    assert_null(hf_tensors_find(t, "lm_head.weight"));
    assert_string_equal(hf_tensors_metadata(t, "format"), "pt");
    hf_tensors_close(t);
}

// Every cut of the file is refused, and no flipped bit of its header makes reading misbehave.
static void test_damage(void **state)
{
    (void)state;
    size_t len;
    char *bytes = file_read(TEST_FIXTURES "/tiny-gqa/model.safetensors", 0, &len);
    assert_non_null(bytes);
    size_t header = 8 + (uint8_t)bytes[0] + 256u * (uint8_t)bytes[1];
    for (size_t cut = 0; cut < len; cut += cut < 64 ? 1 : cut < header ? 97 : 20011) {
        assert_null(hf_tensors_open(files_put("cut.safetensors", bytes, cut)));
        expect_user_error("cut.safetensors");
    }
    struct rng rng = rng_begin(5, RNG_TEST);
    for (int trial = 0; trial < 1000; trial++) {
        size_t at = (size_t)rng_below(&rng, header);
        char old = bytes[at];
        bytes[at] = (char)(bytes[at] ^ (char)(1u << rng_below(&rng, 7)));
        struct hf_tensors *t = hf_tensors_open(files_put("flip.safetensors", bytes, header + 4096));
        if (t) fail_msg("a file cut short was accepted");
        expect_user_error("flip.safetensors");
        bytes[at] = old;
    }
    mem_free(bytes);
}

static int begin(void **state)
{
    (void)state;
    files_begin("test_safetensors");
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
        cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test(test_hostile_lengths),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_unfinished_writers),
        cmocka_unit_test(test_unlisted_dtypes),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_fixture),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
