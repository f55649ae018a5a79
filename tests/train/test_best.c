// Which evaluation is the best and when a run is to end, against what transformers' trainer and its
// callback say of the same numbers (best.json).
#include "../common/scratch.h"

#include "base/json.h"
#include "base/str.h"
#include "train/best.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// cmocka wants the headers above first.
#include <cmocka.h>

static void set(struct train_config *c, const char *key, const cJSON *value)
{
    struct str text = {0};
    if (cJSON_IsString(value))
        str_append(&text, value->valuestring);
    else
        json_append_double(&text, value->valuedouble);
    REQUIRE(train_config_set(c, key, str_text(&text), "test"));
    str_finish(&text);
}

static bool flag(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(object, key);
    assert_true(cJSON_IsBool(item));
    return cJSON_IsTrue(item);
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(object, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static void one_case(const cJSON *wanted, int index)
{
    static const char *const keys[] = {"metric_for_best_model", "greater_is_better",
                                       "early_stopping_patience", "early_stopping_threshold"};
    struct train_config c;
    struct train_best best = {0};
    train_config_init(&c);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        set(&c, keys[i], cJSON_GetObjectItem(wanted, keys[i]));
    assert_true(train_best_is_tracked(&c));
    const cJSON *e;
    int64_t step = 0;
    cJSON_ArrayForEach(e, cJSON_GetObjectItem(wanted, "evaluations"))
    {
        step += 10;
        bool is_best = train_best_judge(&best, &c, number(e, "value"), step);
        if (is_best != flag(e, "best") || best.metric != number(e, "best_metric") ||
            (double)best.step != number(e, "best_global_step") ||
            (double)best.waiting != number(e, "waiting") ||
            train_best_is_exhausted(&best, &c) != flag(e, "stop"))
            fail_msg("case %d, step %d: best %d, metric %g of step %d, waiting %d", index,
                     (int)step, is_best, best.metric, (int)best.step, (int)best.waiting);
    }
    assert_true(step > 0);
    train_config_finish(&c);
}

static void as_transformers(void **state)
{
    (void)state;
    cJSON *cases = json_parse_file(TEST_FIXTURES "/best.json", 0);
    REQUIRE(cases);
    int count = cJSON_GetArraySize(cases);
    assert_true(count > 5);
    for (int i = 0; i < count; i++)
        one_case(cJSON_GetArrayItem(cases, i), i);
    cJSON_Delete(cases);
}

// Without a wish for either nothing is compared; the best model alone never ends a run.
static void only_where_asked(void **state)
{
    (void)state;
    struct train_config c;
    struct train_best best = {0};
    train_config_init(&c);
    assert_false(train_best_is_tracked(&c));
    c.load_best_model_at_end = true;
    assert_true(train_best_is_tracked(&c));
    for (int i = 1; i <= 9; i++)
        train_best_judge(&best, &c, i, i);
    assert_int_equal(best.step, 1);
    assert_int_equal(best.waiting, 8);
    assert_false(train_best_is_exhausted(&best, &c));
    c.early_stopping_patience = 8;
    assert_true(train_best_is_exhausted(&best, &c));
    c.early_stopping_patience = 9;
    assert_false(train_best_is_exhausted(&best, &c));
    train_config_finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_transformers),
        cmocka_unit_test(only_where_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
