// The commands at work on a tiny model: what they print, write and end with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "process.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL TEST_FIXTURES "/tiny-gqa"
#define MODEL_REF TEST_FIXTURES "/tiny-gqa-ref"
#define CHAT_MODEL TEST_FIXTURES "/tiny-llama3"
#define PREFS TEST_FIXTURES "/prefs.jsonl"

static struct process p;

static cJSON *parse_output(void)
{
    cJSON *json = json_parse(p.out, strlen(p.out), "standard output");
    if (!json) fail_msg("not JSON: %s", p.out);
    return json;
}

static double number(const cJSON *object, const char *name)
{
    double value = NAN;
    if (!json_get_double(object, name, &value)) fail_msg("%s is no number", name);
    if (isnan(value)) fail_msg("%s is missing", name);
    return value;
}

static void test_devices(void **state)
{
    (void)state;
    RUN(&p, "devices", "--json");
    expect_code(&p, 0);
    cJSON *json = parse_output();
    const cJSON *devices = json_get(json, "devices");
    assert_true(cJSON_GetArraySize(devices) > 0);
    char *name = mem_strdup(json_get(devices->child, "name")->valuestring);
    assert_true(number(devices->child, "memory_bytes") > 1e6);
    cJSON_Delete(json);
    RUN(&p, "devices");
    expect_code(&p, 0);
    expect_out(&p, name);
    mem_free(name);
}

static void test_doctor(void **state)
{
    (void)state;
    RUN(&p, "doctor", "--op", "rmsnorm");
    expect_code(&p, 0);
    expect_out(&p, "pass");
    expect_out(&p, " 0 failed");
    RUN(&p, "doctor", "--op", "no_such_operation");
    expect_code(&p, 2);
}

static void test_bench_step(void **state)
{
    (void)state;
    RUN(&p, "bench", "step", "--model", MODEL, "--runs", "1", "--pairs", "1", "--json", "--dtype",
        "bf16", "--gradient_dtype", "bf16", "--optim", "adamw_8bit");
    expect_code(&p, 0);
    cJSON *line = parse_output();
    assert_string_equal(json_get(line, "name")->valuestring, "step");
    assert_string_equal(json_get(line, "dtype")->valuestring, "bf16 grads");
    assert_true(number(line, "bytes") > 1e6 && number(line, "peak_bytes") > 1e6);
    cJSON_Delete(line);
    RUN(&p, "bench", "step", "--model", MODEL, "--gradient_dtype", "bf16");
    expect_error(&p, 2);
    expect_err(&p, "--gradient_dtype: bf16 goes with --dtype bf16");
    RUN(&p, "bench", "adamv");
    expect_error(&p, 2);
    expect_err(&p, "no benchmark is called 'adamv': did you mean adamw");
}

// ---- init ----

static void test_init(void **state)
{
    (void)state;
    const char *arch = MODEL "/config.json";
    static const char *const seeds[] = {"1", "1", "2"};
    static const char *const names[] = {"seed1", "seed1-again", "seed2"};
    char *weights[3];
    size_t len[3];
    for (int i = 0; i < 3; i++) {
        char file[64];
        RUN(&p, "init", "--arch", arch, "--tokenizer", MODEL, "--output", work(names[i]), "--seed",
            seeds[i]);
        expect_code(&p, 0);
        snprintf(file, sizeof file, "%s/model.safetensors", names[i]);
        weights[i] = file_read(work(file), 0, &len[i]);
        assert_non_null(weights[i]);
    }
    assert_true(len[0] == len[1] && memcmp(weights[0], weights[1], len[0]) == 0);
    assert_true(len[0] == len[2] && memcmp(weights[0], weights[2], len[0]) != 0);
    for (int i = 0; i < 3; i++)
        mem_free(weights[i]);
    // What is there is not replaced unasked.
    RUN(&p, "init", "--arch", arch, "--tokenizer", MODEL, "--output", work("seed1"));
    expect_error(&p, 2);
    expect_err(&p, "--overwrite");
    RUN(&p, "init", "--arch", arch, "--tokenizer", MODEL, "--output", work("seed1"), "--overwrite");
    expect_code(&p, 0);
    // And it is a model: every command takes it.
    RUN(&p, "generate", "--model", work("seed2"), "--prompt", "Question", "--max_new_tokens", "4");
    expect_code(&p, 0);
}

// ---- eval ----

static void expect_near(const cJSON *have, const char *name, double want)
{
    double value = number(have, name), scale = fabs(want) > 1 ? fabs(want) : 1;
    if (!(fabs(value - want) <= 2e-5 * scale)) fail_msg("%s: %.9g, not %.9g", name, value, want);
}

static void test_eval(void **state)
{
    (void)state;
    static const char *const means[] = {"loss",
                                        "rewards/chosen",
                                        "rewards/rejected",
                                        "rewards/accuracies",
                                        "rewards/margins",
                                        "logps/chosen",
                                        "logps/rejected",
                                        "entropy"};
    static const char *const per_row[] = {"row",
                                          "prompt_tokens",
                                          "chosen_tokens",
                                          "rejected_tokens",
                                          "logps/chosen",
                                          "logps/rejected",
                                          "logps/ref_chosen",
                                          "logps/ref_rejected",
                                          "rewards/chosen",
                                          "rewards/rejected"};
    cJSON *expected = json_parse_file(MODEL "/expected.json", 0);
    assert_non_null(expected);
    RUN(&p, "eval", "--model", MODEL, "--ref_model", MODEL_REF, "--dataset", PREFS, "--per_row",
        work("rows.jsonl"));
    expect_code(&p, 0);
    cJSON *json = parse_output();
    assert_true(number(json, "eval_rows") == 16 && number(json, "eval_dropped") == 0);
    for (size_t i = 0; i < sizeof means / sizeof *means; i++) {
        char name[64];
        snprintf(name, sizeof name, "eval_%s", means[i]);
        expect_near(json, name, number(json_get(expected, "dpo"), means[i]));
    }
    cJSON_Delete(json);

    struct file_lines lines;
    const char *line;
    size_t len, count = 0;
    assert_true(file_lines_open(&lines, work("rows.jsonl")));
    const cJSON *row = json_get(expected, "rows")->child;
    while (file_lines_next(&lines, &line, &len) && line) {
        cJSON *have = json_parse(line, len, "row");
        assert_non_null(have);
        assert_non_null(row);
        for (size_t i = 0; i < sizeof per_row / sizeof *per_row; i++)
            expect_near(have, per_row[i], number(row, per_row[i]));
        cJSON_Delete(have);
        row = row->next;
        count++;
    }
    assert_int_equal(count, 16);
    file_lines_close(&lines);
    cJSON_Delete(expected);
}

// Without a reference the model is its own: rewards 0, loss ln 2.
static void test_eval_alone(void **state)
{
    (void)state;
    RUN(&p, "eval", "--model", MODEL, "--dataset", PREFS, "--beta", "0.3");
    expect_code(&p, 0);
    cJSON *json = parse_output();
    assert_true(number(json, "eval_rewards/margins") == 0);
    assert_true(number(json, "eval_rewards/accuracies") == 0);
    expect_near(json, "eval_loss", log(2));
    cJSON_Delete(json);
}

static void test_eval_shape(void **state)
{
    (void)state;
    RUN(&p, "eval", "--model", MODEL, "--ref_model", CHAT_MODEL, "--dataset", PREFS);
    expect_error(&p, 2);
    expect_err(&p, "has another shape");
}

// ---- generate ----

static void test_generate_repeats(void **state)
{
    (void)state;
    static const char *const settings[][2] = {{"--temperature", "0"}, {"--temperature", "1.5"}};
    for (size_t i = 0; i < 2; i++) {
        RUN(&p, "generate", "--model", MODEL, "--prompt", "Question: what about", settings[i][0],
            settings[i][1], "--seed", "7");
        expect_code(&p, 0);
        assert_true(strlen(p.out) > 1);
        char *first = mem_strdup(p.out);
        RUN(&p, "generate", "--model", MODEL, "--prompt", "Question: what about", settings[i][0],
            settings[i][1], "--seed", "7");
        assert_string_equal(p.out, first);
        mem_free(first);
    }
}

// Another seed, another text; top_k 1 is greedy whatever the temperature.
static void test_generate_settings(void **state)
{
    (void)state;
    static const char *const seeds[] = {"1", "2"};
    char *texts[2];
    for (int i = 0; i < 2; i++) {
        RUN(&p, "generate", "--model", MODEL, "--prompt", "Question", "--temperature", "2",
            "--seed", seeds[i]);
        expect_code(&p, 0);
        texts[i] = mem_strdup(p.out);
    }
    assert_string_not_equal(texts[0], texts[1]);
    RUN(&p, "generate", "--model", MODEL, "--prompt", "Question");
    char *greedy = mem_strdup(p.out);
    RUN(&p, "generate", "--model", MODEL, "--prompt", "Question", "--temperature", "2", "--top_k",
        "1");
    assert_string_equal(p.out, greedy);
    RUN(&p, "generate", "--model", MODEL, "--prompt", "Question", "--temperature", "1", "--top_p",
        "1e-6");
    assert_string_equal(p.out, greedy);
    mem_free(greedy);
    for (int i = 0; i < 2; i++)
        mem_free(texts[i]);
}

// One JSON object a prompt, in their order; the text of each is what the prompt alone gives, and
// what its ids decode to.
static void test_generate_many(void **state)
{
    (void)state;
    static const char *const prompts[] = {"Question: what about",
                                          "The river",
                                          "a",
                                          "Question: the night train moves and",
                                          "b",
                                          "c",
                                          "d",
                                          "e",
                                          "my garden",
                                          "a small boat"};
    enum { COUNT = sizeof prompts / sizeof *prompts };
    char text[1024] = "";
    for (int i = 0; i < COUNT; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "{\"prompt\": \"%s\"}\n",
                 prompts[i]);
    RUN(&p, "generate", "--model", MODEL, "--prompts", work_write("prompts.jsonl", text), "--json",
        "--max_new_tokens", "24");
    expect_code(&p, 0);
    char *all = mem_strdup(p.out);
    char *line = all;
    for (int i = 0; i < COUNT; i++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        cJSON *json = json_parse(line, (size_t)(end - line), "line");
        assert_non_null(json);
        assert_string_equal(json_get(json, "prompt")->valuestring, prompts[i]);
        const char *reason = json_get(json, "finish_reason")->valuestring;
        int ids = cJSON_GetArraySize(json_get(json, "ids"));
        assert_true(strcmp(reason, "stop") == 0 ? ids < 24 : strcmp(reason, "length") == 0);
        if (strcmp(reason, "length") == 0) assert_int_equal(ids, 24);
        if (i < 4) { // alone
            RUN(&p, "generate", "--model", MODEL, "--prompt", prompts[i], "--max_new_tokens", "24");
            expect_code(&p, 0);
            p.out[strlen(p.out) - 1] = 0; // the newline behind the text
            assert_string_equal(p.out, json_get(json, "text")->valuestring);
        }
        char *printed = json_print(json_get(json, "ids"), false);
        char input[1024];
        snprintf(input, sizeof input, "{\"ids\": %s}\n", printed);
        RUN_INPUT(&p, input, "tokenize", "--model", MODEL, "--decode");
        cJSON *decoded = parse_output();
        assert_string_equal(json_get(decoded, "text")->valuestring,
                            json_get(json, "text")->valuestring);
        mem_free(printed);
        cJSON_Delete(decoded);
        cJSON_Delete(json);
        line = end + 1;
    }
    assert_string_equal(line, "");
    mem_free(all);
}

static void test_generate_chat(void **state)
{
    (void)state;
    RUN(&p, "generate", "--model", CHAT_MODEL, "--prompt", "hello", "--chat", "--json",
        "--max_new_tokens", "8");
    expect_code(&p, 0);
    char *by_option = mem_strdup(strstr(p.out, "\"text\""));
    RUN(&p, "generate", "--model", CHAT_MODEL, "--json", "--max_new_tokens", "8", "--prompts",
        work_write("chat.jsonl", "{\"prompt\": [{\"role\": \"user\", \"content\": \"hello\"}]}\n"));
    expect_code(&p, 0);
    assert_string_equal(strstr(p.out, "\"text\""), by_option);
    mem_free(by_option);
}

// ---- train ----

static void test_train(void **state)
{
    (void)state;
    RUN(&p, "train", "--model_name_or_path", MODEL, "--dataset_name", PREFS, "--output_dir",
        work("run"), "--max_steps", "3", "--logging_steps", "1", "--learning_rate", "1e-3",
        "--ref_model_sync_steps=1", "--profile");
    expect_code(&p, 0);
    assert_string_equal(p.out, "");
    expect_err(&p, "self-check passed");
    expect_err(&p, "adamw"); // of the profile's table
    expect_err(&p, "scored tokens stand in [[ ]]");
    size_t len;
    char *metrics = file_read(work("run/metrics.jsonl"), 0, &len);
    assert_non_null(metrics);
    assert_non_null(strstr(metrics, "\"ref_updates\": 3"));
    mem_free(metrics);
    assert_true(file_exists(work("run/checkpoint-3/reference.safetensors")));
    RUN(&p, "eval", "--model", work("run"), "--ref_model", MODEL, "--dataset", PREFS);
    expect_code(&p, 0);
    cJSON *json = parse_output();
    assert_true(number(json, "eval_rewards/margins") > 0); // trained on these very rows
    cJSON_Delete(json);
    RUN(&p, "train", "--model_name_or_path", MODEL, "--dataset_name", PREFS, "--output_dir",
        work("run"), "--max_steps", "3");
    expect_error(&p, 2);
    RUN(&p, "--quiet", "train", "--method", "sft", "--model_name_or_path", MODEL, "--dataset_name",
        PREFS, "--output_dir", work("run"), "--max_steps", "1", "--overwrite_output_dir");
    expect_code(&p, 0);
    assert_string_equal(p.err, "");
}

// SIGTERM saves and ends with 143; the run goes on from there.
static void test_train_stopped(void **state)
{
    (void)state;
    char run[512], metrics[512];
    snprintf(run, sizeof run, "%s", work("stopped"));
    snprintf(metrics, sizeof metrics, "%s", work("stopped/metrics.jsonl"));
    run_program_until(&p, metrics, SIGTERM, "train", "--model_name_or_path", MODEL,
                      "--dataset_name", PREFS, "--output_dir", run, "--max_steps", "100000",
                      "--logging_steps", "1", "--save_steps", "0", NULL);
    expect_code(&p, 128 + SIGTERM);
    expect_err(&p, "resume_from_checkpoint");
    assert_null(strstr(p.err, "error"));
    const char *at = strstr(p.err, "checkpoint-");
    int step = 0;
    char steps[32];
    assert_true(at && sscanf(at, "checkpoint-%d", &step) == 1 && step > 0);
    assert_false(file_exists(work("stopped/model.safetensors")));
    snprintf(steps, sizeof steps, "%d", step + 2);
    RUN(&p, "train", "--model_name_or_path", MODEL, "--dataset_name", PREFS, "--output_dir", run,
        "--max_steps", steps, "--logging_steps", "1", "--resume_from_checkpoint");
    expect_code(&p, 0);
    expect_err(&p, "resuming from");
    assert_true(file_exists(work("stopped/model.safetensors")));
}

static int init(void **state)
{
    (void)state;
    work_init("commands");
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
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_doctor),
        cmocka_unit_test(test_bench_step),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_eval),
        cmocka_unit_test(test_eval_alone),
        cmocka_unit_test(test_eval_shape),
        cmocka_unit_test(test_generate_repeats),
        cmocka_unit_test(test_generate_settings),
        cmocka_unit_test(test_generate_many),
        cmocka_unit_test(test_generate_chat),
        cmocka_unit_test(test_train),
        cmocka_unit_test(test_train_stopped),
    };
    return cmocka_run_group_tests(tests, init, finish);
}
