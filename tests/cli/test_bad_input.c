// Every mistake a user can make from the command line: exit 2, one message that names file and
// place, nothing half-written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MODEL TEST_FIXTURES "/tiny-gqa"
#define PREFS TEST_FIXTURES "/prefs.jsonl"

static struct process p;

// Runs train with a configuration file of this text, in an output folder that must not exist
// afterwards.
static void train_fails(const char *config, const char *message)
{
    char text[2048], output[512];
    snprintf(output, sizeof output, "%s", work("run"));
    snprintf(text, sizeof text, "%s\noutput_dir: %s\n", config, output);
    RUN(&p, "train", "--config", work_write("config.yaml", text));
    expect_error(&p, 2);
    expect_err(&p, message);
    assert_false(file_exists(output));
}

static const char files[] = "model_name_or_path: " MODEL "\ndataset_name: " PREFS "\n";

static void test_configuration(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *message;
    } cases[] = {
        {"bata: 0.1", "config.yaml: line 3: unknown key 'bata': did you mean 'beta'?"},
        {"qqqqqqqq: 1", "config.yaml: line 3: unknown key 'qqqqqqqq'"},
        {"beta: 0.1\nbeta: 0.2", "config.yaml: line 4: key 'beta' is given twice"},
        {"beta: high", "line 3: beta: expected a number, not 'high'"},
        {"beta: [1, 2]", "line 3: beta: expected a single value"},
        {"max_steps: 1.5", "max_steps: expected a whole number"},
        {"sync_ref_model: perhaps", "sync_ref_model: expected true or false"},
        {"loss_type: sigmoyd", "loss_type: 'sigmoyd' is not one of"},
        {"method: ppo", "method: 'ppo' is not one of dpo|sft"},
        {"beta: -1", "beta: -1 is out of range"},
        {"beta: .inf", "beta"},
        {"learning_rate: -1e-6", "learning_rate: -1e-6 is out of range"},
        {"label_smoothing: 0.5", "label_smoothing: 0.5 is out of range"},
        {"ref_model_mixup_alpha: 1.5", "ref_model_mixup_alpha: 1.5 is out of range"},
        {"ref_model_sync_steps: 0", "ref_model_sync_steps: 0 is out of range"},
        {"per_device_train_batch_size: 0", "per_device_train_batch_size: 0 is out of range"},
        {"adam_beta1: 1", "adam_beta1: 1 is out of range"},
        {"max_length: 1", "max_length: 1 is out of range"},
        {"max_steps: 0", "max_steps"},
        {"eval_steps: 5", "eval_dataset_name"},
        {"use_peft: true", "use_peft: true is not available"},
        {"beta: \"0.1", "not YAML"},
        {"- beta", "config.yaml: line"},
        {"ref_model_name_or_path: /nonexistent", "ref_model_name_or_path: /nonexistent"},
        {"method: sft\nref_model_name_or_path: " MODEL, "sft has no reference"},
        {"token_budget: 8", "token_budget"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[768];
        snprintf(text, sizeof text, "%s%s", files, cases[i].lines);
        train_fails(text, cases[i].message);
    }
}

static void test_flags(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value, *message;
    } cases[] = {
        {"--beta", "high", "beta: expected a number, not 'high'"},
        {"--max_grad_norm", "-1", "max_grad_norm: -1 is out of range"},
        {"--torch_dtype", "float16", "torch_dtype: float16 is not available"},
        {"--dtype", "int8", "dtype: 'int8' is not one of auto|fp32|bf16"},
        {"--gradient_dtype", "bf16", "gradient_dtype: bf16 goes with dtype: bf16"},
        {"--dataset_name", "/nonexistent.jsonl", "/nonexistent.jsonl does not exist"},
        {"--model_name_or_path", "/nonexistent", "model_name_or_path: /nonexistent"},
        {"--eval_dataset_name", "/nonexistent.jsonl", "/nonexistent.jsonl does not exist"},
        {"--resume_from_checkpoint", "/nonexistent", "/nonexistent is not a checkpoint"},
    };
    char config[512];
    snprintf(config, sizeof config, "%s", work_write("flags.yaml", files));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RUN(&p, "train", "--config", config, "--output_dir", work("run"), cases[i].option,
            cases[i].value);
        expect_error(&p, 2);
        expect_err(&p, cases[i].message);
        assert_false(file_exists(work("run")));
    }
    RUN(&p, "train", "--config", config);
    expect_error(&p, 2);
    expect_err(&p, "output_dir is not set");
    RUN(&p, "train", "--config", work("absent.yaml"));
    expect_error(&p, 2);
    expect_err(&p, "absent.yaml");
    // An option wins over the file, and a bare flag is true.
    RUN(&p, "train", "--config", config, "--output_dir", work("run"), "--overwrite_output_dir",
        "--resume_from_checkpoint");
    expect_error(&p, 2);
    expect_err(&p, "contradict");
}

static void test_output_dir(void **state)
{
    (void)state;
    const char *config = work_write("output.yaml", files);
    RUN(&p, "train", "--config", config, "--output_dir", work_write("a-file", "x"));
    expect_error(&p, 2);
    expect_err(&p, "a-file is a file");
    assert_true(file_make_dirs(work("old")));
    work_write("old/metrics.jsonl", "{\"step\": 1}\n");
    RUN(&p, "train", "--config", config, "--output_dir", work("old"));
    expect_error(&p, 2);
    expect_err(&p, "--resume_from_checkpoint");
    expect_err(&p, "--overwrite_output_dir");
    RUN(&p, "train", "--config", config, "--output_dir", MODEL);
    expect_error(&p, 2);
}

// ---- models ----

// Breaks a copy of the fixture model by one replacement in a file and runs `tokenize` or `eval` on
// it.
static void model_fails(const char *file, const char *before, const char *after,
                        const char *message)
{
    char name[64];
    work_copy(MODEL, "model");
    snprintf(name, sizeof name, "model/%s", file);
    work_edit(name, before, after);
    RUN(&p, "eval", "--model", work("model"), "--dataset", PREFS);
    expect_error(&p, 2);
    expect_err(&p, file);
    expect_err(&p, message);
}

static void test_config_json(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after, *message;
    } cases[] = {
        {"\"llama\"", "\"mamba\"", "supported"},
        {"\"hidden_size\": 48", "\"hidden_size\": 0", "hidden_size"},
        {"\"hidden_size\": 48", "\"hidden_size\": -48", "hidden_size"},
        {"\"hidden_size\": 48", "\"hidden_size\": 1e15", "hidden_size"},
        {"\"hidden_size\": 48", "\"hidden_size\": \"48\"", "hidden_size"},
        {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4", "num_key_value_heads"},
        {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "hidden_act"},
        {"\"pretraining_tp\": 1", "\"pretraining_tp\": 2", "pretraining_tp"},
        {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"", "yarn"},
        {"{", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        model_fails("config.json", cases[i].before, cases[i].after, cases[i].message);
    RUN(&p, "init", "--arch", work("absent.json"), "--tokenizer", MODEL, "--output", work("new"));
    expect_error(&p, 2);
    assert_false(file_exists(work("new")));
    model_fails("config.json", "\"vocab_size\": 288", "\"vocab_size\": 100", "tokenizer.json");
    RUN(&p, "init", "--arch", work("model/config.json"), "--tokenizer", MODEL, "--output",
        work("new"));
    expect_error(&p, 2);
    expect_err(&p, "vocab_size");
    assert_false(file_exists(work("new")));
}

static void test_tokenizer_json(void **state)
{
    (void)state;
    model_fails("tokenizer.json", "\"BPE\"", "\"Unigram\"", "Unigram");
    model_fails("tokenizer.json", "\"added_tokens\"", "\"added_tokens", "tokenizer.json");
    model_fails("tokenizer.json", "\"id\": 1,", "\"id\": 100000,", "");
    work_copy(MODEL, "bare");
    assert_true(file_remove(work("bare/tokenizer.json")));
    RUN(&p, "tokenize", "--model", work("bare"));
    expect_error(&p, 2);
    expect_err(&p, "tokenizer.json");
}

// A copy of the model whose weights file was changed by `change`.
static const char *broken_weights(const char *name, void (*change)(struct str *bytes))
{
    char file[128];
    size_t len;
    const char *dir = work_copy(MODEL, name);
    snprintf(file, sizeof file, "%s/model.safetensors", name);
    char *bytes = file_read(work(file), 0, &len);
    assert_non_null(bytes);
    struct str s = {0};
    str_append_bytes(&s, bytes, len);
    change(&s);
    assert_true(file_write_whole(work(file), s.data, s.len));
    mem_free(bytes);
    str_finish(&s);
    return dir;
}

static void cut_data(struct str *s)
{
    s->len -= 100;
}

static void cut_header(struct str *s)
{
    s->len = 60;
}

static void grow_header(struct str *s)
{
    memset(s->data, 0x7F, 8);
}

static void rename_tensor(struct str *s)
{
    char *at = strstr(s->data + 8, "model.norm.weight");
    assert_non_null(at);
    memcpy(at, "model.morn", 10);
}

static void put_nan(struct str *s)
{
    memset(s->data + s->len - 4, 0xFF, 4);
}

static void test_weights(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct str *bytes);
        const char *message;
    } cases[] = {
        {cut_data, "model.safetensors"},
        {cut_header, "model.safetensors"},
        {grow_header, "model.safetensors"},
        {rename_tensor, "model.norm.weight"},
        {put_nan, "NaN"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *dir = broken_weights("weights", cases[i].change);
        RUN(&p, "generate", "--model", dir, "--prompt", "Question", "--max_new_tokens", "2");
        expect_error(&p, 2);
        expect_err(&p, cases[i].message);
        RUN(&p, "eval", "--model", dir, "--dataset", PREFS, "--per_row", work("rows.jsonl"));
        expect_error(&p, 2);
        expect_err(&p, cases[i].message);
        assert_false(file_exists(work("rows.jsonl")));
    }
    work_copy(MODEL, "bare");
    assert_true(file_remove(work("bare/model.safetensors")));
    RUN(&p, "generate", "--model", work("bare"), "--prompt", "Question");
    expect_error(&p, 2);
    expect_err(&p, "bare");
}

// ---- data ----

static void test_datasets(void **state)
{
    (void)state;
    static const char row[] = "{\"prompt\": \"a\", \"chosen\": \"x\", \"rejected\": \"y\"}\n";
    char text[256];
    // A gzip file that ends too soon.
    gzFile gz = gzopen(work("cut.jsonl.gz"), "wb");
    for (int i = 0; i < 50; i++)
        gzprintf(gz, "{\"prompt\": \"%d\", \"chosen\": \"x%d\", \"rejected\": \"y\"}\n", i, 7 * i);
    gzclose(gz);
    size_t len;
    char *bytes = file_read(work("cut.jsonl.gz"), 0, &len);
    assert_true(bytes && file_write_whole(work("cut.jsonl.gz"), bytes, len - 12));
    mem_free(bytes);
    RUN(&p, "eval", "--model", MODEL, "--dataset", work("cut.jsonl.gz"));
    expect_error(&p, 2);
    expect_err(&p, "cut.jsonl.gz");

    snprintf(text, sizeof text, "%s{\"prompt\": 1}\n", row);
    RUN(&p, "eval", "--model", MODEL, "--dataset", work_write("typed.jsonl", text));
    expect_error(&p, 2);
    expect_err(&p, "typed.jsonl");
    // All rows dropped: chosen and rejected are the same.
    RUN(&p, "eval", "--model", MODEL, "--dataset",
        work_write("same.jsonl", "{\"prompt\": \"a\", \"chosen\": \"x\", \"rejected\": \"x\"}\n"));
    expect_error(&p, 2);
    expect_err(&p, "same.jsonl");
    // Messages for a model that has no chat template.
    RUN(&p, "eval", "--model", MODEL, "--dataset",
        work_write(
            "chat.jsonl",
            "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}], \"chosen\": [{\"role\": "
            "\"assistant\", \"content\": \"x\"}], \"rejected\": [{\"role\": \"assistant\", "
            "\"content\": \"y\"}]}\n"));
    expect_error(&p, 2);
    expect_err(&p, "chat template");
}

static void test_prompts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "prompts.jsonl: no prompts"},
        {"{\"prompt\": 3}\n", "prompts.jsonl: line 1: expected an object with \"prompt\""},
        {"{\"prompt\": \"a\"}\n{\"text\": \"b\"}\n", "prompts.jsonl: line 2"},
        {"{\"prompt\": \"a\"}\nnot JSON\n", "prompts.jsonl: line 2"},
        {"{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}]}\n", "chat template"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RUN(&p, "generate", "--model", MODEL, "--prompts",
            work_write("prompts.jsonl", cases[i].text));
        expect_error(&p, 2);
        expect_err(&p, cases[i].message);
    }
    RUN(&p, "generate", "--model", MODEL, "--prompt", "\xFF\xFE");
    expect_error(&p, 2);
    RUN(&p, "generate", "--model", MODEL, "--prompt", ""); // a tokenizer without BOS
    expect_error(&p, 2);
    expect_err(&p, "the prompt is empty");
    RUN(&p, "generate", "--model", MODEL, "--prompt", "a", "--chat");
    expect_error(&p, 2);
    expect_err(&p, "chat template");
    RUN(&p, "generate", "--model", work("absent"), "--prompt", "a");
    expect_error(&p, 2);
    expect_err(&p, "absent is not a folder with a model");
}

static void test_disk_full(void **state)
{
    (void)state;
    RUN(&p, "eval", "--model", MODEL, "--dataset", PREFS, "--per_row", "/dev/full");
    expect_error(&p, 1);
    expect_err(&p, "/dev/full");
}

static int init(void **state)
{
    (void)state;
    work_init("bad-input");
    return 0;
}

static int finish(void **state)
{
    (void)state;
    process_finish(&p);
    work_finish();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configuration),  cmocka_unit_test(test_flags),
        cmocka_unit_test(test_output_dir),     cmocka_unit_test(test_config_json),
        cmocka_unit_test(test_tokenizer_json), cmocka_unit_test(test_weights),
        cmocka_unit_test(test_datasets),       cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_disk_full),
    };
    return cmocka_run_group_tests(tests, init, finish);
}
