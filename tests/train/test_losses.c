// Six optimiser steps with every loss and option, against TRL and against PyTorch in float64.
//
// The runs are those of tests/fixtures/losses/tiny/expected.json; each fails for itself, so that
// one fault does not hide another.
#include "trial.h"

#include "../common/device.h"
#include "../common/scratch.h"

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

#define FIXTURE "losses/tiny"
#define LIMIT 3e-4 // of the change of the weights

static cJSON *expected;
static struct hf_tensors *start_policy, *start_reference;

// ---- a run ----

struct attempt {
    const char *name;
    struct trial t;
    int faults;
};

static void near(struct attempt *a, const char *what, int step, int row, double got, double want)
{
    // Log-probs are sums of about 100; TRL and we have them in float32.
    if (fabs(got - want) <= 2e-4 * fabs(want) + 5e-5) return;
    // The first few tell enough.
    if (++a->faults > 6) return;
    char place[32] = "";
    if (row >= 0) snprintf(place, sizeof place, ", row %d", row);
    print_error("%s: step %d%s: %s is %.8g, should be %.8g\n", a->name, step, place, what, got,
                want);
}

static bool is_kto(const struct attempt *a)
{
    return a->t.config.method == TRAIN_KTO;
}

static double row_loss(const struct attempt *a, int i)
{
    const union train_row_metrics *row = &a->t.rows[i];
    return is_kto(a) ? (double)row->unpaired.loss : (double)row->pair.loss;
}

static void compare_rows(struct attempt *a, const cJSON *rows)
{
    assert_int_equal(cJSON_GetArraySize(rows), TRIAL_ROWS);
    for (int i = 0; i < TRIAL_ROWS; i++)
        near(a, "loss", 1, i, row_loss(a, i),
             fixture_number(cJSON_GetArrayItem(rows, i), "loss", NULL));
}

// The derivative by the log-prob of a sequence's tokens: all have that of the first, but for those
// that ld_alpha weighs.
static void compare_slopes(struct attempt *a, const cJSON *rows)
{
    const struct data_pack *pack = &a->t.stepper->pack;
    static const char *const members[2][2] = {{"dloss_dlogp/chosen", "dloss_dlogp/rejected"},
                                              {"dloss_dlogp", NULL}};
    uint32_t sides = is_kto(a) ? 1 : 2;
    if (pack->rows != TRIAL_ROWS) return; // in several passes; the last is left
    double want[2 * TRIAL_ROWS], largest = 0;
    for (uint32_t i = 0; i < sides * TRIAL_ROWS; i++) {
        const cJSON *row = cJSON_GetArrayItem(rows, (int)(i / sides));
        want[i] = fixture_number(row, members[sides == 1][i % sides], NULL);
        largest = fmax(largest, fabs(want[i]));
    }
    float *got = trial_dlogp(&a->t);
    for (uint32_t i = 0; i < sides * TRIAL_ROWS; i++) {
        uint32_t first = pack->sequence_first[i], end = pack->sequence_first[i + 1];
        if (a->t.config.ld_alpha < 1) end = first + 1;
        for (uint32_t k = first; k < end; k++)
            near(a, members[sides == 1][i % sides], 1, (int)(i / sides), (double)got[k] / largest,
                 want[i] / largest);
    }
    mem_free(got);
}

static void compare_step(struct attempt *a, const cJSON *want, int step)
{
    double loss = 0, kl = 0;
    for (int i = 0; i < TRIAL_ROWS; i++) {
        loss += row_loss(a, i) / TRIAL_ROWS;
        if (is_kto(a)) kl += (double)a->t.rows[i].unpaired.kl / TRIAL_ROWS;
    }
    near(a, "loss", step, -1, loss, fixture_number(want, "loss", NULL));
    near(a, "grad_norm", step, -1, (double)a->t.results.grad_norm,
         fixture_number(want, "grad_norm", NULL));
    if (is_kto(a)) near(a, "kl", step, -1, kl, fixture_number(want, "kl", NULL));
}

static double compare_weights(struct attempt *a, const struct model_weights *got,
                              const struct hf_tensors *start, const struct hf_tensors *end,
                              const char *what)
{
    char prefix[128];
    snprintf(prefix, sizeof prefix, "%s.%s.", a->name, what);
    double off = trial_change_off(got, start, end, prefix);
    if (off < LIMIT) return off;
    a->faults++;
    print_error("%s: %s is off by %.1e of its change\n", a->name, what, off);
    return off;
}

// Does a run of expected.json in passes of `tokens` (0: one pass), with `more` settings; returns
// the number of faults.
static int go(const cJSON *run, const struct hf_tensors *end, uint32_t tokens, const cJSON *more)
{
    const cJSON *steps = cJSON_GetObjectItem(run, "steps");
    struct attempt a = {.name = cJSON_GetObjectItem(run, "name")->valuestring};
    trial_open(&a.t, device,
               &(struct trial_params){.name = FIXTURE,
                                      .ref = "-ref",
                                      .tokens = tokens,
                                      .settings = {cJSON_GetObjectItem(expected, "training"),
                                                   cJSON_GetObjectItem(run, "settings"), more}});
    assert_int_equal(cJSON_GetArraySize(steps), TRIAL_STEPS);
    for (int step = 1; step <= TRIAL_STEPS; step++) {
        trial_step(&a.t, step);
        if (step == 1) {
            compare_rows(&a, cJSON_GetObjectItem(run, "rows"));
            compare_slopes(&a, cJSON_GetObjectItem(run, "rows"));
        }
        compare_step(&a, cJSON_GetArrayItem(steps, step - 1), step);
    }
    double policy = compare_weights(&a, &a.t.policy, start_policy, end, "policy");
    print_message("%-24s policy off by %.1e of its change", a.name, policy);
    if (a.t.config.sync_ref_model) {
        double reference = compare_weights(&a, &a.t.ref, start_reference, end, "reference");
        print_message(", reference by %.1e", reference);
    }
    print_message("%s\n", tokens ? " (in small passes)" : "");
    trial_close(&a.t);
    return a.faults;
}

// ---- the runs ----

static const char *text_of(const cJSON *run, const char *member)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(run, member);
    if (!cJSON_IsString(item)) fail_msg("expected.json: a run lacks '%s'", member);
    return item->valuestring;
}

static struct hf_tensors *open_ends(const char *file)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/losses/%s.safetensors", TEST_FIXTURES, file);
    struct hf_tensors *ends = hf_tensors_open(path);
    REQUIRE(ends);
    return ends;
}

static void all_of(const char *file)
{
    struct hf_tensors *ends = open_ends(file);
    int runs = 0, faulty = 0;
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItem(expected, "runs"))
    {
        if (strcmp(text_of(run, "file"), file) != 0) continue;
        runs++;
        faulty += go(run, ends, 0, NULL) > 0;
    }
    hf_tensors_close(ends);
    assert_true(runs > 0);
    if (faulty) fail_msg("%d of %d runs differ", faulty, runs);
}

static void one(const char *name, uint32_t tokens, const char *settings)
{
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItem(expected, "runs"))
    {
        if (strcmp(text_of(run, "name"), name) != 0) continue;
        struct hf_tensors *ends = open_ends(text_of(run, "file"));
        cJSON *more = settings ? cJSON_Parse(settings) : NULL;
        int faults = go(run, ends, tokens, more);
        cJSON_Delete(more);
        hf_tensors_close(ends);
        if (faults) fail_msg("%s differs", name);
        return;
    }
    fail_msg("expected.json has no run '%s'", name);
}

static void pairs_of_trl(void **state)
{
    (void)state;
    all_of("dpo");
}

static void unpaired_of_trl(void **state)
{
    (void)state;
    all_of("kto");
}

static void reference_free_of_trl(void **state)
{
    (void)state;
    all_of("cpo");
}

static void what_trl_lacks(void **state)
{
    (void)state;
    all_of("torch");
}

// Losses of the whole batch see all of it, into however many passes the budget cuts it.
static void in_small_passes(void **state)
{
    (void)state;
    static const char *const names[] = {"tr_aot",          "aot_unpaired", "sft", "list_torch",
                                        "tr_list",         "two_batches",  "kto", "tr_kto",
                                        "kto_two_batches", "cpo_simpo_nll"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        one(names[i], 192, NULL);
}

// Settings that come to the same as others.
static void one_loss_by_two_names(void **state)
{
    (void)state;
    one("sigmoid", 0,
        "{\"f_divergence_type\": \"alpha_divergence\", \"f_alpha_divergence_coef\": 1}");
    one("sigmoid", 0, "{\"loss_type\": \"robust\"}");
    one("ipo", 0, "{\"ld_alpha\": 1, \"loss_weights\": [1]}");
    one("cpo_alphapo", 0, "{\"loss_type\": \"alphapo\", \"cpo_alpha\": 1}");
}

static int begin(void **state)
{
    expected = json_parse_file(TEST_FIXTURES "/" FIXTURE "/expected.json", 0);
    start_policy = hf_tensors_open(TEST_FIXTURES "/" FIXTURE "/model.safetensors");
    start_reference = hf_tensors_open(TEST_FIXTURES "/" FIXTURE "-ref/model.safetensors");
    if (!expected || !start_policy || !start_reference) {
        print_error("%s\n", err_message());
        return -1;
    }
    return device_open(state);
}

static int end(void **state)
{
    cJSON_Delete(expected);
    hf_tensors_close(start_policy);
    hf_tensors_close(start_reference);
    return device_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_trl),          cmocka_unit_test(unpaired_of_trl),
        cmocka_unit_test(reference_free_of_trl), cmocka_unit_test(what_trl_lacks),
        cmocka_unit_test(in_small_passes),       cmocka_unit_test(one_loss_by_two_names),
    };
    if (device_skip()) return device_skip();
    return cmocka_run_group_tests(tests, begin, end);
}
