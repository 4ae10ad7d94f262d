/* What the kernels of K-Means share: the rows of a fit, its parts, and vectors of doubles.

   The definition is kmeans_reference.py. Every number here is made by the same additions,
   subtractions and multiplications of doubles in the same order; only which of them happen at the
   same time differs. A vector therefore never holds terms of one sum: its lanes are different rows
   or different centres. */

#ifndef ML_CORE_KMEANS_H
#define ML_CORE_KMEANS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* As wide as the registers of the build: wider vectors are spilt to memory, many times slower. */
#if defined(__AVX512F__)
enum { LANES = 8 };
#elif defined(__AVX2__)
enum { LANES = 4 };
#else
enum { LANES = 2 };
#endif

typedef double Vector __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t Whole __attribute__((vector_size(LANES * sizeof(int64_t))));
typedef float Singles __attribute__((vector_size(LANES * sizeof(float))));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* The rows of a fit, one behind the other. Without weights each counts once. */
struct kmeans_rows {
    const void *values;
    const double *weights;
    int64_t is_float32, n_rows, n_features, part_size;
};

/* Parts still to be done, which threads take one by one: `which` of them, or without it all. */
struct kmeans_work {
    const int64_t *which;
    int64_t next, stop;
};

struct part {
    int64_t number, start, stop;
};

static inline int take_part(const struct kmeans_rows *rows, struct kmeans_work *work,
                            struct part *part) {
    const int64_t at = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED);
    if (at >= work->stop) return 0;
    part->number = work->which ? work->which[at] : at;
    part->start = part->number * rows->part_size;
    part->stop = part->start + rows->part_size;
    if (part->stop > rows->n_rows) part->stop = rows->n_rows;
    return 1;
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static inline double weight_of(const struct kmeans_rows *rows, int64_t row) {
    return rows->weights ? rows->weights[row] : 1.0;
}

ALWAYS_INLINE Vector load(const double *from) {
    Vector vector;
    memcpy(&vector, from, sizeof vector);
    return vector;
}

ALWAYS_INLINE void store(double *to, Vector vector) { memcpy(to, &vector, sizeof vector); }

ALWAYS_INLINE Vector all_lanes(double value) { return value - (Vector){0}; }

/* In each lane a where the condition, a comparison, holds; else b. */
ALWAYS_INLINE Vector choose(Whole condition, Vector a, Vector b) {
    return (Vector)((condition & (Whole)a) | (~condition & (Whole)b));
}

ALWAYS_INLINE Vector smaller(Vector a, Vector b) { return choose(a < b, a, b); }

/* The row as doubles: where it lies, or copied to `space`. */
static inline const double *as_doubles(const struct kmeans_rows *rows, int64_t row,
                                       double *space) {
    const int64_t first = row * rows->n_features;
    if (!rows->is_float32) return (const double *)rows->values + first;
    const float *values = (const float *)rows->values + first;
    for (int64_t f = 0; f < rows->n_features; f++) space[f] = values[f];
    return space;
}

/* LANES values of a row from its feature f on. */
ALWAYS_INLINE Vector load_values(const struct kmeans_rows *rows, int64_t row, int64_t f) {
    const int64_t first = row * rows->n_features + f;
    if (!rows->is_float32) return load((const double *)rows->values + first);
    Singles values;
    memcpy(&values, (const float *)rows->values + first, sizeof values);
    return __builtin_convertvector(values, Vector);
}

static inline double value_of(const struct kmeans_rows *rows, int64_t row, int64_t f) {
    const int64_t at = row * rows->n_features + f;
    return rows->is_float32 ? ((const float *)rows->values)[at]
                            : ((const double *)rows->values)[at];
}

/* The first place in `space` where a vector lies in one line of the cache: across two it takes
   twice as long to load. There must be room for LANES doubles more. */
static inline double *aligned(double *space) {
    return (double *)(((uintptr_t)space + sizeof(Vector) - 1) & -sizeof(Vector));
}

#endif
