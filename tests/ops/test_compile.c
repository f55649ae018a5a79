// A device that only compiles: which pipelines are told, and that nothing else comes of it.
#include "base/error.h"
#include "ops/check/check.h"
#include "ops/kernels.h"
#include "ops/linear.h"
#include "vk/compile.h"
#include "vk/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct told {
    size_t made, failed;
    bool kernel[KERNEL_COUNT];
    struct vk_compiled last;
    char error[256];
};

static void report(void *ctx, const struct vk_compiled *c)
{
    struct told *told = ctx;
    told->last = *c;
    told->kernel[c->kernel - op_kernels] = true;
    if (c->error) {
        strncpy(told->error, c->error, sizeof told->error - 1);
        told->failed++;
    } else {
        told->made++;
    }
}

static struct vk_device *open_device(const struct vk_compile *compile)
{
    struct vk_device *device = vk_device_create(&(struct vk_device_params){.compile = compile});
    if (!device) fail_msg("%s", err_message());
    return device;
}

// Whether a kernel is for the direct tier or the shared one only; a CPU device launches the variant
// of a kernel that is made for it, if there is one.
static bool launched(const struct vk_device *device, const char *name)
{
    bool direct = op_linear_tier(device) == VK_TIER_DIRECT;
    size_t n = strlen(name);
    if (n > 4 && strcmp(name + n - 4, "_cpu") == 0) return direct;
    for (size_t i = 0; direct && i < KERNEL_COUNT; i++)
        if (strncmp(op_kernels[i].name, name, n) == 0 &&
            strcmp(op_kernels[i].name + n, "_cpu") == 0)
            return false;
    if (strstr(name, "attention_") && !strstr(name, "_coopmat"))
        return (strstr(name, "_direct") != NULL) == direct;
    return true;
}

// Every kernel that the device's tier has is reached by some case of the op table, and compiles.
static void test_table(void **state)
{
    struct told told = {0};
    struct vk_compile compile = {.report = report, .ctx = &told};
    struct op_check_summary summary;
    struct vk_device *device = open_device(&compile);
    (void)state;
    if (vk_device_caps(device)->kind != VK_KIND_CPU) {
        vk_device_destroy(device);
        skip();
    }
    if (!op_check_run(device, &(struct op_check_params){.compile = true}, &summary))
        fail_msg("%s", err_message());
    assert_int_equal(summary.failed, 0);
    for (size_t i = 0; i < KERNEL_COUNT; i++)
        if (op_kernel_runs_on(device, (enum op_kernel)i) && launched(device, op_kernels[i].name) &&
            !told.kernel[i])
            fail_msg("no case of the op table launches %s", op_kernels[i].name);
    if (told.failed) fail_msg("%zu pipelines failed, the last: %s", told.failed, told.error);
    assert_true(told.made >= KERNEL_COUNT / 2);
    vk_device_destroy(device);
}

struct launch {
    vk_addr to;
    uint32_t local;
};

static void record_fill(struct vk_seq *s, void *ctx)
{
    const struct launch *l = ctx;
    struct vk_launch launch = groups(1);
    launch.local = l->local;
    DISPATCH(s, fill, launch, .y = l->to, .count = 16, .word = 0x3f800000u);
}

// What is written is gone, what is dispatched does not run, and no pipeline is made twice.
static void test_nothing_runs(void **state)
{
    struct told told = {0};
    struct vk_compile compile = {.report = report, .ctx = &told};
    struct vk_device *device = open_device(&compile);
    struct vk_arena arena;
    uint32_t words[16] = {1, 2, 3};
    const uint32_t zeros[16] = {0};
    (void)state;
    assert_true(vk_arena_init(&arena, device,
                              &(struct vk_arena_params){.name = "a", .bytes = sizeof words}));
    struct launch fill = {.to = vk_arena_alloc(&arena, sizeof words), .local = 32};
    assert_true(vk_write(device, fill.to, words, sizeof words));
    assert_true(vk_upload(device, fill.to, words, sizeof words));
    for (int i = 0; i < 2; i++)
        assert_true(vk_run_once(device, "fill", record_fill, &fill));
    assert_int_equal(told.made, 1);
    assert_ptr_equal(told.last.kernel, &op_kernels[KERNEL_fill]);
    assert_int_equal(told.last.local, 32);
    assert_int_equal(told.last.spec_count, 0);
    assert_int_equal(vk_ticket(device), 0);
    assert_true(vk_read(device, fill.to, words, sizeof words));
    assert_memory_equal(words, zeros, sizeof words);
    assert_false(vk_range_ok(device, fill.to + ((uint64_t)1 << 30), 4));
    vk_arena_finish(&arena);
    vk_device_destroy(device);
}

// A pipeline that cannot be made is told, with the reason, and does not end the recording.
static void test_failure(void **state)
{
    struct told told = {0};
    struct vk_compile compile = {.report = report, .ctx = &told};
    struct vk_device *device = open_device(&compile);
    struct launch fill = {.local = 1u << 30};
    (void)state;
    assert_true(vk_run_once(device, "fill", record_fill, &fill));
    assert_int_equal(told.failed, 1);
    assert_int_equal(told.made, 0);
    assert_non_null(strstr(told.error, "fill"));
    assert_non_null(strstr(told.error, "workgroups"));
    vk_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_nothing_runs),
        cmocka_unit_test(test_failure),
    };
    return cmocka_run_group_tests_name("compile", tests, NULL, NULL);
}
