/* The best cut between the bins of one feature, as splitting.py defines it. */

#ifndef FOREST_SEARCH_H
#define FOREST_SEARCH_H

#include <math.h>
#include <stdbool.h>

#include "forest.h"
#include "forest_sort.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Nodes of no more rows are put in order by insertion. */
#define FEW_ROWS 10
/* Columns of more bins are put in order, too, instead of being tallied. A bit for each bin fits in
   64 words, and a bit for each of these in one. */
#define MOST_TALLIED 4096
#define MOST_CLASSES_TALLIED 64
#define WORD_BITS 64

/* The rows left and right of a cut; masses by class are in the grower. */
typedef struct {
    int64_t count_left, count_right;
    int64_t squares_left, squares_right; /* of masses, only where they are counts */
} Sides;

ALWAYS_INLINE uint32_t code_at(const void *codes, const int bytes, uint32_t row) {
    if (bytes == 1) return ((const uint8_t *)codes)[row];
    if (bytes == 2) return ((const uint16_t *)codes)[row];
    return ((const uint32_t *)codes)[row];
}

static inline Sides all_right(Grower *g) {
    for (int64_t c = 0; c < g->task->n_classes; c++) {
        g->left[c] = 0;
        g->right[c] = g->masses[c];
    }
    return (Sides){0, g->count, 0, g->squares};
}

ALWAYS_INLINE void move_left(Grower *g, Sides *sides, uint32_t class, int64_t count, int64_t mass,
                             const Score score) {
    if (score == GINI_OF_COUNTS) {
        sides->squares_left += mass * (2 * g->left[class] + mass);
        sides->squares_right += mass * (mass - 2 * g->right[class]);
    }
    g->left[class] += mass;
    g->right[class] -= mass;
    sides->count_left += count;
    sides->count_right -= count;
}

static bool is_heavy_enough(const Grower *g) {
    const ForestTask *task = g->task;
    return total_of(g->left, task->scales, task->n_classes) >= g->least_mass &&
           total_of(g->right, task->scales, task->n_classes) >= g->least_mass;
}

/* The cut between two neighbouring bins: all that lies below has been moved to the left. */
ALWAYS_INLINE void consider(const Grower *g, const Sides *sides, Cut cut, Cut *best,
                            const Score score) {
    const ForestTask *task = g->task;
    if (sides->count_left < task->min_samples_leaf || sides->count_right < task->min_samples_leaf)
        return;
    if (g->least_mass > 0.0 && !is_heavy_enough(g)) return;
    if (score == GINI_OF_COUNTS)
        cut.score = (double)sides->squares_left / (double)sides->count_left +
                    (double)sides->squares_right / (double)sides->count_right;
    else
        cut.score = score_of(g->left, task->scales, task->n_classes, score) +
                    score_of(g->right, task->scales, task->n_classes, score);
    if (cut.score > best->score) *best = cut;
}

/* Goes through the cuts between n keys in order. The low half of a key holds class and count, or,
   where rows have masses of their own, the place of the row's entry. */
ALWAYS_INLINE void scan_keys(Grower *g, const uint64_t *keys, const Entry *entries, int64_t n,
                             const int64_t *masses, int64_t feature, Cut *best, const Score score,
                             const bool weighted) {
    Sides sides = all_right(g);
    uint32_t code = code_of(keys[0]);
    for (int64_t i = 0; i < n; i++) {
        const uint32_t next = code_of(keys[i]);
        if (next != code) consider(g, &sides, (Cut){0, feature, code, next}, best, score);
        code = next;
        if (weighted) {
            const Entry entry = entries[(uint32_t)keys[i]];
            const int64_t mass = masses[row_of(entry)];
            const int64_t count = g->sample.mass_is_count ? mass : count_of(entry);
            move_left(g, &sides, class_of(entry), count, mass, score);
        } else {
            const int64_t count = count_of(keys[i]);
            move_left(g, &sides, class_of(keys[i]), count, count, score);
        }
    }
}

/* Moves a bin's rows to the left and forgets its tallies. Of many classes a bin has few. */
ALWAYS_INLINE void move_bin(Grower *g, Sides *sides, int64_t bin, const Score score,
                            const bool two_classes) {
    uint32_t *const tally = g->tallies + bin * (two_classes ? 2 : g->task->n_classes);
    if (two_classes) {
        move_left(g, sides, 0, tally[0], tally[0], score);
        move_left(g, sides, 1, tally[1], tally[1], score);
        tally[0] = tally[1] = 0;
        return;
    }
    for (uint64_t classes = g->classes_in[bin]; classes; classes &= classes - 1) {
        const uint32_t class = (uint32_t)__builtin_ctzll(classes);
        move_left(g, sides, class, tally[class], tally[class], score);
        tally[class] = 0;
    }
    g->classes_in[bin] = 0;
}

ALWAYS_INLINE bool is_empty(const Grower *g, int64_t bin, const bool two_classes) {
    return two_classes ? !(g->tallies[2 * bin] | g->tallies[2 * bin + 1]) : !g->classes_in[bin];
}

/* The bins that some row lies in are marked: a word of marks for 64 bins. */
ALWAYS_INLINE bool scan_marked(Grower *g, int64_t n_bins, int64_t feature, Cut *best,
                               const Score score, const bool two_classes) {
    Sides sides = all_right(g);
    int64_t before = -1;
    bool varies = false;
    for (int64_t word = 0; word * WORD_BITS < n_bins; word++) {
        uint64_t marks = g->occupied[word];
        g->occupied[word] = 0;
        for (; marks; marks &= marks - 1) {
            const int64_t bin = word * WORD_BITS + __builtin_ctzll(marks);
            if (before >= 0) {
                varies = true;
                const Cut cut = {0, feature, (uint32_t)before, (uint32_t)bin};
                consider(g, &sides, cut, best, score);
            }
            move_bin(g, &sides, bin, score, two_classes);
            before = bin;
        }
    }
    return varies;
}

ALWAYS_INLINE bool scan_all(Grower *g, int64_t n_bins, int64_t feature, Cut *best,
                            const Score score, const bool two_classes) {
    Sides sides = all_right(g);
    int64_t before = -1;
    bool varies = false;
    for (int64_t bin = 0; bin < n_bins; bin++) {
        if (is_empty(g, bin, two_classes)) continue;
        if (before >= 0) {
            varies = true;
            const Cut cut = {0, feature, (uint32_t)before, (uint32_t)bin};
            consider(g, &sides, cut, best, score);
        }
        move_bin(g, &sides, bin, score, two_classes);
        before = bin;
    }
    return varies;
}

ALWAYS_INLINE void tally(Grower *g, Column column, const Entry *entries, int64_t n,
                         const int bytes, const bool marked, const bool two_classes) {
    const int64_t n_classes = two_classes ? 2 : g->task->n_classes;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t code = code_at(column.codes, bytes, row_of(entries[i]));
        g->tallies[code * n_classes + class_of(entries[i])] += count_of(entries[i]);
        if (!two_classes) g->classes_in[code] |= 1ull << class_of(entries[i]);
        if (marked) g->occupied[code / WORD_BITS] |= 1ull << (code % WORD_BITS);
    }
}

ALWAYS_INLINE bool search_tallies(Grower *g, Column column, const Entry *entries, int64_t n,
                                  int64_t feature, Cut *best, const Score score,
                                  const bool two_classes) {
    /* Many rows fill most bins, so that going through all costs less than marking some. */
    const bool marked = n <= 2 * column.n_bins;
    if (column.bytes == 1) {
        if (marked) tally(g, column, entries, n, 1, true, two_classes);
        else tally(g, column, entries, n, 1, false, two_classes);
    } else if (column.bytes == 2) {
        if (marked) tally(g, column, entries, n, 2, true, two_classes);
        else tally(g, column, entries, n, 2, false, two_classes);
    } else {
        /* Few bins, but some other column has more than 16 bits can number. */
        tally(g, column, entries, n, 4, marked, two_classes);
    }
    return marked ? scan_marked(g, column.n_bins, feature, best, score, two_classes)
                  : scan_all(g, column.n_bins, feature, best, score, two_classes);
}

ALWAYS_INLINE bool gather_few(uint64_t *keys, Column column, const Entry *entries, int64_t n,
                              const int bytes, const bool weighted) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t code = code_at(column.codes, bytes, row_of(entries[i]));
        const uint32_t rest = weighted ? (uint32_t)i : (uint32_t)entries[i];
        insert_key(keys, i, code << 32 | rest);
    }
    return code_of(keys[0]) != code_of(keys[n - 1]);
}

ALWAYS_INLINE uint64_t *gather_many(Grower *g, Column column, const Entry *entries, int64_t n,
                                    const bool weighted) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t code = code_at(column.codes, column.bytes, row_of(entries[i]));
        g->keys[i] = code << 32 | (weighted ? (uint32_t)i : (uint32_t)entries[i]);
    }
    return sort_keys(g->keys, g->spare_keys, n, (uint32_t)column.n_bins);
}

/* Returns whether the feature varies among the n entries. */
ALWAYS_INLINE bool search_feature(Grower *g, Column column, const Entry *entries, int64_t n,
                                  const int64_t *masses, int64_t feature, Cut *best,
                                  const Score score, const bool weighted) {
    uint64_t few[FEW_ROWS];
    const uint64_t *keys = few;
    if (n <= FEW_ROWS) {
        const bool varies = column.bytes == 1   ? gather_few(few, column, entries, n, 1, weighted)
                            : column.bytes == 2 ? gather_few(few, column, entries, n, 2, weighted)
                                                : gather_few(few, column, entries, n, 4, weighted);
        if (!varies) return false;
    } else if (!weighted && column.n_bins <= MOST_TALLIED &&
               g->task->n_classes <= MOST_CLASSES_TALLIED) {
        return g->task->n_classes == 2
                   ? search_tallies(g, column, entries, n, feature, best, score, true)
                   : search_tallies(g, column, entries, n, feature, best, score, false);
    } else {
        keys = gather_many(g, column, entries, n, weighted);
        if (code_of(keys[0]) == code_of(keys[n - 1])) return false;
    }
    scan_keys(g, keys, entries, n, masses, feature, best, score, weighted);
    return true;
}

static bool search_with(Grower *g, Column column, const Entry *entries, int64_t n,
                        const int64_t *masses, int64_t feature, Cut *best) {
    if (masses && g->score == ENTROPY)
        return search_feature(g, column, entries, n, masses, feature, best, ENTROPY, true);
    if (masses) return search_feature(g, column, entries, n, masses, feature, best, GINI, true);
    if (g->score == ENTROPY)
        return search_feature(g, column, entries, n, NULL, feature, best, ENTROPY, false);
    if (g->score == GINI)
        return search_feature(g, column, entries, n, NULL, feature, best, GINI, false);
    return search_feature(g, column, entries, n, NULL, feature, best, GINI_OF_COUNTS, false);
}

#endif
