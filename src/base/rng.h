// Seeded counter-based randomness: Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3", SC11). A value depends only on (seed, stream, index), so any part of a run can be
// repeated without replaying what came before.
#ifndef TRDPO_BASE_RNG_H
#define TRDPO_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

// Streams: one for each purpose, so that no two uses share numbers.
enum rng_stream {
    RNG_SHUFFLE = 1,
    RNG_INIT = 2,
    RNG_SAMPLE = 3,
    RNG_TEST = 4,
    RNG_DEMO = 5,
    RNG_STUDY = 6
};

// Four 32-bit words for a 64-bit key and a 128-bit counter: the bare generator.
void rng_philox(uint64_t key, uint64_t counter_hi, uint64_t counter_lo, uint32_t out[4]);

// A sequence: rng_begin(seed, stream) then draws. `index` may be set to jump.
struct rng {
    uint64_t seed, stream, index;
};
struct rng rng_begin(uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *r);
double rng_uniform(struct rng *r);                 // in [0, 1), 53 bits
double rng_normal(struct rng *r);                  // mean 0, variance 1 (Box-Muller)
uint64_t rng_below(struct rng *r, uint64_t bound); // in [0, bound), without bias; bound > 0

// Fisher-Yates shuffle of the indices 0..count-1, written to `order`.
void rng_permutation(struct rng *r, uint32_t *order, size_t count);

#endif
