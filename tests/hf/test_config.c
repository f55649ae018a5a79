// config.json: what transformers 4 and 5 write is read, and everything else refused by name.
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "hf/config.h"
#include "hf_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// The least that a Llama needs.
#define BASE                                                                                       \
    "{\"model_type\":\"llama\",\"vocab_size\":100,\"hidden_size\":64,\"intermediate_size\":96,"    \
    "\"num_hidden_layers\":2,\"num_attention_heads\":8}"

// BASE with the members of `change` put in (null takes one out), as a file.
static const char *put_change(const char *change)
{
    cJSON *json = json_parse(BASE, strlen(BASE), "base");
    cJSON *changes = json_parse(change, strlen(change), "change");
    if (!json || !changes) fail_msg("%s", err_message());
    for (const cJSON *item = changes->child; item; item = item->next) {
        cJSON_DeleteItemFromObjectCaseSensitive(json, item->string);
        if (!cJSON_IsNull(item))
            cJSON_AddItemToObject(json, item->string, cJSON_Duplicate(item, true));
    }
    char *text = json_print(json, false);
    const char *path = files_put_text("config.json", text);
    mem_free(text);
    cJSON_Delete(changes);
    cJSON_Delete(json);
    return path;
}

static struct hf_config accept(const char *change)
{
    struct hf_config c;
    if (!hf_config_load(&c, put_change(change))) fail_msg("%s: %s", change, err_message());
    return c;
}

static void refuse(const char *change, const char *message)
{
    struct hf_config c;
    if (hf_config_load(&c, put_change(change))) fail_msg("accepted %s", change);
    assert_non_null(strstr(err_message(), "config.json: "));
    expect_user_error(message);
}

static void test_fixtures(void **state)
{
    (void)state;
    struct hf_config c;
    assert_true(hf_config_load(&c, TEST_FIXTURES "/tiny-gqa"));
    assert_int_equal(c.vocab_size, 288);
    assert_int_equal(c.hidden_size, 48);
    assert_int_equal(c.intermediate_size, 56);
    assert_int_equal(c.layers, 2);
    assert_int_equal(c.heads, 6);
    assert_int_equal(c.kv_heads, 2);
    assert_int_equal(c.head_dim, 12);
    assert_true(c.tied_head);
    assert_false(c.attention_bias || c.mlp_bias);
    assert_int_equal(c.dtype, DTYPE_F32);
    assert_int_equal(c.eos_count, 1);
    assert_int_equal(c.eos[0], 0);
    assert_int_equal(c.bos, -1);
    assert_true(hf_config_load(&c, TEST_FIXTURES "/tiny-llama3/config.json"));
    assert_int_equal(c.heads, 4);
    assert_int_equal(c.kv_heads, 4);
    assert_int_equal(c.head_dim, 8);
    assert_int_equal(c.max_position, 512);
    assert_false(c.tied_head);
    assert_true(c.attention_bias && c.mlp_bias);
    assert_int_equal(c.bos, 0);
    assert_int_equal(c.eos[0], 1);
    assert_int_equal(c.rope.type, HF_ROPE_LLAMA3);
    assert_true(c.rope.theta == 500 && c.rope.factor == 8 && c.rope.low_freq_factor == 1);
    assert_true(c.rope.high_freq_factor == 4 && c.rope.original_max_position == 64);
    assert_true(c.norm_eps == 1e-6);
}

static void test_defaults(void **state)
{
    (void)state;
    struct hf_config c = accept("{}");
    assert_int_equal(c.kv_heads, 8);
    assert_int_equal(c.head_dim, 8);
    assert_int_equal(c.max_position, 2048);
    assert_true(c.norm_eps == 1e-6 && c.initializer_range == 0.02);
    assert_false(c.tied_head || c.attention_bias || c.mlp_bias);
    assert_int_equal(c.rope.type, HF_ROPE_DEFAULT);
    assert_true(c.rope.theta == 10000);
    assert_int_equal(c.dtype, DTYPE_F32);
    assert_int_equal(c.bos, -1);
    assert_int_equal(c.eos_count, 0);
    // What writers put in to say nothing.
    accept("{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_act\":\"silu\",\"pretraining_tp\":1,"
           "\"attention_dropout\":0.0,\"sliding_window\":null,\"layer_types\":[\"full_attention\","
           "\"full_attention\"],\"head_dim\":null,\"num_key_value_heads\":null,\"rope_scaling\":"
           "null,\"bos_token_id\":null,\"eos_token_id\":null,\"quantization_config\":null}");
    accept("{\"model_type\":null,\"architectures\":[\"LlamaForCausalLM\"]}");
    c = accept("{\"hidden_size\":60,\"head_dim\":4}"); // 60 / 8 is no whole number
    assert_int_equal(c.head_dim, 4);
}

static void test_spellings(void **state)
{
    (void)state;
    struct hf_config c = accept("{\"torch_dtype\":\"bfloat16\"}");
    assert_int_equal(c.dtype, DTYPE_BF16);
    c = accept("{\"dtype\":\"float16\"}");
    assert_int_equal(c.dtype, DTYPE_F16);
    c = accept("{\"dtype\":\"float16\",\"torch_dtype\":\"bfloat16\"}");
    assert_int_equal(c.dtype, DTYPE_F16);
    c = accept("{\"rope_theta\":5e5}");
    assert_true(c.rope.theta == 5e5);
    c = accept("{\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":5e5}}");
    assert_true(c.rope.theta == 5e5 && c.rope.type == HF_ROPE_DEFAULT);
    c = accept("{\"rope_theta\":3e4,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}");
    assert_true(c.rope.theta == 3e4 && c.rope.type == HF_ROPE_LINEAR && c.rope.factor == 2);
    static const char *const llama3[] = {
        "{\"rope_theta\":5e5,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":32,"
        "\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":8192}}",
        "{\"rope_parameters\":{\"rope_theta\":5e5,\"rope_type\":\"llama3\",\"factor\":32,"
        "\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":8192}}",
        "{\"rope_theta\":5e5,\"original_max_position_embeddings\":8192,\"rope_scaling\":{\"type\":"
        "\"llama3\",\"factor\":32,\"low_freq_factor\":1,\"high_freq_factor\":4}}",
    };
    for (size_t i = 0; i < sizeof llama3 / sizeof *llama3; i++) {
        c = accept(llama3[i]);
        assert_int_equal(c.rope.type, HF_ROPE_LLAMA3);
        assert_true(c.rope.theta == 5e5 && c.rope.factor == 32 && c.rope.low_freq_factor == 1);
        assert_true(c.rope.high_freq_factor == 4 && c.rope.original_max_position == 8192);
    }
    // Both, as long as they agree.
    c = accept("{\"rope_theta\":7e4,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},"
               "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2,\"rope_theta\":7e4}}");
    assert_true(c.rope.theta == 7e4);
}

static void test_end_tokens(void **state)
{
    (void)state;
    struct hf_config c = accept("{\"bos_token_id\":7,\"eos_token_id\":[1,99,3]}");
    assert_int_equal(c.bos, 7);
    assert_int_equal(c.eos_count, 3);
    assert_int_equal(c.eos[1], 99);
    files_put_text("generation_config.json", "{\"eos_token_id\":[5,6]}");
    c = accept("{\"eos_token_id\":1}");
    assert_int_equal(c.eos_count, 2);
    assert_int_equal(c.eos[0], 5);
    files_put_text("generation_config.json", "{\"temperature\":0.6}");
    c = accept("{\"eos_token_id\":1}");
    assert_int_equal(c.eos_count, 1);
    assert_int_equal(c.eos[0], 1);
    files_put_text("generation_config.json", "{\"eos_token_id\":100}");
    assert_false(hf_config_load(&c, put_change("{}")));
    expect_user_error("generation_config.json: eos_token_id: expected a token id of 0 to 99");
    files_put_text("generation_config.json", "[]");
    assert_false(hf_config_load(&c, put_change("{}")));
    expect_user_error("generation_config.json: expected a JSON object");
    assert_true(file_remove(files_path("generation_config.json")));
}

static const struct {
    const char *change, *message;
} unsupported[] = {
    {"{\"model_type\":\"gpt2\"}",
     "model_type: \"gpt2\" is not supported; supported: model_type \"llama\""},
    {"{\"model_type\":3}", "model_type: expected a string"},
    {"{\"model_type\":null}", "model_type: missing"},
    {"{\"architectures\":[\"LlamaForSequenceClassification\"]}", "architectures: \"LlamaForSeq"},
    {"{\"architectures\":\"LlamaForCausalLM\"}", "architectures: expected a list"},
    {"{\"architectures\":[]}", "architectures: expected a list"},
    {"{\"architectures\":[\"LlamaForCausalLM\",4]}", "architectures: expected a list"},
    {"{\"vocab_size\":null}", "vocab_size: missing"},
    {"{\"vocab_size\":0}", "vocab_size: 0 is out of range 1 to"},
    {"{\"vocab_size\":-5}", "vocab_size: -5 is out of range"},
    {"{\"vocab_size\":1e15}", "vocab_size: 1000000000000000 is out of range"},
    {"{\"vocab_size\":1e300}", "vocab_size: "},
    {"{\"vocab_size\":10.5}", "vocab_size: expected a whole number"},
    {"{\"vocab_size\":\"100\"}", "vocab_size: expected a whole number"},
    {"{\"hidden_size\":0}", "hidden_size: 0 is out of range"},
    {"{\"hidden_size\":262145}", "hidden_size: 262145 is out of range"},
    {"{\"hidden_size\":60}", "hidden_size: 60 is not a multiple of num_attention_heads, 8"},
    {"{\"hidden_size\":4}", "hidden_size: 4 is not a multiple"},
    {"{\"hidden_size\":8}", "head_dim: 1 is odd"},
    {"{\"hidden_size\":16384}", "head_dim: 2048 is out of range"},
    {"{\"head_dim\":7}", "head_dim: 7 is odd"},
    {"{\"head_dim\":0}", "head_dim: 0 is out of range"},
    {"{\"intermediate_size\":-1}", "intermediate_size: -1 is out of range"},
    {"{\"num_hidden_layers\":1025}", "num_hidden_layers: 1025 is out of range"},
    {"{\"num_hidden_layers\":0}", "num_hidden_layers: 0 is out of range"},
    {"{\"num_attention_heads\":0}", "num_attention_heads: 0 is out of range"},
    {"{\"num_key_value_heads\":3}", "not a multiple of num_key_value_heads, 3"},
    {"{\"num_key_value_heads\":16}", "not a multiple of num_key_value_heads, 16"},
    {"{\"num_key_value_heads\":0}", "num_key_value_heads: 0 is out of range"},
    {"{\"max_position_embeddings\":0}", "max_position_embeddings: 0 is out of range"},
    {"{\"vocab_size\":16777216,\"hidden_size\":262144,\"num_attention_heads\":1024,"
     "\"intermediate_size\":262144,\"num_hidden_layers\":1024}",
     "parameters; at most"},
    {"{\"rms_norm_eps\":0}", "rms_norm_eps: 0 is out of range"},
    {"{\"rms_norm_eps\":-1e-6}", "rms_norm_eps: -1e-06 is out of range"},
    {"{\"rms_norm_eps\":\"1e-6\"}", "rms_norm_eps: expected a number"},
    {"{\"tie_word_embeddings\":1}", "tie_word_embeddings: expected true or false"},
    {"{\"hidden_act\":\"gelu\"}", "hidden_act: \"gelu\" is not implemented; supported: \"silu\""},
    {"{\"pretraining_tp\":2}", "pretraining_tp: 2 is not implemented"},
    {"{\"partial_rotary_factor\":0.5}", "partial_rotary_factor: 0.5 is not implemented"},
    {"{\"quantization_config\":{\"bits\":4}}", "quantization_config: quantised weights"},
    {"{\"sliding_window\":4096}", "sliding_window: "},
    {"{\"layer_types\":[\"full_attention\",\"sliding_attention\"]}", "layer_types: only"},
    {"{\"layer_types\":3}", "layer_types: expected a list"},
    {"{\"attention_dropout\":1.5}", "attention_dropout: 1.5 is out of range"},
    {"{\"torch_dtype\":\"float64\"}",
     "torch_dtype: \"float64\" is not supported; supported: float32"},
    {"{\"dtype\":3}", "dtype: expected a string"},
    {"{\"bos_token_id\":100}", "bos_token_id: expected a token id of 0 to 99"},
    {"{\"eos_token_id\":-1}", "eos_token_id: expected a token id"},
    {"{\"eos_token_id\":[1,\"2\"]}", "eos_token_id: expected a token id"},
    {"{\"eos_token_id\":[1,2,3,4,5,6,7,8,9]}", "eos_token_id: more than 8 ids"},
    {"{\"rope_theta\":0}", "rope_theta: 0 is out of range"},
    {"{\"rope_theta\":\"x\"}", "rope_theta: expected a number"},
    {"{\"rope_scaling\":7}", "rope_scaling: expected an object"},
    {"{\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}}",
     "rope_scaling: rope_type: \"dynamic\" is not implemented; supported: default, linear, "
     "llama3"},
    {"{\"rope_scaling\":{\"type\":\"linear\"}}", "rope_scaling: factor: missing"},
    {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":0}}", "factor: 0 is out of range"},
    {"{\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
     "\"high_freq_factor\":4,\"original_max_position_embeddings\":64}}",
     "high_freq_factor: 4 must be greater"},
    {"{\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
     "\"high_freq_factor\":4}}",
     "original_max_position_embeddings: missing"},
    {"{\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":8}}",
     "rope_parameters: rope_type: \"yarn\" is not implemented"},
    {"{\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}}",
     "rope_parameters: full_attention: settings by kind of layer"},
    {"{\"rope_parameters\":{\"partial_rotary_factor\":0.25}}", "partial_rotary_factor: 0.25"},
    {"{\"rope_theta\":7e4,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},"
     "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":4}}",
     "rope_scaling and rope_parameters differ"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        refuse(unsupported[i].change, unsupported[i].message);
}

static void refuse_file(const char *path, const char *message)
{
    struct hf_config c;
    if (hf_config_load(&c, path)) fail_msg("accepted %s", path);
    assert_non_null(strstr(err_message(), "config.json"));
    expect_user_error(message);
}

static void test_files(void **state)
{
    (void)state;
    refuse_file(files_path("absent/config.json"), "config.json");
    assert_true(file_make_dirs(files_path("empty")));
    refuse_file(files_path("empty"), "config.json");
    refuse_file(files_put_text("config.json", ""), "expected JSON");
    refuse_file(files_put_text("config.json", "[1]"), "expected a JSON object");
    refuse_file(files_put_text("config.json", "{\"a\":"), "not valid JSON");
    refuse_file(files_put("config.json", "{\"a\xff\":1}", 8), "not valid UTF-8");
    struct str text = {0};
    for (int i = 0; i < 200000; i++)
        str_append(&text, "{\"rope_scaling\":");
    refuse_file(files_put_text("config.json", str_text(&text)), "nested more than");
    str_finish(&text);
}

// Whatever is accepted after damage keeps within the bounds that the model relies on.
static void test_damage(void **state)
{
    (void)state;
    static const char swaps[] = "0123456789-.e\"{}[]:,";
    struct rng rng = rng_begin(3, RNG_TEST);
    size_t len, accepted = 0;
    char *bytes = file_read(TEST_FIXTURES "/tiny-llama3/config.json", 0, &len);
    assert_non_null(bytes);
    for (int trial = 0; trial < 1500; trial++) {
        struct hf_config c;
        size_t at = (size_t)rng_below(&rng, len);
        char old = bytes[at];
        bytes[at] = swaps[rng_below(&rng, sizeof swaps - 1)];
        if (!hf_config_load(&c, files_put("config.json", bytes, len))) {
            expect_user_error("config.json");
        } else {
            accepted++;
            assert_true(c.vocab_size > 0 && c.hidden_size > 0 && c.intermediate_size > 0);
            assert_true(c.layers > 0 && c.heads > 0 && c.kv_heads > 0 && c.heads % c.kv_heads == 0);
            assert_true(c.head_dim > 0 && c.head_dim % 2 == 0 && c.max_position > 0);
            assert_true(c.norm_eps > 0 && c.rope.theta >= 1);
            assert_true(c.bos >= -1 && c.bos < c.vocab_size);
        }
        bytes[at] = old;
    }
    assert_true(accepted > 50);
    mem_free(bytes);
}

static int begin(void **state)
{
    (void)state;
    files_begin("test_config");
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
        cmocka_unit_test(test_fixtures),  cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_spellings), cmocka_unit_test(test_end_tokens),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_files),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
