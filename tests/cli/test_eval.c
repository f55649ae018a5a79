// `eval` under other methods and losses than DPO's: what it prints follows from the log-probs that
// PyTorch has for each row (expected.json) by the formulas of the losses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "process.h"

#include <math.h>
#include <string.h>

#define MODEL TEST_FIXTURES "/tiny-gqa"
#define MODEL_REF TEST_FIXTURES "/tiny-gqa-ref"
#define PREFS TEST_FIXTURES "/prefs.jsonl"
#define ROWS 16
#define BETA 0.1

static struct process p;

// The fixtures' rows.
static struct row {
    double chosen, rejected, ref_chosen, ref_rejected, chosen_tokens, rejected_tokens;
} rows[ROWS];
static double sft_loss;

static double number(const cJSON *object, const char *name)
{
    double value = NAN;
    if (!json_get_double(object, name, &value) || isnan(value)) fail_msg("%s is no number", name);
    return value;
}

static cJSON *output(void)
{
    expect_code(&p, 0);
    cJSON *json = json_parse(p.out, strlen(p.out), "standard output");
    if (!json) fail_msg("not JSON: %s", p.out);
    return json;
}

static void expect_near(const cJSON *have, const char *name, double want)
{
    double value = number(have, name), scale = fabs(want) > 1 ? fabs(want) : 1;
    if (!(fabs(value - want) <= 2e-5 * scale)) fail_msg("%s: %.9g, not %.9g", name, value, want);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void expect_absent(const cJSON *have, const char *name)
{
    if (json_get(have, name)) fail_msg("%s is there", name);
}

static void losses_of_pairs(void **state)
{
    (void)state;
    double ipo = 0, hinge = 0, apo_down = 0;
    for (int i = 0; i < ROWS; i++) {
        double u_w = rows[i].chosen - rows[i].ref_chosen;
        double u_l = rows[i].rejected - rows[i].ref_rejected;
        double mean = u_w / rows[i].chosen_tokens - u_l / rows[i].rejected_tokens;
        ipo += pow(mean - 1 / (2 * BETA), 2) / ROWS;
        hinge += fmax(0, 1 - BETA * (u_w - u_l)) / ROWS;
        apo_down += (sigmoid(BETA * u_w) + 1 - sigmoid(BETA * (u_w - u_l))) / ROWS;
    }
    const struct {
        const char *type, *weights;
        double want;
    } cases[] = {{"ipo", "1", ipo},
                 {"hinge", "2", 2 * hinge},
                 {"hinge,apo_down", "0.5,3", 0.5 * hinge + 3 * apo_down}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RUN(&p, "eval", "--model", MODEL, "--ref_model", MODEL_REF, "--dataset", PREFS,
            "--loss_type", cases[i].type, "--loss_weights", cases[i].weights);
        cJSON *json = output();
        expect_near(json, "eval_loss", cases[i].want);
        cJSON_Delete(json);
    }
    // Without a reference the model is its own, and D = 0.
    RUN(&p, "eval", "--model", MODEL, "--dataset", PREFS, "--loss_type", "ipo_sum", "--beta",
        "0.25");
    cJSON *json = output();
    expect_near(json, "eval_loss", 4);
    cJSON_Delete(json);
}

static void cpo(void **state)
{
    (void)state;
    double simpo = 0, nll = 0, tokens = 0, margins = 0;
    for (int i = 0; i < ROWS; i++) {
        double d =
            rows[i].chosen / rows[i].chosen_tokens - rows[i].rejected / rows[i].rejected_tokens;
        simpo += -log(sigmoid(BETA * d - 0.75)) / ROWS;
        margins += BETA * d / ROWS;
        nll -= rows[i].chosen;
        tokens += rows[i].chosen_tokens;
    }
    RUN(&p, "eval", "--model", MODEL, "--dataset", PREFS, "--method", "cpo", "--loss_type", "simpo",
        "--simpo_gamma", "0.75", "--cpo_alpha", "0.5", "--batch_size", "16", "--per_row",
        work("cpo.jsonl"));
    cJSON *json = output();
    expect_near(json, "eval_loss", simpo + 0.5 * nll / tokens);
    expect_near(json, "eval_nll_loss", nll / tokens);
    expect_near(json, "eval_rewards/margins", margins);
    expect_absent(json, "eval_logps/ref_chosen");
    expect_absent(json, "eval_kl/reference");
    cJSON_Delete(json);
    struct file_lines lines;
    const char *line;
    size_t len = 0;
    assert_true(file_lines_open(&lines, work("cpo.jsonl")));
    assert_true(file_lines_next(&lines, &line, &len) && line);
    json = json_parse(line, len, "row");
    assert_non_null(json);
    expect_near(json, "logps/rejected", rows[0].rejected);
    expect_absent(json, "logps/ref_rejected");
    cJSON_Delete(json);
    file_lines_close(&lines);
}

static void texts(void **state)
{
    (void)state;
    RUN(&p, "eval", "--model", MODEL, "--dataset", PREFS, "--method", "sft", "--per_row",
        work("sft.jsonl"));
    cJSON *json = output();
    expect_near(json, "eval_loss", sft_loss);
    expect_absent(json, "eval_rewards/margins");
    cJSON_Delete(json);
    struct file_lines lines;
    const char *line;
    size_t len = 0;
    assert_true(file_lines_open(&lines, work("sft.jsonl")));
    for (int i = 0; i < ROWS; i++) {
        assert_true(file_lines_next(&lines, &line, &len) && line);
        json = json_parse(line, len, "row");
        assert_non_null(json);
        expect_near(json, "row", i);
        expect_near(json, "logps/completion", rows[i].chosen);
        expect_near(json, "completion_tokens", rows[i].chosen_tokens);
        cJSON_Delete(json);
    }
    file_lines_close(&lines);
}

// Loss of the fixtures' rows, each taken apart into two, by KTO's formula.
static double kto_loss(double kl, double desirable, double undesirable)
{
    double sum = 0;
    for (int i = 0; i < ROWS; i++) {
        double u_w = rows[i].chosen - rows[i].ref_chosen;
        double u_l = rows[i].rejected - rows[i].ref_rejected;
        sum += desirable * (1 - sigmoid(BETA * (u_w - kl)));
        sum += undesirable * (1 - sigmoid(BETA * (kl - u_l)));
    }
    return sum / (2 * ROWS);
}

static void kto(void **state)
{
    (void)state;
    double chosen = 0, rejected = 0;
    for (int i = 0; i < ROWS; i++) {
        chosen += BETA * (rows[i].chosen - rows[i].ref_chosen) / ROWS;
        rejected += BETA * (rows[i].rejected - rows[i].ref_rejected) / ROWS;
    }
    RUN(&p, "eval", "--model", MODEL, "--ref_model", MODEL_REF, "--dataset", PREFS, "--method",
        "kto", "--loss_type", "apo_zero_unpaired", "--undesirable_weight", "3", "--per_row",
        work("kto.jsonl"));
    cJSON *json = output();
    expect_near(json, "eval_loss", kto_loss(0, 1, 3));
    expect_near(json, "eval_rewards/chosen", chosen);
    expect_near(json, "eval_rewards/rejected", rejected);
    expect_near(json, "eval_rewards/margins", chosen - rejected);
    expect_absent(json, "eval_rewards/accuracies");
    cJSON_Delete(json);
    // All rows as one batch have one KL, which is part of what is printed.
    RUN(&p, "eval", "--model", MODEL, "--ref_model", MODEL_REF, "--dataset", PREFS, "--method",
        "kto", "--batch_size", "32");
    json = output();
    double kl = number(json, "eval_kl"), loss = number(json, "eval_loss");
    assert_true(kl >= 0);
    expect_near(json, "eval_loss", kto_loss(kl, 1, 1));
    cJSON_Delete(json);
    // In smaller batches each has its own.
    RUN(&p, "eval", "--model", MODEL, "--ref_model", MODEL_REF, "--dataset", PREFS, "--method",
        "kto", "--batch_size", "4");
    json = output();
    assert_true(number(json, "eval_kl") != kl && number(json, "eval_loss") != loss);
    cJSON_Delete(json);

    struct file_lines lines;
    const char *line;
    size_t len = 0;
    int desirable = 0, count = 0;
    assert_true(file_lines_open(&lines, work("kto.jsonl")));
    while (file_lines_next(&lines, &line, &len) && line) {
        json = json_parse(line, len, "row");
        assert_non_null(json);
        int row = (int)number(json, "row");
        assert_true(row >= 0 && row < ROWS);
        bool label = cJSON_IsTrue(json_get(json, "label"));
        double logp = label ? rows[row].chosen : rows[row].rejected;
        double ref = label ? rows[row].ref_chosen : rows[row].ref_rejected;
        expect_near(json, "logps/completion", logp);
        expect_near(json, "logps/ref_completion", ref);
        expect_near(json, "rewards/completion", BETA * (logp - ref));
        expect_near(json, "loss",
                    label ? 1 - sigmoid(BETA * (logp - ref)) : 3 * sigmoid(BETA * (logp - ref)));
        desirable += label;
        count++;
        cJSON_Delete(json);
    }
    file_lines_close(&lines);
    assert_int_equal(count, 2 * ROWS);
    assert_int_equal(desirable, ROWS);
}

// What a run's last evaluation writes is what `generate` makes of the model that it leaves.
static void texts_of_a_run(void **state)
{
    (void)state;
    static const char *const temperatures[] = {"0", "1.2"};
    work_write("prompts.jsonl", "{\"prompt\": \"Question: what\"}\n{\"prompt\": \"the\"}\n");
    for (int t = 0; t < 2; t++) {
        RUN(&p, "train", "--model_name_or_path", MODEL, "--dataset_name", PREFS,
            "--eval_dataset_name", PREFS, "--max_steps", "2", "--learning_rate", "1e-3",
            "--output_dir", work("run"), "--overwrite_output_dir", "true", "--eval_prompts",
            work("prompts.jsonl"), "--eval_max_new_tokens", "9", "--eval_temperature",
            temperatures[t], "--seed", "5");
        expect_code(&p, 0);
        RUN(&p, "generate", "--model", work("run"), "--prompts", work("prompts.jsonl"), "--json",
            "--max_new_tokens", "9", "--temperature", temperatures[t], "--seed", "5");
        expect_code(&p, 0);
        struct file_lines lines;
        const char *line, *made = p.out;
        size_t len = 0;
        assert_true(file_lines_open(&lines, work("run/generations.jsonl")));
        for (int i = 0; i < 2; i++) {
            assert_true(file_lines_next(&lines, &line, &len) && line);
            const char *end = strchr(made, '\n');
            assert_non_null(end);
            cJSON *a = json_parse(line, len, "line");
            cJSON *b = json_parse(made, (size_t)(end - made), "line");
            const char *written = NULL, *generated = NULL;
            assert_true(a && json_get_string(a, "completion", &written) && written && *written);
            assert_true(b && json_get_string(b, "text", &generated) && generated);
            assert_string_equal(written, generated);
            cJSON_Delete(a);
            cJSON_Delete(b);
            made = end + 1;
        }
        file_lines_close(&lines);
    }
}

static void contradictions(void **state)
{
    (void)state;
    const struct {
        const char *const words[4];
        const char *told;
    } cases[] = {
        {{"--method", "cpo", "--ref_model", MODEL_REF}, "the loss has none"},
        {{"--method", "sft", "--loss_type", "ipo"}, "method sft has one loss"},
        {{"--loss_type", "kto", "--beta", "1"}, "method kto"},
        {{"--loss_type", "bco_pair", "--label_smoothing", "0.1"}, "label_smoothing"},
        {{"--loss_type", "sigmoids", "--beta", "1"}, "sigmoids"},
        {{"--method", "kto", "--batch_size", "1"}, "batch_size"},
        {{"--ld_alpha", "2", "--beta", "1"}, "ld_alpha"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RUN(&p, "eval", "--model", MODEL, "--dataset", PREFS, cases[i].words[0], cases[i].words[1],
            cases[i].words[2], cases[i].words[3]);
        expect_error(&p, 2);
        expect_err(&p, cases[i].told);
    }
    RUN(&p, "eval", "--model", MODEL, "--dataset", PREFS, "--learning_rate", "1");
    expect_error(&p, 2);
}

static int begin(void **state)
{
    (void)state;
    work_init("test_eval.work");
    cJSON *expected = json_parse_file(MODEL "/expected.json", 0);
    if (!expected) return 1;
    sft_loss = number(json_get(expected, "sft"), "loss");
    const cJSON *row = json_get(expected, "rows")->child;
    for (int i = 0; i < ROWS; i++, row = row->next)
        rows[i] = (struct row){number(row, "logps/chosen"),     number(row, "logps/rejected"),
                               number(row, "logps/ref_chosen"), number(row, "logps/ref_rejected"),
                               number(row, "chosen_tokens"),    number(row, "rejected_tokens")};
    cJSON_Delete(expected);
    return 0;
}

static int end(void **state)
{
    (void)state;
    process_finish(&p);
    work_finish();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_of_pairs), cmocka_unit_test(cpo),
        cmocka_unit_test(texts),           cmocka_unit_test(kto),
        cmocka_unit_test(texts_of_a_run),  cmocka_unit_test(contradictions),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
