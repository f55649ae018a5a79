#include "support.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static void growing(void **state)
{
    (void)state;
    struct str s = {0};
    assert_string_equal(str_text(&s), "");
    str_append(&s, "ab");
    str_append_bytes(&s, "\0c", 2);
    str_append_char(&s, 'd');
    str_appendf(&s, "-%05d-%s", 42, "e");
    assert_int_equal(s.len, 13);
    assert_memory_equal(s.data, "ab\0cd-00042-e", 14);
    str_clear(&s);
    assert_string_equal(str_text(&s), "");
    for (int i = 0; i < 100000; i++)
        str_append_char(&s, (char)('a' + i % 26));
    assert_int_equal(strlen(s.data), 100000);
    assert_int_equal(s.data[99999], 'a' + 99999 % 26);
    char *taken = str_take(&s);
    assert_null(s.data);
    assert_int_equal(taken[26], 'a');
    mem_free(taken);
    taken = str_take(&s); // of an empty one
    assert_string_equal(taken, "");
    mem_free(taken);
    str_finish(&s);

    char *text = str_format("%s/%d", "x", 3);
    assert_string_equal(text, "x/3");
    mem_free(text);
    assert_true(str_starts_with("abc", "ab") && str_starts_with("abc", ""));
    assert_false(str_starts_with("ab", "abc"));
    assert_true(str_ends_with("a.json", ".json") && str_ends_with("a", ""));
    assert_false(str_ends_with("json", ".json"));
}

// Every code point goes out and comes back; with those, the counts below settle the validator: it
// accepts as many strings as there are code points of each length, and no more.
static void every_codepoint(void **state)
{
    (void)state;
    struct str s = {0};
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) continue;
        size_t pos = 0, length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        str_clear(&s);
        str_append_codepoint(&s, c);
        assert_int_equal(s.len, length);
        assert_true(str_utf8_valid(s.data, s.len, NULL));
        assert_int_equal(str_next_codepoint(s.data, s.len, &pos), c);
        assert_int_equal(pos, length);
    }
    str_clear(&s);
    str_append_codepoint(&s, 0x1F600);
    str_append_codepoint(&s, 0x20AC);
    assert_string_equal(s.data, "\xF0\x9F\x98\x80\xE2\x82\xAC");
    str_finish(&s);
}

static void every_short_string(void **state)
{
    (void)state;
    char b[4];
    size_t two = 0, three = 0, four = 0;
    for (unsigned lead = 0x80; lead < 0x100; lead++) {
        b[0] = (char)lead;
        assert_false(str_utf8_valid(b, 1, NULL));
        for (unsigned second = 0; second < 0x100; second++) {
            b[1] = (char)second;
            two += str_utf8_valid(b, 2, NULL);
            for (unsigned third = 0; third < 0x100; third++) {
                b[2] = (char)third;
                // a 2-byte character and an ASCII byte make a valid string as well
                three += str_utf8_valid(b, 3, NULL) && third >= 0x80;
            }
            for (unsigned tail = 0; tail < 0x1000 && lead >= 0xE0; tail++) {
                static const unsigned char edges[] = {0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xFF};
                if ((tail & 7) > 5 || (tail >> 3 & 7) > 5 || tail >> 6) continue;
                b[2] = (char)edges[tail & 7];
                b[3] = (char)edges[tail >> 3 & 7];
                four += str_utf8_valid(b, 4, NULL) && edges[tail >> 3 & 7] >= 0x80 && lead >= 0xF0;
            }
        }
    }
    assert_int_equal(two, 0x800 - 0x80);
    assert_int_equal(three, 0x10000 - 0x800 - 0x800);        // without the surrogates
    assert_int_equal(four, (0x110000 - 0x10000) / 4096 * 4); // 2 x 2 of the 64 x 64 tails
    size_t bad = 99;
    assert_false(str_utf8_valid("ab\xE2\x82", 4, &bad)); // cut
    assert_int_equal(bad, 2);
    assert_true(str_utf8_valid("", 0, &bad));
}

static void nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"learning_rate", "beta", "loss_type", "lr"};
    assert_string_equal(str_nearest("learnign_rate", names, 4), "learning_rate"); // a swap
    assert_string_equal(str_nearest("learning-rat", names, 4), "learning_rate");
    assert_string_equal(str_nearest("bata", names, 4), "beta");
    assert_string_equal(str_nearest("losstype", names, 4), "loss_type");
    assert_string_equal(str_nearest("lr", names, 4), "lr");
    assert_null(str_nearest("bxxa", names, 4)); // 2 edits of 4
    assert_null(str_nearest("zzz", names, 4));
    assert_null(str_nearest("", names, 4));
    assert_null(str_nearest("beta", NULL, 0));
    static const char *const many[] = {"abcdefghi", "abcdefgxx", "abcdefghx"};
    assert_string_equal(str_nearest("abcdefghz", many, 3), "abcdefghi"); // the first of equals
}

static void figures(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const char *thousands, *bytes;
    } cases[] = {
        {0, "0", "0 B"},
        {999, "999", "999 B"},
        {1000, "1,000", "1000 B"},
        {1024, "1,024", "1.0 KiB"},
        {1536, "1,536", "1.5 KiB"},
        {1048575, "1,048,575", "1.0 MiB"},
        {1234567, "1,234,567", "1.2 MiB"},
        {3328599654, "3,328,599,654", "3.1 GiB"},
        {UINT64_MAX, "18,446,744,073,709,551,615", "16.0 EiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[32];
        assert_string_equal(str_thousands(out, cases[i].value), cases[i].thousands);
        assert_string_equal(str_bytes(out, cases[i].value), cases[i].bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growing),
        cmocka_unit_test(every_codepoint),
        cmocka_unit_test(every_short_string),
        cmocka_unit_test(nearest),
        cmocka_unit_test(figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
