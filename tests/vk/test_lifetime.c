// No two arrays that ever live in the same phase share a byte, whatever the plan: told phase by
// phase from a table of the test's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "vk/lifetime.h"

#define ARRAYS 60
#define PHASES 40
#define ALIGN 64

struct table {
    bool live[ARRAYS][PHASES];
    uint64_t bytes[ARRAYS];
    uint32_t arrays;
};

// Lives of random lengths and gaps; sizes of several orders of magnitude, many of them alike.
static void make(struct table *t, struct vk_lifetimes *l, struct rng *r)
{
    *t = (struct table){.arrays = 1 + (uint32_t)rng_below(r, ARRAYS)};
    *l = (struct vk_lifetimes){0};
    for (uint32_t i = 0; i < t->arrays; i++) {
        t->bytes[i] = i && rng_below(r, 3) == 0
                          ? t->bytes[rng_below(r, i)]
                          : rng_below(r, (uint64_t)1 << (1 + rng_below(r, 14)));
        assert_int_equal(vk_lifetimes_add(l, t->bytes[i]), i);
        uint32_t at = (uint32_t)rng_below(r, PHASES);
        while (at < PHASES) {
            uint32_t last = at + (uint32_t)rng_below(r, 8);
            if (last >= PHASES) last = PHASES - 1;
            vk_lifetimes_live(l, i, at, last);
            for (uint32_t p = at; p <= last; p++)
                t->live[i][p] = true;
            at = last + (uint32_t)rng_below(r, 30); // may touch, or begin in the same phase
            if (at == last && last == PHASES - 1) break;
        }
    }
}

static uint64_t rounded(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static void check(const struct table *t, const struct vk_lifetimes *l, uint64_t from, uint64_t span,
                  uint64_t end)
{
    uint64_t last = from, most = 0, all = 0;
    for (uint32_t i = 0; i < t->arrays; i++) {
        uint64_t at = l->arrays.items[i].offset, bytes = t->bytes[i];
        assert_int_equal(at % ALIGN, 0);
        assert_true(at >= from);
        assert_true(at % span + bytes <= span);
        if (at + bytes > last) last = at + bytes;
        all += rounded(bytes);
    }
    assert_int_equal(end, last);
    for (uint32_t p = 0; p < PHASES; p++) {
        uint64_t now = 0;
        for (uint32_t i = 0; i < t->arrays; i++) {
            if (!t->live[i][p]) continue;
            now += rounded(t->bytes[i]);
            uint64_t a = l->arrays.items[i].offset, a_end = a + t->bytes[i];
            for (uint32_t k = 0; k < i; k++) {
                uint64_t b = l->arrays.items[k].offset, b_end = b + t->bytes[k];
                if (t->live[k][p] && a < b_end && b < a_end && a < a_end && b < b_end)
                    fail_msg("arrays %u and %u share bytes in phase %u", k, i, p);
            }
        }
        if (now > most) most = now;
    }
    assert_int_equal(vk_lifetimes_least(l, ALIGN), most);
    assert_int_equal(vk_lifetimes_apart(l, ALIGN), all);
    assert_true(rounded(end) - from >= most);
}

static void no_two_meet(void **state)
{
    (void)state;
    struct rng r = rng_begin(11, RNG_TEST);
    double share = 0;
    for (int round = 0; round < 2000; round++) {
        struct table t;
        struct vk_lifetimes l;
        make(&t, &l, &r);
        uint64_t from = rounded(rng_below(&r, 5000));
        uint64_t span = round % 2 ? (uint64_t)1 << 40 : (uint64_t)1 << 14;
        uint64_t end = vk_lifetimes_place(&l, from, span, ALIGN);
        check(&t, &l, from, span, end);
        uint64_t offsets[ARRAYS];
        for (uint32_t i = 0; i < t.arrays; i++)
            offsets[i] = l.arrays.items[i].offset;
        assert_int_equal(vk_lifetimes_place(&l, from, span, ALIGN), end);
        for (uint32_t i = 0; i < t.arrays; i++)
            assert_int_equal(l.arrays.items[i].offset, offsets[i]);
        // Without ends of spans in the way it must not be worse than no sharing at all.
        if (round % 2) assert_true(end - from <= vk_lifetimes_apart(&l, ALIGN));
        share += (double)(end - from) / (double)(vk_lifetimes_apart(&l, ALIGN) + 1) / 2000;
        vk_lifetimes_finish(&l);
    }
    print_message("random plans need %.0f%% of the memory of all arrays\n", 100 * share);
}

// What is known to fit exactly.
static void known(void **state)
{
    (void)state;
    struct vk_lifetimes l = {0};
    // One after the other, and one that lives with each.
    for (uint32_t i = 0; i < 5; i++)
        vk_lifetimes_live(&l, vk_lifetimes_add(&l, 1024 * (i + 1)), i, i);
    vk_lifetimes_live(&l, vk_lifetimes_add(&l, 100), 0, 4);
    assert_int_equal(vk_lifetimes_place(&l, 0, 1 << 20, 1024), 5 * 1024 + 100);
    // It moves behind what was there before, and into the next span where this one is too short.
    assert_int_equal(vk_lifetimes_place(&l, 4096, 8192, 1024), 8192 + 5 * 1024 + 100);
    assert_int_equal(l.arrays.items[3].offset, 4096);
    assert_int_equal(l.arrays.items[4].offset, 8192);
    // A gap in an array's life is another's.
    struct vk_lifetimes gap = {0};
    size_t first = vk_lifetimes_add(&gap, 4096), second = vk_lifetimes_add(&gap, 4096);
    vk_lifetimes_live(&gap, first, 0, 1);
    vk_lifetimes_live(&gap, first, 5, 9);
    vk_lifetimes_live(&gap, second, 2, 4);
    assert_int_equal(vk_lifetimes_place(&gap, 0, 1 << 20, 1024), 4096);
    // And an array that lives in no phase meets nobody.
    vk_lifetimes_add(&gap, 4096);
    assert_int_equal(vk_lifetimes_place(&gap, 0, 1 << 20, 1024), 4096);
    vk_lifetimes_finish(&l);
    vk_lifetimes_finish(&gap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_meet),
        cmocka_unit_test(known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
