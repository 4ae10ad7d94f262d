/* How good a cut is, as criteria.py defines it, with the same operations in the same order. */

#ifndef FOREST_SCORE_H
#define FOREST_SCORE_H

#include <stdint.h>
#include <string.h>

/* Squares of counts that add up to no more than this, and their sums, are exact in float64. So sums
   that are kept up to date, in whole numbers, are those that criteria.py adds up anew. */
#define MOST_SQUARED (1 << 26)

typedef enum { GINI_OF_COUNTS, GINI, ENTROPY } Score;

#define MANTISSA_BITS 52
#define EXPONENT_OF_ONE 1023
#define LOG2_TERMS 11

static inline double log2_of(double x) {
    int64_t exponent = 0, bits;
    if (x < 2.2250738585072014e-308) { /* the least normal number */
        x *= (double)(1ll << 54);
        exponent = -54;
    }
    memcpy(&bits, &x, sizeof bits);
    const int64_t one = (int64_t)EXPONENT_OF_ONE << MANTISSA_BITS;
    const int64_t fraction = bits & ((1ll << MANTISSA_BITS) - 1);
    exponent += (bits >> MANTISSA_BITS) - EXPONENT_OF_ONE;
    /* m between sqrt(1/2) and sqrt(2): halved where the mantissa is not below sqrt(2). */
    const int64_t above = fraction >= 0x6A09E667F3BCDll;
    const int64_t m_bits = (one | fraction) - (above << MANTISSA_BITS);
    double m;
    memcpy(&m, &m_bits, sizeof m);
    exponent += above;
    const double s = (m - 1.0) / (m + 1.0);
    const double square = s * s;
    double series = 1.0 / (2 * LOG2_TERMS - 1);
    for (int term = LOG2_TERMS - 1; term > 0; term--)
        series = series * square + 1.0 / (2 * term - 1);
    return (double)exponent + s * 2.8853900817779268 * series;
}

static inline double x_log2_x(double x) { return x > 0.0 ? x * log2_of(x) : 0.0; }

static inline double scaled(const int64_t *masses, const double *scales, int64_t class) {
    return scales ? scales[class] * (double)masses[class] : (double)masses[class];
}

/* The mass of all classes; scales may be NULL for 1. */
static inline double total_of(const int64_t *masses, const double *scales, int64_t n_classes) {
    double total = 0.0;
    for (int64_t c = 0; c < n_classes; c++) total += scaled(masses, scales, c);
    return total;
}

/* The score of a part of the rows from its masses by class. */
static inline double score_of(const int64_t *masses, const double *scales, int64_t n_classes,
                              Score score) {
    double total = 0.0, sum = 0.0;
    for (int64_t c = 0; c < n_classes; c++) {
        const double mass = scaled(masses, scales, c);
        total += mass;
        sum += score == ENTROPY ? x_log2_x(mass) : mass * mass;
    }
    return score == ENTROPY ? sum - x_log2_x(total) : sum / total;
}

#endif
