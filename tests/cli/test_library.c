// The public C API: every function, and the errors of each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process.h"

#include <stdio.h>
#include <string.h>
#include <trdpo/trdpo.h>

#define MODEL TEST_FIXTURES "/tiny-gqa"
#define MODEL_REF TEST_FIXTURES "/tiny-gqa-ref"
#define PREFS TEST_FIXTURES "/prefs.jsonl"

static struct trdpo_device *device;

static void expect_status(enum trdpo_status status, enum trdpo_status want)
{
    if (status != want) fail_msg("status %d, not %d: %s", status, want, trdpo_last_error());
}

static void test_devices(void **state)
{
    (void)state;
    struct trdpo_device_list *list;
    expect_status(trdpo_device_list_open(&list), TRDPO_OK);
    assert_true(trdpo_device_list_count(list) > 0);
    for (size_t i = 0; i < trdpo_device_list_count(list); i++) {
        struct trdpo_device_info info = trdpo_device_list_at(list, i);
        assert_true(*info.name && *info.driver && *info.kind);
        assert_int_equal(info.index, i);
        assert_true(info.free_bytes <= info.memory_bytes);
    }
    trdpo_device_list_close(list);
    trdpo_device_list_close(NULL);
    struct trdpo_device *none;
    assert_int_not_equal(trdpo_device_open("no such device", &none), TRDPO_OK);
    assert_null(none);
    assert_non_null(strstr(trdpo_last_error(), "no such device"));
    assert_non_null(strchr(trdpo_version(), '.'));
}

// ---- training ----

static bool count_lines(void *ctx, const char *json)
{
    assert_true(json[0] == '{' && strstr(json, "\"rewards/margins\""));
    return ++*(int *)ctx < 3; // after three lines, enough
}

static void test_train(void **state)
{
    (void)state;
    int lines = 0;
    const char *const options[] = {
        "model_name_or_path", MODEL, "dataset_name", PREFS, "output_dir", work("r"),
        "logging_steps",      "1",   "max_steps",    "50",  NULL};
    struct trdpo_train_params params = {
        .options = options, .on_metrics = count_lines, .ctx = &lines};
    expect_status(trdpo_train(device, &params), TRDPO_STOPPED);
    assert_int_equal(lines, 3);
    // It was saved, and the folder is not given to another run.
    expect_status(trdpo_train(device, &params), TRDPO_USER_ERROR);
    assert_non_null(strstr(trdpo_last_error(), "already holds a run"));
    params.config = work("absent.yaml");
    expect_status(trdpo_train(device, &params), TRDPO_USER_ERROR);
    assert_non_null(strstr(trdpo_last_error(), "absent.yaml"));
    const char *const odd[] = {"beta", NULL};
    params = (struct trdpo_train_params){.options = odd};
    expect_status(trdpo_train(device, &params), TRDPO_USER_ERROR);
}

// ---- evaluation ----

static void test_evaluate(void **state)
{
    (void)state;
    char *json;
    struct trdpo_evaluate_params params = {
        .model = MODEL, .dataset = PREFS, .ref_model = MODEL_REF};
    expect_status(trdpo_evaluate(device, &params, &json), TRDPO_OK);
    const char *loss = strstr(json, "\"eval_loss\": ");
    assert_non_null(loss);
    double value = 0;
    assert_int_equal(sscanf(loss, "\"eval_loss\": %lf", &value), 1);
    assert_true(value > 0.58574 && value < 0.58578); // tests/fixtures: 0.58576
    trdpo_string_free(json);
    params.model = NULL;
    expect_status(trdpo_evaluate(device, &params, &json), TRDPO_USER_ERROR);
    assert_null(json);
    params = (struct trdpo_evaluate_params){.model = MODEL, .dataset = PREFS, .beta = -1};
    expect_status(trdpo_evaluate(device, &params, &json), TRDPO_USER_ERROR);
    assert_non_null(strstr(trdpo_last_error(), "beta"));

    const char *const kto[] = {"method", "kto", "desirable_weight", "4", NULL};
    params = (struct trdpo_evaluate_params){.model = MODEL, .dataset = PREFS, .options = kto};
    expect_status(trdpo_evaluate(device, &params, &json), TRDPO_OK);
    // The model is its own reference: half a weight, 4 and 1.
    assert_non_null(strstr(json, "\"eval_loss\": 1.25,"));
    trdpo_string_free(json);
    const char *const bad[][3] = {{"learning_rate", "1", NULL}, {"method", NULL, NULL}};
    for (size_t i = 0; i < 2; i++) {
        params.options = bad[i];
        expect_status(trdpo_evaluate(device, &params, &json), TRDPO_USER_ERROR);
        assert_non_null(strstr(trdpo_last_error(), bad[i][0]));
    }
}

// ---- text ----

struct stream {
    char text[4096];
    int calls, limit;
};

static bool on_text(void *ctx, const char *text, size_t len)
{
    struct stream *s = ctx;
    strncat(s->text, text, len);
    return ++s->calls != s->limit;
}

static void test_generate(void **state)
{
    (void)state;
    struct trdpo_model *model;
    char *text, *again;
    expect_status(trdpo_model_open(device, work("absent"), &model), TRDPO_USER_ERROR);
    assert_null(model);
    expect_status(trdpo_model_open(device, MODEL, &model), TRDPO_OK);
    expect_status(trdpo_generate(model, "Question: what", NULL, &text), TRDPO_OK);
    assert_true(strlen(text) > 0);

    struct stream s = {.limit = -1};
    struct trdpo_generate_params params = {.on_text = on_text, .ctx = &s};
    expect_status(trdpo_generate(model, "Question: what", &params, &again), TRDPO_OK);
    assert_string_equal(again, text);
    assert_string_equal(s.text, text);
    trdpo_string_free(again);

    s = (struct stream){.limit = 2};
    expect_status(trdpo_generate(model, "Question: what", &params, &again), TRDPO_STOPPED);
    assert_string_equal(again, s.text);
    assert_true(strlen(again) < strlen(text) && strncmp(again, text, strlen(again)) == 0);
    trdpo_string_free(again);
    trdpo_string_free(text);

    params = (struct trdpo_generate_params){.temperature = -1};
    expect_status(trdpo_generate(model, "a", &params, &text), TRDPO_USER_ERROR);
    assert_null(text);
    expect_status(trdpo_generate(model, "", NULL, &text), TRDPO_USER_ERROR);
    params = (struct trdpo_generate_params){.chat = true};
    expect_status(trdpo_generate(model, "a", &params, &text), TRDPO_USER_ERROR);
    assert_non_null(strstr(trdpo_last_error(), "chat template"));
    trdpo_model_close(model);
    trdpo_model_close(NULL);
}

static int init(void **state)
{
    (void)state;
    work_init("library");
    if (trdpo_device_open(NULL, &device) != TRDPO_OK) {
        print_message("%s\n", trdpo_last_error());
        return -1;
    }
    return 0;
}

static int finish(void **state)
{
    (void)state;
    trdpo_device_close(device);
    work_finish();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_train),
        cmocka_unit_test(test_evaluate),
        cmocka_unit_test(test_generate),
    };
    return cmocka_run_group_tests(tests, init, finish);
}
