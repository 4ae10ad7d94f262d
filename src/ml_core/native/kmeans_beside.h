/* Distances of a row to several centres at once: lanes are centres. */

#ifndef ML_CORE_KMEANS_BESIDE_H
#define ML_CORE_KMEANS_BESIDE_H

#include "kmeans.h"

/* So many that their additions need not wait for one another. */
enum { ROWS_AT_ONCE = 4 };

/* Centres side by side: for each feature their coordinates, filled up with infinitely far ones. */
struct beside {
    int64_t n_centres, n_vectors;
    double *coordinates;
};

static inline void lay_beside(const double *centres, int64_t n_features,
                              const struct beside *beside) {
    const int64_t width = beside->n_vectors * LANES;
    for (int64_t f = 0; f < n_features; f++)
        for (int64_t c = 0; c < width; c++)
            beside->coordinates[f * width + c] =
                c < beside->n_centres ? centres[c * n_features + f] : __builtin_inf();
}

/* Squared distances of some rows to all centres: for each row as many as there are lanes. */
ALWAYS_INLINE void measure(const struct beside *beside, const double *rows[ROWS_AT_ONCE],
                           int64_t n_features, double *distances[ROWS_AT_ONCE]) {
    const int64_t width = beside->n_vectors * LANES;
    for (int64_t lane = 0; lane < width; lane += LANES) {
        Vector found[ROWS_AT_ONCE] = {0};
        const double *coordinates = beside->coordinates + lane;
        for (int64_t f = 0; f < n_features; f++) {
            const Vector coordinate = load(coordinates + f * width);
            for (int r = 0; r < ROWS_AT_ONCE; r++) {
                const Vector difference = rows[r][f] - coordinate;
                found[r] += difference * difference;
            }
        }
        for (int r = 0; r < ROWS_AT_ONCE; r++) store(distances[r] + lane, found[r]);
    }
}

static inline int64_t n_vectors_of(int64_t n_centres) { return (n_centres + LANES - 1) / LANES; }

#endif
