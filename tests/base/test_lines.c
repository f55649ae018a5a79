// Lines of plain and gzip files; every way of cutting a gzip file, and damage to every byte of it.
#include "support.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static char path[512];

static void write_file(const void *bytes, size_t len)
{
    snprintf(path, sizeof path, "%s", scratch_path("lines"));
    assert_true(file_write_whole(path, bytes, len));
}

// Appends one gzip member with this text.
static void append_member(struct str *out, const char *text, size_t len)
{
    z_stream z = {0};
    size_t room = len + len / 10 + 1000;
    unsigned char *packed = mem_calloc(room, 1);
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)len;
    z.next_out = packed;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    str_append_bytes(out, packed, room - z.avail_out);
    deflateEnd(&z);
    mem_free(packed);
}

// Reads `path` to its end or first failure into `all`, each line followed by "\n".
static bool read_all(struct str *all)
{
    struct file_lines f;
    const char *line;
    size_t len;
    bool ok = file_lines_open(&f, path);
    size_t number = 0;
    str_clear(all);
    while (ok && (ok = file_lines_next(&f, &line, &len)) && line) {
        assert_int_equal(line[len], '\0');
        assert_int_equal(f.number, ++number);
        str_append_bytes(all, line, len);
        str_append_char(all, '\n');
    }
    if (ok) { // the end stays the end
        assert_true(file_lines_next(&f, &line, &len));
        assert_null(line);
    }
    file_lines_close(&f);
    file_lines_close(&f);
    return ok;
}

static void expect_lines(const char *bytes, size_t len, const char *wanted)
{
    struct str all = {0}, packed = {0};
    write_file(bytes, len);
    assert_true(read_all(&all));
    assert_string_equal(str_text(&all), wanted);
    append_member(&packed, bytes, len);
    write_file(packed.data, packed.len);
    assert_true(read_all(&all));
    assert_string_equal(str_text(&all), wanted);
    str_finish(&all);
    str_finish(&packed);
}

static void endings(void **state)
{
    (void)state;
    expect_lines("", 0, "");
    expect_lines("\n", 1, "\n");
    expect_lines("a", 1, "a\n");
    expect_lines("a\nb", 3, "a\nb\n");
    expect_lines("a\r\nb\r\n", 6, "a\nb\n");
    expect_lines("a\rb\r\r\n\n\nc\r", 10, "a\rb\r\n\n\nc\n");
    expect_lines("\x1f", 1, "\x1f\n"); // half of gzip's mark is text
}

// Lines of lengths about the sizes of the buffers, against the text they were cut from.
static void lengths(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,      1,      262142, 262143, 262144, 262145, 3,
                                   524286, 524287, 524288, 524289, 0,      1500000};
    struct str text = {0}, all = {0}, packed = {0};
    struct rng r = rng_begin(3, RNG_TEST);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            str_append_char(&text, (char)('a' + rng_below(&r, 26)));
        str_append_char(&text, '\n');
    }
    for (int i = 0; i < 20000; i++) {
        for (size_t k = rng_below(&r, 60); k > 0; k--)
            str_append_char(&text, (char)('a' + rng_below(&r, 26)));
        str_append_char(&text, '\n');
    }
    write_file(text.data, text.len);
    assert_true(read_all(&all));
    assert_int_equal(all.len, text.len);
    assert_memory_equal(all.data, text.data, text.len);
    // In gzip, as three members cut in the middle of lines, with the zero padding of tape drives.
    append_member(&packed, text.data, 300001);
    append_member(&packed, "", 0);
    append_member(&packed, text.data + 300001, text.len - 300001);
    for (int i = 0; i < 512; i++)
        str_append_char(&packed, '\0');
    write_file(packed.data, packed.len);
    assert_true(read_all(&all));
    assert_int_equal(all.len, text.len);
    assert_memory_equal(all.data, text.data, text.len);
    str_finish(&text);
    str_finish(&all);
    str_finish(&packed);
}

// printf 'one\ntwo\n' | gzip -n, as GNU gzip 1.12 wrote it.
static const unsigned char two_lines[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0xcf, 0x4b, 0xe5,
    0x2a, 0x29, 0xcf, 0xe7, 0x02, 0x00, 0xe6, 0x0b, 0xba, 0x12, 0x08, 0x00, 0x00, 0x00};

static void cut_anywhere(void **state)
{
    (void)state;
    struct str all = {0}, packed = {0}, text = {0};
    write_file(two_lines, sizeof two_lines);
    assert_true(read_all(&all));
    assert_string_equal(all.data, "one\ntwo\n");
    for (size_t len = 2; len < sizeof two_lines; len++) {
        write_file(two_lines, len);
        assert_false(read_all(&all));
        assert_non_null(strstr(err_message(), path));
        expect_error(ERR_USER, "cut off");
    }
    // A longer one, whose cut comes after lines that were good: they are given, then the failure.
    for (int i = 0; i < 100000; i++)
        str_appendf(&text, "line %d\n", i);
    append_member(&packed, text.data, text.len);
    for (size_t len = 20; len < packed.len; len += packed.len / 7) {
        write_file(packed.data, len);
        assert_false(read_all(&all));
        expect_error(ERR_USER, "cut off");
        assert_memory_equal(text.data, str_text(&all), all.len);
    }
    // A second member that is cut, even within its header.
    size_t first = packed.len;
    append_member(&packed, "more\n", 5);
    for (size_t len = first + 1; len < packed.len; len++) {
        write_file(packed.data, len);
        assert_false(read_all(&all));
        expect_error(ERR_USER, "cut off");
        if (len > first + 3) len += 2;
    }
    str_finish(&all);
    str_finish(&packed);
    str_finish(&text);
}

// One bit wrong in any byte: refused, or (a time stamp, say) of no consequence to the text.
static void damaged_anywhere(void **state)
{
    (void)state;
    struct str all = {0};
    size_t refused = 0;
    for (size_t bit = 0; bit < 8 * sizeof two_lines; bit++) {
        unsigned char bytes[sizeof two_lines];
        memcpy(bytes, two_lines, sizeof bytes);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        write_file(bytes, sizeof bytes);
        if (read_all(&all)) {
            // Without gzip's mark it is a plain file of other bytes.
            if (bit >= 16) assert_string_equal(all.data, "one\ntwo\n");
        } else {
            expect_error(ERR_USER, path);
            assert_true(bit >= 16);
            refused++;
        }
    }
    assert_true(refused >= 8 * 16); // method, data, checksum and length hold 19 bytes
    static const char tail[] = "garbage";
    struct str junk = {0};
    str_append_bytes(&junk, two_lines, sizeof two_lines);
    str_append(&junk, tail);
    write_file(junk.data, junk.len);
    assert_false(read_all(&all));
    expect_error(ERR_USER, "something else after the gzip data");
    str_finish(&junk);
    str_finish(&all);
}

static void too_long(void **state)
{
    (void)state;
    struct file_lines f;
    const char *line;
    size_t len;
    write_file("a\n", 2);
    // A hole in the file: one line of zero bytes.
    assert_int_equal(truncate(path, 2 + ((off_t)256 << 20) + 1), 0);
    assert_true(file_lines_open(&f, path));
    assert_true(file_lines_next(&f, &line, &len));
    assert_string_equal(line, "a");
    assert_false(file_lines_next(&f, &line, &len));
    expect_error(ERR_USER, ":2: the line is longer than 256 MiB");
    file_lines_close(&f);
    assert_int_equal(truncate(path, 2 + ((off_t)256 << 20)), 0); // just short enough
    assert_true(file_lines_open(&f, path));
    assert_true(file_lines_next(&f, &line, &len));
    assert_true(file_lines_next(&f, &line, &len));
    assert_int_equal(len, (size_t)256 << 20);
    file_lines_close(&f);
    assert_true(file_remove(path));
}

static void not_files(void **state)
{
    (void)state;
    struct file_lines f;
    assert_false(file_lines_open(&f, scratch_path("none")));
    expect_error(ERR_USER, "No such file or directory");
    assert_false(file_lines_open(&f, scratch_path(".")));
    expect_error(ERR_USER, "a folder, where a file is needed");
    file_lines_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endings),      cmocka_unit_test(lengths),
        cmocka_unit_test(cut_anywhere), cmocka_unit_test(damaged_anywhere),
        cmocka_unit_test(too_long),     cmocka_unit_test(not_files),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
