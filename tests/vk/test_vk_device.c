// Choice of devices, what they say about themselves, kernel options, the validation layer's voice.
#include "fixture.h"

#include "base/str.h"
#include "base/system.h"

static void listed(void **state)
{
    (void)state;
    struct vk_caps *list;
    size_t count;
    assert_ok(vk_device_list(&list, &count));
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        const struct vk_caps *c = &list[i];
        assert_int_equal(c->index, i);
        assert_true(c->name[0] != '\0');
        if (i > 0) assert_true(list[i - 1].kind <= c->kind);
        if (c->missing) continue;
        assert_true(c->api_version >= VK_API_VERSION_1_3);
        assert_true(c->driver[0] != '\0' && c->driver_info[0] != '\0');
        assert_true(c->subgroup_size >= 1 && c->subgroup_min <= c->subgroup_size &&
                    c->subgroup_size <= c->subgroup_max);
        assert_true(c->max_workgroup_invocations >= 128 && c->max_shared_bytes >= 16384);
        assert_true(c->max_groups[0] >= 65535 && c->max_groups[1] >= 65535);
        assert_true(c->max_allocation_bytes >= (uint64_t)1 << 30);
        assert_true(c->memory_bytes > 0 && c->memory_free_bytes <= c->memory_bytes);
        assert_true(c->tiers & VK_TIER_DIRECT);
        if (c->kind == VK_KIND_CPU) assert_true(c->host_visible);
        // Matrix units and their tier come together.
        const struct vk_matrix_size *sizes[] = {&c->coopmat_fp16, &c->coopmat_bf16};
        assert_int_equal((c->tiers & VK_TIER_COOPMAT) != 0, sizes[0]->m || sizes[1]->m);
        assert_int_equal((c->tiers & VK_TIER_COOPMAT2) != 0,
                         c->grains_fp16[0].m || c->grains_bf16[0].m);
        if (c->tiers & VK_TIER_COOPMAT2) assert_true(c->coopmat2 && c->matrix_most >= 32);
        for (size_t k = 0; k < 2; k++) {
            const struct vk_matrix_size *m = sizes[k];
            if (!m->m) continue;
            assert_true(c->coopmat && c->fp16 && (k == 0 || c->bf16));
            assert_true(m->m >= 8 && m->m <= 32 && m->n >= 8 && m->n <= 32);
            assert_true(m->k >= 8 && m->k <= 32);
        }
    }
    mem_free(list);
}

static void opens(const char *selector, const char *want)
{
    struct vk_device *d = vk_device_create(&(struct vk_device_params){.selector = selector});
    if (!d) fail_msg("'%s': %s", selector, err_message());
    assert_string_equal(vk_device_caps(d)->name, want);
    vk_device_destroy(d);
}

static void selected(void **state)
{
    (void)state;
    struct vk_caps *list;
    size_t count, at = 0;
    assert_ok(vk_device_list(&list, &count));
    while (at < count && list[at].missing)
        at++;
    assert_true(at < count);
    // By number, by name, by a part of it in any case.
    char *number = str_format("%zu", at), part[8] = {0};
    opens(number, list[at].name);
    opens(list[at].name, list[at].name);
    for (int i = 0; i < 5 && list[at].name[i]; i++)
        part[i] = (char)(list[at].name[i] ^
                         (list[at].name[i] >= 'a' && list[at].name[i] <= 'z' && i % 2 ? 0x20 : 0));
    struct vk_device *d = vk_device_create(&(struct vk_device_params){.selector = part});
    assert_non_null(d);
    vk_device_destroy(d);
    for (size_t i = 0; i < count; i++)
        if (strstr(list[i].name, "llvmpipe")) opens("lavapipe", list[i].name);

    static const char *const wrong[] = {"no such device", "99", "4294967296", "-1"};
    for (int i = 0; i < 4; i++) {
        assert_null(vk_device_create(&(struct vk_device_params){.selector = wrong[i]}));
        assert_int_equal(err_current(), ERR_USER);
        assert_non_null(strstr(err_message(), wrong[i])); // what was asked for
        assert_error(ERR_USER, list[at].name);            // and what there is
    }
    mem_free(number);
    mem_free(list);
}

// ---- workgroup size and constants ----

struct options {
    vk_addr y;
    struct vk_launch launch;
};

static void record_sizes(struct vk_seq *s, void *ctx)
{
    const struct options *o = ctx;
    TEST_DISPATCH(s, sizes, o->launch, .y = o->y);
}

static void options(void **state)
{
    struct fixture *f = *state;
    const struct vk_caps *caps = vk_device_caps(f->device);
    static const struct vk_launch launches[] = {
        {.x = 1},
        {.local = 32},
        {.local = 128, .spec_count = 1, .spec = {7}},
        {.local = 128, .spec_count = 3, .spec = {7, 8, 9}},
        {.local = 128, .spec_count = 3, .spec = {7, 8, 10}},
        {.local = 64, .spec_count = 2, .spec = {0, 0xffffffffu}},
    };
    size_t count = sizeof launches / sizeof *launches;
    size_t before = f->device->pipelines_made;
    struct options o = {.y = vk_arena_alloc(&f->arena, 64)};
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            uint32_t got[5];
            o.launch = launches[i];
            assert_ok(vk_run_once(f->device, "sizes", record_sizes, &o));
            assert_ok(vk_read(f->device, o.y, got, sizeof got));
            uint32_t local = launches[i].local;
            if (!local) local = caps->kind == VK_KIND_CPU ? caps->subgroup_size : 64;
            assert_int_equal(got[0], local);
            assert_int_equal(got[1], caps->subgroup_size);
            for (uint32_t k = 0; k < 3; k++)
                assert_int_equal(got[2 + k],
                                 k < launches[i].spec_count ? launches[i].spec[k] : 101 + k);
        }
    }
    // The second round made none; the counter's was made before or now.
    size_t made = f->device->pipelines_made - before;
    assert_true(made == count || made == count + 1);
}

// Hundreds of pipelines are found again, each its own.
static void many_pipelines(void **state)
{
    struct fixture *f = *state;
    struct vk_launch launch = {.local = 32, .spec_count = 1};
    VkPipeline *made = MEM_ARRAY(VkPipeline, 150);
    for (uint32_t i = 0; i < 150; i++) {
        launch.spec[0] = i;
        made[i] = vk_pipeline_get(f->device, &test_kernels[TEST_sizes], &launch);
        assert_true(made[i] != VK_NULL_HANDLE);
    }
    for (uint32_t i = 0; i < 150; i++) {
        launch.spec[0] = i;
        launch.spec[5] = 3; // beyond spec_count: not looked at
        assert_true(made[i] == vk_pipeline_get(f->device, &test_kernels[TEST_sizes], &launch));
        for (uint32_t k = 0; k < i; k++)
            assert_true(made[k] != made[i]);
    }
    mem_free(made);
}

// ---- the validation layer ----

static void validation_speaks(void **state)
{
    struct fixture *f = *state;
    if (!sys_env("TRDPO_VALIDATION")) skip();
    assert_ok(vk_wait_all(f->device));
    VkBufferCreateInfo wrong = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                .size = 0,
                                .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
    VkBuffer buffer = VK_NULL_HANDLE;
    vkCreateBuffer(f->device->handle, &wrong, NULL, &buffer);
    assert_false(vk_wait_all(f->device));
    assert_error(ERR_DEVICE, "validation layer");
    uint32_t word = 0;
    assert_false(vk_upload(f->device, vk_arena_alloc(&f->arena, 4), &word, 4));
    assert_error(ERR_DEVICE, "validation layer");
    vk_validation_reset();
    if (buffer) vkDestroyBuffer(f->device->handle, buffer, NULL);
    assert_ok(vk_wait_all(f->device));
}

// Two writes of one place without a barrier between: synchronisation validation is on.
static void hazards_are_noticed(void **state)
{
    struct fixture *f = *state;
    if (!sys_env("TRDPO_VALIDATION")) skip();
    struct vk_block *b = f->arena.spans[0].block;
    VkCommandBuffer commands = vk_transient_begin(f->device);
    vkCmdFillBuffer(commands, b->buffer, b->offset, 1024, 1);
    vkCmdFillBuffer(commands, b->buffer, b->offset, 1024, 2);
    vk_transient_submit(f->device, commands, "a hazard");
    assert_false(vk_wait_all(f->device));
    assert_error(ERR_DEVICE, "WRITE_AFTER_WRITE");
    vk_validation_reset();
    assert_ok(vk_wait_all(f->device));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    SKIP_IF_NOT_INSTALLED();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed), cmocka_unit_test(selected), TEST(options),
        TEST(many_pipelines),     TEST(validation_speaks),    TEST(hazards_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
