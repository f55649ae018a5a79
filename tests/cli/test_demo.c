// The whole demo through the program: it ends, and what the judge says clearly rises.
#include "process.h"

#include "base/error.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static double measure(const cJSON *result, const char *model, const char *name)
{
    const cJSON *m = json_get(json_get(result, "models"), model);
    double value = -1;
    assert_non_null(m);
    assert_true(json_get_double(m, name, &value));
    return value;
}

static void judged_rate_rises(void **state)
{
    (void)state;
    struct process p = {0};
    RUN(&p, "demo", "--json", "--output", work("demo"));
    expect_code(&p, 0);
    cJSON *result = json_parse(p.out, strlen(p.out), "the demo's output");
    assert_non_null(result);
    double before = measure(result, "sft", "judged");
    assert_true(before > 0.3 && before < 0.6); // half of the stories end well
    const char *const trained[] = {"tr-dpo", "dpo"};
    for (int i = 0; i < 2; i++) {
        assert_true(measure(result, trained[i], "judged") > before + 0.2);
        assert_true(measure(result, trained[i], "reward_accuracy") > 0.9);
        assert_true(measure(result, trained[i], "kl") > 0.1);
    }
    cJSON_Delete(result);
    process_finish(&p);
}

static void folder_of_others_is_left_alone(void **state)
{
    (void)state;
    struct process p = {0};
    work_write("thesis.txt", "years of work");
    RUN(&p, "demo", "--output", work("."));
    expect_error(&p, 2);
    expect_err(&p, "choose another folder");
    process_finish(&p);
}

static int set_up(void **state)
{
    (void)state;
    work_init("test-demo");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    work_finish();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_of_others_is_left_alone),
        cmocka_unit_test(judged_rate_rises),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
