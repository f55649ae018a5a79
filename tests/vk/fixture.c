#include "fixture.h"

#include "base/system.h"
#include "vk_test_spirv.h"

const struct vk_kernel test_kernels[TEST_KERNELS] = {
#define KERNEL(name, file, args, options) {#name, SPIRV_##name, sizeof(struct args##_args)},
#include "kernels.def"
#undef KERNEL
};

struct vk_device *open_device(void)
{
    struct vk_device *device = vk_device_create(NULL);
    if (!device) fail_msg("%s", err_message());
    return device;
}

int fixture_setup(void **state)
{
    struct fixture *f = MEM_NEW(struct fixture);
    f->device = open_device();
    assert_ok(vk_arena_init(&f->arena, f->device,
                            &(struct vk_arena_params){.name = "test", .bytes = 64u << 20}));
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    // A test that failed has left its sequences behind.
    while (f->device->sequences.count > 0)
        vk_seq_destroy(f->device->sequences.items[0]);
    vk_arena_finish(&f->arena);
    vk_device_destroy(f->device);
    mem_free(f);
    return 0;
}

int fixture_skip(void)
{
    const char *wanted = sys_env("TRDPO_VALIDATION");
    // Programs run by hand leave the user's own cache alone.
    sys_env_default("XDG_CACHE_HOME", TEST_CACHE);
    if (!wanted || vk_validation_installed()) return 0;
    fprintf(stderr, "skipped: the Vulkan validation layer is not installed\n");
    return 77;
}

void assert_error(enum err_kind kind, const char *words)
{
    assert_int_equal(err_current(), kind);
    if (!strstr(err_message(), words)) fail_msg("'%s' is not in: %s", words, err_message());
    err_clear();
}

void affine(struct vk_seq *s, vk_addr y, uint32_t count, uint32_t factor, uint32_t term)
{
    struct vk_launch launch = {.local = 64};
    launch.x = (count + 63) / 64;
    vk_cost(s, 2.0 * count, 8.0 * count);
    TEST_DISPATCH(s, affine, launch, .y = y, .count = count, .factor = factor, .term = term);
}

uint32_t *make_words(size_t count, uint32_t factor)
{
    uint32_t *words = MEM_ARRAY(uint32_t, count);
    for (size_t i = 0; i < count; i++)
        words[i] = (uint32_t)i * factor;
    return words;
}
