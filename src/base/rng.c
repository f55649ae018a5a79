#include "rng.h"

#include "error.h"

#include <math.h>

void rng_philox(uint64_t key, uint64_t counter_hi, uint64_t counter_lo, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter_lo, c1 = (uint32_t)(counter_lo >> 32);
    uint32_t c2 = (uint32_t)counter_hi, c3 = (uint32_t)(counter_hi >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = UINT64_C(0xD2511F53) * c0, p1 = UINT64_C(0xCD9E8D57) * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9; // the golden ratio and sqrt(3) - 1, as the paper's Weyl sequences
        k1 += 0xBB67AE85;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct rng rng_begin(uint64_t seed, uint64_t stream)
{
    return (struct rng){.seed = seed, .stream = stream};
}

// The next `count` <= 4 words; `index` counts words, four to a block.
static void draw(struct rng *r, uint32_t *out, int count)
{
    uint32_t block[4];
    for (int i = 0; i < count; i++, r->index++) {
        unsigned word = (unsigned)(r->index & 3);
        if (i == 0 || word == 0) rng_philox(r->seed, r->stream, r->index >> 2, block);
        out[i] = block[word];
    }
}

static uint64_t join(const uint32_t words[2])
{
    return (uint64_t)words[0] << 32 | words[1];
}

static double unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

uint32_t rng_u32(struct rng *r)
{
    uint32_t word;
    draw(r, &word, 1);
    return word;
}

double rng_uniform(struct rng *r)
{
    uint32_t words[2];
    draw(r, words, 2);
    return unit(join(words));
}

double rng_normal(struct rng *r)
{
    static const double tau = 6.283185307179586476925286766559;
    uint32_t words[4];
    draw(r, words, 4);
    double radius = sqrt(-2.0 * log(1.0 - unit(join(words)))); // 1 - u is never 0
    return radius * cos(tau * unit(join(words + 2)));
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    CHECK(bound > 0);
    // 2^64 mod bound: numbers below it would favour the small remainders.
    uint64_t biased = (UINT64_MAX - bound + 1) % bound;
    for (;;) {
        uint32_t words[2];
        draw(r, words, 2);
        if (join(words) >= biased) return join(words) % bound;
    }
}

void rng_permutation(struct rng *r, uint32_t *order, size_t count)
{
    CHECK(count <= UINT32_MAX);
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)rng_below(r, i);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}
