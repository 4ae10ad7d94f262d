/* Chance, as draws.py defines it: SplitMix64 (Steele, Lea and Flood 2014). */

#ifndef FOREST_RANDOM_H
#define FOREST_RANDOM_H

#include <stdint.h>

#define GOLDEN 0x9E3779B97F4A7C15u

typedef struct {
    uint64_t state;
} Draws;

static inline Draws draws_from(uint64_t seed, uint64_t position) {
    return (Draws){seed + position * GOLDEN};
}

/* A whole number, 0 to bound - 1: the high word of draw times bound. */
static inline uint64_t draw_below(Draws *draws, uint64_t bound) {
    uint64_t z = draws->state += GOLDEN;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (uint64_t)(((unsigned __int128)z * bound) >> 64);
}

void forest_draw_rows(uint64_t seed, int64_t n_draws, int64_t n_rows, const int64_t *reached,
                      int32_t *counts);

#endif
