/* The squared distances of all rows to all centres. */

#include "kmeans_beside.h"

/* To `distances`, a line for each row; -1 if there is no memory. */
int32_t kmeans_distances(const struct kmeans_rows *rows, struct kmeans_work *work,
                         const double *centres, int64_t n_centres, double *distances) {
    const int64_t n_vectors = n_vectors_of(n_centres), width = n_vectors * LANES;
    const int64_t n_features = rows->n_features;
    const int64_t n_doubles = (n_features + ROWS_AT_ONCE) * width + ROWS_AT_ONCE * n_features;
    double *space = malloc(((size_t)n_doubles + LANES) * sizeof(double));
    if (!space) return -1;
    double *found = aligned(space), *spare = found + ROWS_AT_ONCE * width;
    const struct beside beside = {n_centres, n_vectors, spare + ROWS_AT_ONCE * n_features};
    lay_beside(centres, n_features, &beside);
    struct part part;
    while (take_part(rows, work, &part)) {
        for (int64_t start = part.start; start < part.stop; start += ROWS_AT_ONCE) {
            const double *values[ROWS_AT_ONCE];
            double *lines[ROWS_AT_ONCE];
            for (int r = 0; r < ROWS_AT_ONCE; r++) {
                const int64_t row = least(start + r, part.stop - 1);
                values[r] = as_doubles(rows, row, spare + r * n_features);
                lines[r] = found + r * width;
            }
            measure(&beside, values, n_features, lines);
            for (int r = 0; r < ROWS_AT_ONCE && start + r < part.stop; r++)
                memcpy(distances + (start + r) * n_centres, lines[r],
                       (size_t)n_centres * sizeof(double));
        }
    }
    free(space);
    return 0;
}
