// Philox against the vectors that come with Random123, and against sequences that an independent
// program in Python gave; the draws against the statistics they promise.
#include "support.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

static const uint64_t SEED = UINT64_C(0x0123456789abcdef);

static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint64_t key, hi, lo;
        uint32_t out[4];
    } cases[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {UINT64_C(0x299f31d0a4093822),
         UINT64_C(0x0370734413198a2e),
         UINT64_C(0x85a308d3243f6a88),
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t out[4];
        rng_philox(cases[i].key, cases[i].hi, cases[i].lo, out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
}

static void sequence(void **state)
{
    (void)state;
    static const uint32_t words[16] = {0x4f1c02a1, 0x416988c3, 0x2e6662d0, 0xf08d6a0e,
                                       0xefd94150, 0xb6791cd7, 0x349cc23d, 0x1eadfc3f,
                                       0x9b5e271a, 0x7af0c634, 0x98ab7a1c, 0x172311c3,
                                       0xf162c3ff, 0xba0d7ad4, 0xc6dcca34, 0xcab97372};
    static const double uniforms[] = {0.30902115284826526, 0.18124978638711797, 0.9369088003208826,
                                      0.2055169486254086};
    struct rng r = rng_begin(SEED, 3);
    for (int i = 0; i < 16; i++)
        assert_int_equal(rng_u32(&r), words[i]);
    assert_int_equal(r.index, 16);
    r.index = 5; // a jump
    assert_int_equal(rng_u32(&r), words[5]);
    r.index = UINT64_MAX - 1; // the last block of the stream
    assert_int_equal(rng_u32(&r), 0x3c6f9f8e);

    r = rng_begin(SEED, 3);
    for (int i = 0; i < 4; i++)
        assert_true(rng_uniform(&r) == uniforms[i]);
    r.index = 3; // a draw from two blocks
    double straddling = (double)(((uint64_t)words[3] << 32 | words[4]) >> 11) * 0x1p-53;
    assert_true(rng_uniform(&r) == straddling);

    r = rng_begin(SEED, 3);
    assert_true(fabs(rng_normal(&r) - 0.3599734781186326) < 1e-14);
    assert_true(fabs(rng_normal(&r) - 0.6485215550143995) < 1e-14);
}

static void streams_differ(void **state)
{
    (void)state;
    struct rng a = rng_begin(1, RNG_SHUFFLE), b = rng_begin(1, RNG_INIT),
               c = rng_begin(2, RNG_INIT);
    int equal = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t x = rng_u32(&a), y = rng_u32(&b), z = rng_u32(&c);
        equal += (x == y) + (y == z) + (x == z);
    }
    assert_int_equal(equal, 0); // one chance in a million, and the seed is fixed
}

// Moments of a fixed sequence of 200,000 draws, within five standard errors.
static void normal_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    struct rng r = rng_begin(7, RNG_TEST);
    double sum[5] = {0};
    for (int i = 0; i < N; i++) {
        double x = rng_normal(&r), power = 1;
        for (int k = 1; k <= 4; k++)
            sum[k] += power *= x;
    }
    double error = 5 / sqrt(N);
    assert_true(fabs(sum[1] / N) < error);
    assert_true(fabs(sum[2] / N - 1) < error * sqrt(2));
    assert_true(fabs(sum[3] / N) < error * sqrt(15));
    assert_true(fabs(sum[4] / N - 3) < error * sqrt(96));
}

static void below_is_even(void **state)
{
    (void)state;
    enum { N = 70000, BOUND = 7 };
    struct rng r = rng_begin(11, RNG_TEST);
    double seen[BOUND] = {0}, chi2 = 0;
    for (int i = 0; i < N; i++) {
        uint64_t x = rng_below(&r, BOUND);
        assert_true(x < BOUND);
        seen[x]++;
    }
    for (int i = 0; i < BOUND; i++)
        chi2 += (seen[i] - N / BOUND) * (seen[i] - N / BOUND) / (N / BOUND);
    assert_true(chi2 < 22.5); // 0.999 of chi-square with 6 degrees of freedom
    // Of 2^64 words a bound of 3 * 2^62 must refuse a quarter; kept, they would make the low third
    // of the range twice as likely.
    uint64_t bound = UINT64_C(3) << 62;
    int low = 0;
    for (int i = 0; i < 30000; i++) {
        uint64_t x = rng_below(&r, bound);
        assert_true(x < bound);
        low += x < UINT64_C(1) << 62;
    }
    assert_true(abs(low - 10000) < 5 * 82);
    assert_int_equal(rng_below(&r, 1), 0);
}

static void permutations(void **state)
{
    (void)state;
    static const uint32_t ten[] = {5, 8, 9, 6, 3, 2, 0, 7, 4, 1};
    enum { N = 10007 };
    uint32_t order[N], few[10];
    bool seen[N] = {false};
    struct rng r = rng_begin(SEED, 3);
    rng_permutation(&r, few, 10);
    assert_memory_equal(few, ten, sizeof ten);
    rng_permutation(&r, order, N);
    for (int i = 0; i < N; i++) {
        assert_true(order[i] < N);
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
    }
    rng_permutation(&r, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),  cmocka_unit_test(sequence),
        cmocka_unit_test(streams_differ), cmocka_unit_test(normal_moments),
        cmocka_unit_test(below_is_even),  cmocka_unit_test(permutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
