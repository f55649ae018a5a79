// Files appear whole or not at all, on full disks too; folders; messages for what users do wrong.
#include "support.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
    assert_true(file_write_whole(path, text, strlen(text)));
}

static bool holds(const char *path, const char *text)
{
    size_t len;
    char *found = file_read(path, 0, &len);
    bool same = found && len == strlen(text) && memcmp(found, text, len) == 0;
    mem_free(found);
    return same;
}

static size_t entries(const char *dir)
{
    char **names;
    size_t count;
    assert_true(file_list(dir, &names, &count));
    file_list_free(names, count);
    return count;
}

static void whole_or_not_at_all(void **state)
{
    (void)state;
    char dir[512], path[600];
    snprintf(dir, sizeof dir, "%s", scratch_path("whole"));
    snprintf(path, sizeof path, "%s/x", dir);
    assert_true(file_make_dirs(dir));
    put(path, "old");
    struct file_writer w;
    assert_true(file_create(&w, path));
    assert_true(file_write(&w, "new", 3));
    fprintf(w.stream, " %d", 7); // its stream may be used directly
    assert_int_equal(fflush(w.stream), 0);
    assert_true(holds(path, "old"));
    assert_int_equal(entries(dir), 2);
    file_abort(&w);
    assert_true(holds(path, "old"));
    assert_int_equal(entries(dir), 1);

    assert_true(file_create(&w, path));
    assert_true(file_write(&w, "new", 3));
    assert_true(file_commit(&w));
    assert_true(holds(path, "new"));
    assert_int_equal(entries(dir), 1);
    file_abort(&w); // after a commit, and of a zeroed writer
    struct file_writer zero = {0};
    file_abort(&zero);
    assert_true(holds(path, "new"));

    struct file_writer both[2]; // two at once do not meet
    assert_true(file_create(&both[0], path) && file_create(&both[1], path));
    assert_true(file_write(&both[0], "first", 5) && file_write(&both[1], "second", 6));
    assert_true(file_commit(&both[1]) && file_commit(&both[0]));
    assert_true(holds(path, "first"));
    assert_int_equal(entries(dir), 1);

    mode_t mask = umask(027); // the usual permissions, not a temporary's
    put(path, "z");
    umask(mask);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

static void device_paths(void **state)
{
    (void)state;
    // As root a rename would replace the device itself.
    struct stat status;
    assert_true(file_write_whole("/dev/null", "x", 1));
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
    assert_false(file_write_whole("/dev/full", "x", 1));
    expect_error(ERR_DEVICE, "/dev/full: cannot write: No space left on device");
    char big[100000] = "";
    struct file_writer w;
    assert_true(file_create(&w, "/dev/full"));
    assert_false(file_write(&w, big, sizeof big)); // beyond the buffer: told at once
    expect_error(ERR_DEVICE, "No space left");
    assert_false(file_write(&w, big, 1));
    assert_false(file_commit(&w)); // and again at the end
    expect_error(ERR_DEVICE, "/dev/full: cannot write: No space left on device");
    assert_true(file_create(&w, "/dev/full"));
    for (int i = 0; i < 10000; i++)
        fprintf(w.stream, "unchecked line %d\n", i);
    assert_false(file_commit(&w));
    expect_error(ERR_DEVICE, "/dev/full: cannot write: No space left on device");
    assert_int_equal(stat("/dev/full", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
}

struct limited {
    const char *path;
    size_t size;
};

// A disk that is full after 64 KiB, as far as this process can tell.
static void write_limited(void *ctx)
{
    const struct limited *l = ctx;
    struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(3);
    char *bytes = mem_calloc(l->size, 1);
    bool ok = file_write_whole(l->path, bytes, l->size);
    mem_free(bytes);
    if (!ok) fprintf(stderr, "%s", err_message());
    _exit(ok ? 0 : (int)err_current());
}

static void disk_full(void **state)
{
    (void)state;
    char dir[512], path[600], output[1024], wanted[1024];
    snprintf(dir, sizeof dir, "%s", scratch_path("full"));
    snprintf(path, sizeof path, "%s/x", dir);
    assert_true(file_make_dirs(dir));
    put(path, "old");
    static const size_t sizes[] = {65537, 300000}; // the last byte, and far too much
    for (int i = 0; i < 2; i++) {
        struct limited l = {.path = path, .size = sizes[i]};
        int status = run_child(write_limited, &l, 0, output, sizeof output);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), ERR_DEVICE);
        snprintf(wanted, sizeof wanted, "%s: cannot write: File too large", path);
        assert_string_equal(output, wanted);
        assert_true(holds(path, "old"));
        assert_int_equal(entries(dir), 1);
    }
    struct limited fits = {.path = path, .size = 65536};
    assert_int_equal(run_child(write_limited, &fits, 0, output, sizeof output), 0);
    assert_int_equal(file_size(path), 65536);
}

static void maps_and_reads(void **state)
{
    (void)state;
    const char *path = scratch_path("m");
    struct file_map map;
    size_t len = 99;
    put(path, "hello");
    assert_true(file_map_open(&map, path));
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "hello", 5);
    file_map_close(&map);
    file_map_close(&map);
    put(path, "");
    assert_true(file_map_open(&map, path));
    assert_non_null(map.data);
    assert_int_equal(map.size, 0);
    file_map_close(&map);
    char *text = file_read(path, 0, &len);
    assert_string_equal(text, "");
    assert_int_equal(len, 0);
    mem_free(text);
    put(path, "12345");
    text = file_read(path, 5, &len);
    assert_string_equal(text, "12345");
    mem_free(text);
    assert_null(file_read(path, 4, &len));
    expect_error(ERR_USER, "larger than the 4 bytes");
    text = file_read("/proc/self/status", 0, &len); // a file of size 0 with something in it
    assert_non_null(text);
    assert_int_equal(strlen(text), len);
    assert_non_null(strstr(text, "test_file"));
    mem_free(text);
    assert_null(file_read("/proc/self/status", 10, &len));
    expect_error(ERR_USER, "larger than the 10 bytes");
}

static void clear_messages(void **state)
{
    (void)state;
    const char *none = scratch_path("none"), *file = scratch_path("file"), *dir = scratch_path(".");
    struct file_map map;
    struct file_writer w;
    size_t len;
    put(file, "x");
    assert_false(file_map_open(&map, none));
    assert_non_null(strstr(err_message(), none));
    expect_error(ERR_USER, "No such file or directory");
    assert_false(file_map_open(&map, dir));
    expect_error(ERR_USER, "a folder, where a file is needed");
    assert_false(file_map_open(&map, "/dev/null"));
    expect_error(ERR_USER, "not a regular file");
    assert_null(file_read(dir, 0, &len));
    expect_error(ERR_USER, "a folder, where a file is needed");
    assert_false(file_create(&w, dir));
    expect_error(ERR_USER, "a folder stands where a file is to be written");
    char below[600];
    snprintf(below, sizeof below, "%s/x", none);
    assert_false(file_create(&w, below));
    expect_error(ERR_USER, "No such file or directory");
    file_abort(&w);
    snprintf(below, sizeof below, "%s/x", file);
    assert_false(file_make_dirs(below));
    assert_non_null(strstr(err_message(), "file: cannot create the folder")); // not "file/x"
    expect_error(ERR_USER, "File exists");
    assert_false(file_make_dirs(file));
    expect_error(ERR_USER, "File exists");
    assert_false(file_copy(none, file));
    expect_error(ERR_USER, "No such file or directory");
    assert_true(holds(file, "x"));
    char **names;
    assert_false(file_list(none, &names, &len));
    expect_error(ERR_USER, "No such file or directory");
    assert_false(file_rename(none, file));
    expect_error(ERR_DEVICE, "cannot rename");
}

static void folders_replaced(void **state)
{
    (void)state;
    char fresh[512], named[512], path[600];
    snprintf(fresh, sizeof fresh, "%s", scratch_path("fresh"));
    snprintf(named, sizeof named, "%s", scratch_path("named"));
    for (int round = 0; round < 2; round++) { // the name is free, then taken
        assert_true(file_make_dirs(fresh));
        snprintf(path, sizeof path, "%s/%s", fresh, round ? "second" : "first");
        put(path, "x");
        assert_true(file_replace_tree(fresh, named));
        assert_false(file_exists(fresh));
    }
    snprintf(path, sizeof path, "%s/first", named);
    assert_false(file_exists(path));
    assert_false(file_replace_tree(fresh, named));
    expect_error(ERR_DEVICE, "cannot take the place of");
    snprintf(path, sizeof path, "%s/second", named);
    assert_true(holds(path, "x")); // what cannot be replaced stays
}

static void folders(void **state)
{
    (void)state;
    char root[512], path[600], other[600];
    snprintf(root, sizeof root, "%s", scratch_path("tree"));
    snprintf(path, sizeof path, "%s/a/b//c/", root);
    assert_true(file_make_dirs(path));
    assert_true(file_make_dirs(path)); // there already
    assert_true(file_is_dir(path) && file_exists(path));
    static const char *const names[] = {"B", "a0", "\xC3\xA9", ".hidden"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        put(path, names[i]);
    }
    assert_false(file_is_dir(path));
    char **found;
    size_t count;
    assert_true(file_list(root, &found, &count));
    assert_int_equal(count, 5);
    static const char *const sorted[] = {".hidden", "B", "a", "a0", "\xC3\xA9"};
    for (int i = 0; i < 5; i++)
        assert_string_equal(found[i], sorted[i]);
    file_list_free(found, count);

    // A link inside the tree is removed; what it points to stays.
    const char *kept = scratch_path("kept");
    assert_true(file_make_dirs(kept));
    snprintf(path, sizeof path, "%s/inside", kept);
    put(path, "x");
    char real[4096];
    assert_non_null(realpath(kept, real));
    snprintf(other, sizeof other, "%s/link", root);
    assert_int_equal(symlink(real, other), 0);
    assert_true(file_remove_tree(root));
    assert_false(file_exists(root));
    assert_true(file_remove_tree(root)); // absent is fine
    assert_true(holds(path, "x"));

    snprintf(other, sizeof other, "%s/moved", kept);
    assert_true(file_rename(path, other));
    assert_false(file_exists(path));
    assert_true(file_copy(other, path));
    assert_true(holds(path, "x") && holds(other, "x"));
    assert_true(file_copy(path, path)); // onto itself
    assert_true(holds(path, "x"));
    assert_int_equal(file_size(path), 1);
    assert_int_equal(file_size(kept), 0);
    assert_true(file_remove(path) && file_remove(path));
    assert_false(file_exists(path));
    assert_true(file_sync_dir(kept));
}

static void copies_are_exact(void **state)
{
    (void)state;
    enum { SIZE = 3 * 1024 * 1024 + 17 }; // more than one chunk
    char from[512], to[512];
    unsigned char *bytes = mem_calloc(SIZE, 1);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    snprintf(from, sizeof from, "%s", scratch_path("from"));
    snprintf(to, sizeof to, "%s", scratch_path("to"));
    assert_true(file_write_whole(from, bytes, SIZE));
    assert_true(file_copy(from, to));
    size_t len;
    char *copy = file_read(to, 0, &len);
    assert_int_equal(len, SIZE);
    assert_memory_equal(copy, bytes, SIZE);
    mem_free(copy);
    mem_free(bytes);
}

static void joins_and_caches(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}};
    for (int i = 0; i < 4; i++) {
        char *joined = file_join(cases[i][0], cases[i][1]);
        assert_string_equal(joined, cases[i][2]);
        mem_free(joined);
    }
    char base[4096], wanted[5000];
    assert_non_null(realpath(scratch_path("."), base));
    snprintf(wanted, sizeof wanted, "%s/trdpo-vk", base);
    setenv("XDG_CACHE_HOME", base, 1);
    char *dir = file_cache_dir();
    assert_string_equal(dir, wanted);
    assert_true(file_is_dir(dir));
    mem_free(dir);
    setenv("XDG_CACHE_HOME", "relative", 1); // to be ignored
    setenv("HOME", base, 1);
    snprintf(wanted, sizeof wanted, "%s/.cache/trdpo-vk", base);
    dir = file_cache_dir();
    assert_string_equal(dir, wanted);
    assert_true(file_is_dir(dir));
    mem_free(dir);
    unsetenv("HOME");
    assert_null(file_cache_dir());
    setenv("HOME", "/dev/null", 1);
    assert_null(file_cache_dir());
    assert_int_equal(err_current(), ERR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_or_not_at_all), cmocka_unit_test(device_paths),
        cmocka_unit_test(disk_full),           cmocka_unit_test(maps_and_reads),
        cmocka_unit_test(clear_messages),      cmocka_unit_test(folders),
        cmocka_unit_test(folders_replaced),    cmocka_unit_test(copies_are_exact),
        cmocka_unit_test(joins_and_caches),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
