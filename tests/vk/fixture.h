// What the tests of src/vk share: a device, an arena, the test kernels.
#ifndef TRDPO_TESTS_VK_FIXTURE_H
#define TRDPO_TESTS_VK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "args.h"
#include "base/mem.h"
#include "test_args.h"
#include "vk/internal.h"

enum test_kernel {
#define KERNEL(name, file, args, options) TEST_##name,
#include "kernels.def"
#undef KERNEL
    TEST_KERNELS
};
extern const struct vk_kernel test_kernels[TEST_KERNELS];

struct fixture {
    struct vk_device *device;
    struct vk_arena arena; // 64 MiB
};

// Opens the device that TRDPO_DEVICE chooses, or the best one; fails the test otherwise.
struct vk_device *open_device(void);

// cmocka's set-up and tear-down of a struct fixture.
int fixture_setup(void **state);
int fixture_teardown(void **state);

// The first line of main(): returns 77, which CTest shows as skipped, where TRDPO_VALIDATION asks
// for a layer that is not installed.
int fixture_skip(void);
#define SKIP_IF_NOT_INSTALLED()                                                                    \
    if (fixture_skip()) return fixture_skip()

// cmocka's assertion with the error's text.
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if (!(call)) fail_msg("%s: %s", #call, err_message());                                     \
    } while (0)

// Asserts that the recorded error is of this kind and names these words; forgets it.
void assert_error(enum err_kind kind, const char *words);

// Records y[i] = y[i] * factor + term for `count` words.
void affine(struct vk_seq *s, vk_addr y, uint32_t count, uint32_t factor, uint32_t term);

#define TEST_DISPATCH(s, kernel, launch, ...)                                                      \
    vk_dispatch((s), &test_kernels[TEST_##kernel], (launch), &(struct kernel##_args){__VA_ARGS__}, \
                sizeof(struct kernel##_args))

// Words 0, 1, 2, ... times an odd number: all different. mem_free().
uint32_t *make_words(size_t count, uint32_t factor);

#endif
