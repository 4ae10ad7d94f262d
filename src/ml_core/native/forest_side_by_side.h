/* The best cuts of up to eight features at once, as splitting.py defines them.

   The lanes of a vector are different features, never terms of one sum. A row's class and count are
   read once for all features, and its tallies go to as many places that do not wait for each other;
   cuts are gone through bin by bin without branches. Only counts that are squared in 32 bits. */

#ifndef FOREST_SIDE_BY_SIDE_H
#define FOREST_SIDE_BY_SIDE_H

#include <math.h>
#include <string.h>

#include "forest.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define LANES 8
#define MOST_SQUARED_IN_32_BITS 0x7FFF
#define MOST_SIDE_BY_SIDE_CLASSES 64
/* A tally is of a bin and a class, for all lanes: so many stay in cache. */
#define MOST_TALLIES 1024
/* What a bin costs beside its classes, and a row of a feature without this search: measured. */
#define COST_OF_BIN 8
#define COST_OF_ROW 6

typedef int32_t Ints __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef int64_t Longs __attribute__((vector_size(LANES * sizeof(int64_t))));
typedef double Doubles __attribute__((vector_size(LANES * sizeof(double))));

/* Features that are looked at together; codes of one byte. */
typedef struct {
    int64_t n;
    int64_t features[LANES];
    const uint8_t *codes[LANES];
    int64_t n_bins; /* of the feature that has most */
} Group;

/* The best cut of each feature, its score -INFINITY where there is none, and whether it varies. */
typedef struct {
    Doubles scores;
    Longs below;
    Ints varied;
} Found;

ALWAYS_INLINE Ints load_ints(const int32_t *from) {
    Ints vector;
    memcpy(&vector, from, sizeof vector);
    return vector;
}

ALWAYS_INLINE void store_ints(int32_t *to, Ints vector) { memcpy(to, &vector, sizeof vector); }

ALWAYS_INLINE Doubles choose_doubles(Longs condition, Doubles a, Doubles b) {
    return (Doubles)((condition & (Longs)a) | (~condition & (Longs)b));
}

ALWAYS_INLINE void tally_rows(Grower *g, const Group *group, const Entry *entries, int64_t n,
                              const int64_t n_lanes) {
    const int64_t bin_size = g->n_present * LANES;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t row = row_of(entries[i]);
        const int32_t count = (int32_t)count_of(entries[i]);
        int32_t *const tallies = g->side_by_side + g->numbers[class_of(entries[i])] * LANES;
        for (int64_t lane = 0; lane < n_lanes; lane++)
            tallies[group->codes[lane][row] * bin_size + lane] += count;
    }
}

static void tally_group(Grower *g, const Group *group, const Entry *entries, int64_t n) {
    const size_t size = (size_t)(group->n_bins * g->n_present * LANES) * sizeof(int32_t);
    memset(g->side_by_side, 0, size);
    if (group->n == LANES) tally_rows(g, group, entries, n, LANES);
    else if (group->n == LANES / 2) tally_rows(g, group, entries, n, LANES / 2);
    else tally_rows(g, group, entries, n, group->n);
}

/* Bins that are empty change neither side, so that the cut before them stays the first of equals. */
static Found cut_group(const Grower *g, const Group *group) {
    const int64_t n_present = g->n_present;
    const Ints none = {0}, total = none + (int32_t)g->count;
    const Ints least = none + (int32_t)g->task->min_samples_leaf;
    const Ints squares = none + (int32_t)g->squares;
    int32_t left[MOST_SIDE_BY_SIDE_CLASSES * LANES];
    memset(left, 0, (size_t)n_present * LANES * sizeof(int32_t));
    Found found = {(Doubles){0} - INFINITY, {0}, none};
    const int32_t *tallies = g->side_by_side;
    for (int64_t bin = 0; bin + 1 < group->n_bins; bin++) {
        Ints count = none, squares_left = none, products = none;
        for (int64_t c = 0; c < n_present; c++, tallies += LANES) {
            const Ints mass = load_ints(left + c * LANES) + load_ints(tallies);
            store_ints(left + c * LANES, mass);
            count += mass;
            squares_left += mass * mass;
            products += mass * g->present_masses[c];
        }
        const Ints rest = total - count, squares_right = squares - 2 * products + squares_left;
        const Doubles score =
            __builtin_convertvector(squares_left, Doubles) / __builtin_convertvector(count, Doubles) +
            __builtin_convertvector(squares_right, Doubles) / __builtin_convertvector(rest, Doubles);
        const Longs allowed = __builtin_convertvector((count >= least) & (rest >= least), Longs);
        const Longs better = allowed & (Longs)(score > found.scores);
        found.scores = choose_doubles(better, score, found.scores);
        found.below = (better & bin) | (~better & found.below);
        found.varied |= (count > 0) & (rest > 0);
    }
    return found;
}

/* Whether a group can be gone through side by side, and is sooner. */
static bool go_side_by_side(const Grower *g, const Group *group, int64_t n, bool in_block) {
    const int32_t bytes = in_block ? g->block_bytes : g->task->code_bytes;
    return bytes == 1 && g->score == GINI_OF_COUNTS && g->least_mass == 0.0 &&
           g->count <= MOST_SQUARED_IN_32_BITS && g->n_present <= MOST_SIDE_BY_SIDE_CLASSES &&
           group->n_bins * g->n_present <= MOST_TALLIES &&
           group->n_bins * (COST_OF_BIN + g->n_present) <= COST_OF_ROW * n * group->n;
}

/* The next bin that some row lies in. */
static uint32_t bin_above(const Grower *g, uint32_t below, int64_t lane) {
    for (uint32_t bin = below + 1;; bin++)
        for (int64_t c = 0; c < g->n_present; c++)
            if (g->side_by_side[(bin * g->n_present + c) * LANES + lane]) return bin;
}

#endif
