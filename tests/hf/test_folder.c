// Model folders: what is copied, what is changed in it, and what is left alone.
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "hf/config.h"
#include "hf/folder.h"
#include "hf_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void fresh(const char *dir)
{
    assert_true(file_remove_tree(files_path(dir)));
    assert_true(file_make_dirs(files_path(dir)));
}

// Copies a folder that has only this config.json; the copy's must be `want`.
static void copy_config(const char *config, enum dtype dtype, const char *want)
{
    fresh("from");
    fresh("to");
    files_put_text("from/config.json", config);
    if (!hf_folder_copy(files_path("from"), files_path("to"), dtype)) fail_msg("%s", err_message());
    assert_true(files_hold("to/config.json", want));
    assert_true(files_hold("from/config.json", config));
}

static void test_dtype(void **state)
{
    (void)state;
    // As it is, odd spacing and all, where the dtype is right already.
    copy_config(" { \"a\":1.50,\"torch_dtype\" :\"bfloat16\"}\n", DTYPE_BF16,
                " { \"a\":1.50,\"torch_dtype\" :\"bfloat16\"}\n");
    copy_config("{\"x\": [1,  2]}", DTYPE_F32, "{\"x\": [1,  2]}");
    copy_config("{\"dtype\":null}", DTYPE_F32, "{\"dtype\":null}");
    // Changed in the spelling that is there, and nowhere else.
    copy_config("{\n  \"torch_dtype\": \"float32\",\n  \"q\": {\"dtype\": \"float32\"}\n}\n",
                DTYPE_BF16,
                "{\n  \"torch_dtype\": \"bfloat16\",\n  \"q\": {\"dtype\": \"float32\"}\n}\n");
    copy_config("{\"a\":{\"torch_dtype\":\"x\"}, \"dtype\":\"float32\" ,\"b\":\"dtype\"}",
                DTYPE_F16,
                "{\"a\":{\"torch_dtype\":\"x\"}, \"dtype\":\"float16\" ,\"b\":\"dtype\"}");
    copy_config("{\"dtype\":\"bfloat16\",\"torch_dtype\":\"bfloat16\"}", DTYPE_F32,
                "{\"dtype\":\"float32\",\"torch_dtype\":\"float32\"}");
    copy_config("{\"dtype\":\"float16\",\"dtype\":\"float16\"}", DTYPE_F32,
                "{\"dtype\":\"float32\",\"dtype\":\"float32\"}");
    copy_config("{\"s\":\"a\\\"dtype\\\":{[\",\"dtype\":\"float16\"}", DTYPE_F32,
                "{\"s\":\"a\\\"dtype\\\":{[\",\"dtype\":\"float32\"}");
    copy_config("{\"dtype\":null }", DTYPE_BF16, "{\"dtype\":\"bfloat16\" }");
    // Put in where there is none.
    copy_config("{\n    \"a\": 1\n}\n", DTYPE_F16,
                "{\n    \"torch_dtype\": \"float16\",\n    \"a\": 1\n}\n");
    copy_config("{\"a\":1}", DTYPE_BF16, "{\"torch_dtype\": \"bfloat16\", \"a\":1}");
    copy_config("{}", DTYPE_BF16, "{\"torch_dtype\": \"bfloat16\"}");
    copy_config("{ }", DTYPE_BF16, "{ \"torch_dtype\": \"bfloat16\"}");
}

static void refuse(const char *config, const char *message)
{
    fresh("from");
    fresh("to");
    if (config) files_put_text("from/config.json", config);
    assert_false(hf_folder_copy(files_path("from"), files_path("to"), DTYPE_BF16));
    assert_non_null(strstr(err_message(), "config.json"));
    expect_user_error(message);
    assert_false(file_exists(files_path("to/config.json"))); // nothing half written
}

static void test_refused(void **state)
{
    (void)state;
    refuse(NULL, "from/config.json");
    refuse("", "expected JSON");
    refuse("[1]", "expected a JSON object");
    refuse("{\"a\":1} x", "more text after");
    refuse("{\"d\\u0074ype\":\"float32\"}", "its dtype cannot be set to bfloat16");
}

// Every file of the fixture but the weights is copied byte for byte.
static void test_copy(void **state)
{
    (void)state;
    static const char *const names[] = {"config.json", "generation_config.json", "tokenizer.json",
                                        "tokenizer_config.json", "chat_template.jinja"};
    char **list;
    size_t count;
    fresh("to");
    assert_true(hf_folder_copy(TEST_FIXTURES "/tiny-llama3", files_path("to"), DTYPE_F32));
    assert_true(file_list(files_path("to"), &list, &count));
    assert_int_equal(count, 5);
    file_list_free(list, count);
    for (size_t i = 0; i < 5; i++) {
        char *to = file_join(files_path("to"), names[i]);
        char *from = file_join(TEST_FIXTURES "/tiny-llama3", names[i]);
        struct file_map a = {0}, b = {0};
        assert_true(file_map_open(&a, from) && file_map_open(&b, to));
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        file_map_close(&a);
        file_map_close(&b);
        mem_free(from);
        mem_free(to);
    }
    // Onto itself: nothing to do, and with another dtype only config.json changes.
    assert_true(hf_folder_copy(files_path("to"), files_path("to"), DTYPE_F32));
    assert_true(hf_folder_copy(files_path("to"), files_path("to"), DTYPE_BF16));
    struct hf_config c;
    assert_true(hf_config_load(&c, files_path("to")));
    assert_int_equal(c.dtype, DTYPE_BF16);
    assert_int_equal(c.vocab_size, 288);
}

static void test_every_tokenizer_file(void **state)
{
    (void)state;
    static const char *const names[] = {"tokenizer.json",    "tokenizer_config.json",
                                        "added_tokens.json", "special_tokens_map.json",
                                        "vocab.json",        "merges.txt",
                                        "tokenizer.model",   "chat_template.jinja"};
    char name[64];
    fresh("from");
    fresh("to");
    files_put_text("from/config.json", "{}");
    files_put_text("from/model.safetensors", "w");
    files_put_text("from/notes.txt", "n");
    for (size_t i = 0; i < 8; i++) {
        strcat(strcpy(name, "from/"), names[i]);
        files_put_text(name, names[i]);
    }
    files_put_text("to/vocab.json", "older");
    assert_true(hf_folder_copy(files_path("from"), files_path("to"), DTYPE_F32));
    for (size_t i = 0; i < 8; i++) {
        strcat(strcpy(name, "to/"), names[i]);
        assert_true(files_hold(name, names[i]));
    }
    assert_false(file_exists(files_path("to/model.safetensors")));
    assert_false(file_exists(files_path("to/notes.txt")));
}

static void test_create(void **state)
{
    (void)state;
    fresh("arch");
    fresh("tok");
    fresh("to");
    files_put_text("arch/big.json", "{\"a\":1}");
    files_put_text("arch/generation_config.json", "{\"g\":1}");
    files_put_text("arch/tokenizer.json", "not this one");
    assert_false(hf_folder_create(files_path("arch/big.json"), files_path("tok"), files_path("to"),
                                  DTYPE_F32));
    expect_user_error("tok/tokenizer.json");
    files_put_text("tok/tokenizer.json", "T");
    files_put_text("tok/config.json", "not this one");
    assert_true(hf_folder_create(files_path("arch/big.json"), files_path("tok"), files_path("to"),
                                 DTYPE_BF16));
    assert_true(files_hold("to/config.json", "{\"torch_dtype\": \"bfloat16\", \"a\":1}"));
    assert_true(files_hold("to/generation_config.json", "{\"g\":1}"));
    assert_true(files_hold("to/tokenizer.json", "T"));
}

static int begin(void **state)
{
    (void)state;
    files_begin("test_folder");
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
        cmocka_unit_test(test_dtype),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_copy),   cmocka_unit_test(test_every_tokenizer_file),
        cmocka_unit_test(test_create),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
