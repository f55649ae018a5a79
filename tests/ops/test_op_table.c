// The whole op table on the default device: every kernel against the double reference.
#include "base/error.h"
#include "ops/check/check.h"
#include "vk/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// One line per failing case.
static void report(void *ctx, const struct op_check_result *r)
{
    (void)ctx;
    if (r->status == OP_CHECK_FAILED)
        print_error("FAILED %s %s %s: %s\n", r->op, r->dtype, r->shape, r->message);
    if (r->status == OP_CHECK_SKIPPED)
        print_message("skipped %s %s %s: %s\n", r->op, r->dtype, r->shape, r->message);
}

static void test_table(void **state)
{
    struct op_check_params params = {.op = getenv("TRDPO_TEST_OP"), .report = report};
    struct op_check_summary summary;
    struct vk_device *device = vk_device_create(&(struct vk_device_params){0});
    (void)state;
    if (!device) fail_msg("%s", err_message());
    if (!op_check_run(device, &params, &summary)) fail_msg("%s", err_message());
    print_message("%s: %zu passed, %zu failed, %zu skipped\n", vk_device_caps(device)->name,
                  summary.passed, summary.failed, summary.skipped);
    assert_int_equal(summary.failed, 0);
    assert_true(summary.passed > 0);
    vk_device_destroy(device);
}

// A table that judges nothing would pass as well: a wrong name must be refused.
static void test_unknown_op(void **state)
{
    struct op_check_params params = {.op = "rmsnrm_fwd"};
    struct op_check_summary summary;
    struct vk_device *device = vk_device_create(&(struct vk_device_params){0});
    (void)state;
    if (!device) fail_msg("%s", err_message());
    assert_false(op_check_run(device, &params, &summary));
    assert_int_equal(err_current(), ERR_USER);
    assert_non_null(strstr(err_message(), "rmsnorm_fwd"));
    vk_device_destroy(device);
}

int main(void)
{
    const char *validation = getenv("TRDPO_VALIDATION");
    if (validation && *validation && !vk_validation_installed()) {
        print_message("skipped: the Vulkan validation layer is not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_unknown_op),
    };
    return cmocka_run_group_tests_name("op table", tests, NULL, NULL);
}
