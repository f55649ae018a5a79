// The pipeline cache on disk: read when it is good, ignored and rewritten when it is not.
#include "fixture.h"

#include "base/file.h"

// Opens a device, makes a pipeline, closes it again. Whether the file was read.
static bool use_cache(char **path)
{
    struct vk_device *d = open_device();
    struct vk_launch launch = {.local = 64};
    bool was_read = vk_pipeline_cache_was_read(d);
    if (!vk_pipeline_get(d, &test_kernels[TEST_affine], &launch)) fail_msg("%s", err_message());
    if (path) *path = vk_pipeline_cache_path(d);
    vk_device_destroy(d);
    assert_int_equal(err_current(), ERR_NONE); // nobody hears of trouble with it
    return was_read;
}

static void written_and_read(void **state)
{
    (void)state;
    char *path;
    use_cache(&path);
    assert_non_null(path);
    assert_ok(file_remove(path));
    assert_false(use_cache(NULL));
    assert_true(file_exists(path));
    assert_true(use_cache(NULL));
    mem_free(path);
}

// Whatever the file holds, the device opens and a good file stands there afterwards.
static void expect_rewritten(const char *path, const void *bytes, size_t len, const char *what)
{
    assert_ok(file_write_whole(path, bytes, len));
    if (use_cache(NULL)) fail_msg("%s: the file was believed", what);
    if (!use_cache(NULL)) fail_msg("%s: the file was not rewritten", what);
}

static void damaged(void **state)
{
    (void)state;
    char *path;
    size_t len;
    use_cache(&path);
    char *good = file_read(path, 0, &len), *bad = MEM_ARRAY(char, len + 1);
    assert_non_null(good);
    assert_true(len > 48);
    // Any byte: magic, device, check sum, size, data.
    static const double places[] = {0, 8, 24, 28, 32, 36, 40, 47, 48, 56};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        size_t at = (size_t)places[i] < len ? (size_t)places[i] : len - 1;
        memcpy(bad, good, len);
        bad[at] = (char)(bad[at] ^ 0x10);
        expect_rewritten(path, bad, len, "a flipped bit");
    }
    memcpy(bad, good, len);
    bad[len - 1] = (char)(bad[len - 1] ^ 1);
    expect_rewritten(path, bad, len, "the last byte");
    expect_rewritten(path, good, len - 1, "cut by a byte");
    expect_rewritten(path, good, 48, "the header alone");
    expect_rewritten(path, good, 20, "half a header");
    expect_rewritten(path, "", 0, "empty");
    memcpy(bad, good, len);
    bad[len] = 0;
    expect_rewritten(path, bad, len + 1, "a byte more");
    memset(bad, 0xff, len);
    expect_rewritten(path, bad, len, "all ones");
    mem_free(bad);
    mem_free(good);
    mem_free(path);
}

// A place that cannot be written is no reason to fail.
static void unwritable(void **state)
{
    (void)state;
    char *path;
    use_cache(&path);
    assert_ok(file_remove(path));
    char *inside = file_join(path, "occupied");
    assert_ok(file_make_dirs(inside)); // a folder stands where the file would go
    assert_false(use_cache(NULL));
    assert_false(use_cache(NULL));
    assert_true(file_is_dir(path));
    assert_ok(file_remove_tree(path));
    assert_false(use_cache(NULL));
    assert_true(use_cache(NULL));
    mem_free(inside);
    mem_free(path);
}

int main(void)
{
    SKIP_IF_NOT_INSTALLED();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_and_read),
        cmocka_unit_test(damaged),
        cmocka_unit_test(unwritable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
