/* The nearest centre of each row, and in the same pass the sums that the new centres are made of.

   Lanes are rows. A tile of rows is turned so that each feature's values lie side by side; several
   centres then go over it at once, each adding up its own distances feature by feature. The tile
   stays in the cache until its rows are added to the sums: an iteration reads the rows once. */

#include "kmeans.h"

/* TILE rows of up to 500 features stay in the second cache. */
enum { TILE = 64, ABREAST = 2, GROUP = ABREAST * LANES, CENTRES_AT_ONCE = 4 };

struct tile {
    double *values; /* feature by feature, TILE rows each */
    double closest[TILE];
    int64_t labels[TILE];
};

#if defined(__AVX512F__)
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif defined(__AVX2__)
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#else
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 2)
#define HIGH(a, b) __builtin_shufflevector(a, b, 1, 3)
#endif

/* Shuffling the two halves of the rows into each other moves one bit of each element's row number
   to its column number; after as many shuffles as these numbers have bits, they are exchanged. */
ALWAYS_INLINE void transpose(Vector block[LANES]) {
    for (int bit = 1; bit < LANES; bit *= 2) {
        Vector shuffled[LANES];
        for (int i = 0; i < LANES / 2; i++) {
            shuffled[2 * i] = LOW(block[i], block[i + LANES / 2]);
            shuffled[2 * i + 1] = HIGH(block[i], block[i + LANES / 2]);
        }
        memcpy(block, shuffled, sizeof shuffled);
    }
}

/* LANES rows from `first` on go to the lanes at `to`; beyond `last` that row is repeated. */
static void turn_rows(const struct kmeans_rows *rows, int64_t first, int64_t last, double *to) {
    int64_t f = 0;
    for (; f + LANES <= rows->n_features; f += LANES) {
        Vector block[LANES];
        for (int i = 0; i < LANES; i++)
            block[i] = load_values(rows, least(first + i, last), f);
        transpose(block);
        for (int i = 0; i < LANES; i++) store(to + (f + i) * TILE, block[i]);
    }
    for (; f < rows->n_features; f++)
        for (int i = 0; i < LANES; i++)
            to[f * TILE + i] = value_of(rows, least(first + i, last), f);
}

/* Compares a group of rows with `count` centres, the first of which has the number `label`. */
ALWAYS_INLINE void compare(struct tile *tile, int64_t group, const double *centres, int64_t label,
                           int count, int64_t n_features) {
    const double *values = tile->values + group;
    Vector distances[CENTRES_AT_ONCE][ABREAST] = {0};
    for (int64_t f = 0; f < n_features; f++) {
        for (int c = 0; c < count; c++) {
            const double coordinate = centres[c * n_features + f];
            for (int v = 0; v < ABREAST; v++) {
                const Vector difference = load(values + f * TILE + v * LANES) - coordinate;
                distances[c][v] += difference * difference;
            }
        }
    }
    for (int v = 0; v < ABREAST; v++) {
        Vector closest = load(tile->closest + group + v * LANES);
        Whole labels;
        memcpy(&labels, tile->labels + group + v * LANES, sizeof labels);
        for (int c = 0; c < count; c++) {
            /* Only a nearer one displaces: of equally near centres the first stays. */
            const Whole nearer = distances[c][v] < closest;
            closest = choose(nearer, distances[c][v], closest);
            labels = (nearer & (label + c)) | (~nearer & labels);
        }
        store(tile->closest + group + v * LANES, closest);
        memcpy(tile->labels + group + v * LANES, &labels, sizeof labels);
    }
}

static void compare_with_all(struct tile *tile, int64_t n_filled, const double *centres,
                             int64_t n_clusters, int64_t n_features) {
    for (int64_t c = 0; c < n_clusters; c += CENTRES_AT_ONCE) {
        const double *some = centres + c * n_features;
        for (int64_t group = 0; group < n_filled; group += GROUP) {
            switch (least(n_clusters - c, CENTRES_AT_ONCE)) {
                case 1: compare(tile, group, some, c, 1, n_features); break;
                case 2: compare(tile, group, some, c, 2, n_features); break;
                case 3: compare(tile, group, some, c, 3, n_features); break;
                default: compare(tile, group, some, c, CENTRES_AT_ONCE, n_features);
            }
        }
    }
}

static void find_nearest(const struct kmeans_rows *rows, int64_t start, int64_t count,
                         const double *centres, int64_t n_clusters, struct tile *tile) {
    const int64_t n_filled = (count + GROUP - 1) / GROUP * GROUP;
    for (int64_t i = 0; i < n_filled; i += LANES)
        turn_rows(rows, start + i, start + count - 1, tile->values + i);
    for (int64_t i = 0; i < n_filled; i++) {
        tile->closest[i] = __builtin_inf();
        tile->labels[i] = 0;
    }
    compare_with_all(tile, n_filled, centres, n_clusters, rows->n_features);
}

ALWAYS_INLINE void add_row(const struct kmeans_rows *rows, int64_t row, int64_t label,
                           double *sums, double *totals) {
    const int64_t n_features = rows->n_features;
    const double weight = weight_of(rows, row);
    double *sum = sums + label * n_features;
    totals[label] += weight;
    int64_t f = 0;
    for (; f + LANES <= n_features; f += LANES)
        store(sum + f, load(sum + f) + weight * load_values(rows, row, f));
    for (; f < n_features; f++) sum[f] += weight * value_of(rows, row, f);
}

/* What one pass is asked for. Arrays that may be NULL are not wanted then; `labels` holds those of
   the pass before, and of each part it is noted whether any has changed. */
struct kmeans_assignment {
    const double *centres;
    int64_t n_clusters;
    int32_t *labels;
    double *closest;  /* for each row, or NULL */
    double *inertias; /* for each part */
    int64_t *changed; /* for each part */
    double *sums;     /* for each part and cluster a row, or NULL */
    double *totals;   /* for each part and cluster, or NULL */
};

static void take_over(const struct kmeans_rows *rows, struct kmeans_assignment *wanted,
                      int64_t part, int64_t start, int64_t count, const struct tile *tile) {
    double inertia = wanted->inertias[part];
    int64_t changed = 0;
    for (int64_t i = 0; i < count; i++) {
        const int32_t label = (int32_t)tile->labels[i];
        changed |= label ^ wanted->labels[start + i];
        wanted->labels[start + i] = label;
        inertia += weight_of(rows, start + i) * tile->closest[i];
    }
    wanted->inertias[part] = inertia;
    wanted->changed[part] |= changed;
    if (wanted->closest)
        memcpy(wanted->closest + start, tile->closest, (size_t)count * sizeof(double));
    if (!wanted->sums) return;
    double *totals = wanted->totals + part * wanted->n_clusters;
    double *sums = wanted->sums + part * wanted->n_clusters * rows->n_features;
    for (int64_t i = 0; i < count; i++) add_row(rows, start + i, tile->labels[i], sums, totals);
}

/* Assigns the rows of the parts still to be done; -1 if there is no memory. All that is added up
   begins with what the arrays hold. */
int32_t kmeans_assign(const struct kmeans_rows *rows, struct kmeans_work *work,
                      struct kmeans_assignment *wanted) {
    struct tile tile;
    double *space = malloc(((size_t)rows->n_features * TILE + LANES) * sizeof(double));
    if (!space) return -1;
    tile.values = aligned(space);
    struct part part;
    while (take_part(rows, work, &part)) {
        for (int64_t start = part.start; start < part.stop; start += TILE) {
            const int64_t count = least(TILE, part.stop - start);
            find_nearest(rows, start, count, wanted->centres, wanted->n_clusters, &tile);
            take_over(rows, wanted, part.number, start, count, &tile);
        }
    }
    free(space);
    return 0;
}

/* The sums and weights of clusters whose rows are known, for each part. */
int32_t kmeans_cluster_sums(const struct kmeans_rows *rows, struct kmeans_work *work,
                            const int32_t *labels, int64_t n_clusters, double *sums,
                            double *totals) {
    struct part part;
    while (take_part(rows, work, &part)) {
        double *of_part = sums + part.number * n_clusters * rows->n_features;
        for (int64_t row = part.start; row < part.stop; row++)
            add_row(rows, row, labels[row], of_part, totals + part.number * n_clusters);
    }
    return 0;
}

/* Adds the values of LANES columns, or the squares of their deviations, row by row. */
ALWAYS_INLINE void add_columns(const struct kmeans_rows *rows, int64_t start, int64_t stop,
                               int64_t f, const double *means, double *sums) {
    const Vector mean = means ? load(means + f) : all_lanes(0.0);
    Vector sum = load(sums + f);
    for (int64_t row = start; row < stop; row++) {
        const Vector deviation = load_values(rows, row, f) - mean;
        sum += means ? deviation * deviation : deviation;
    }
    store(sums + f, sum);
}

static void add_column(const struct kmeans_rows *rows, int64_t start, int64_t stop, int64_t f,
                       const double *means, double *sums) {
    for (int64_t row = start; row < stop; row++) {
        const double deviation = value_of(rows, row, f) - (means ? means[f] : 0.0);
        sums[f] += means ? deviation * deviation : deviation;
    }
}

/* For each part and column the sum of its values or, given means, of its squared deviations. */
int32_t kmeans_column_sums(const struct kmeans_rows *rows, struct kmeans_work *work,
                           const double *means, double *sums) {
    struct part part;
    while (take_part(rows, work, &part)) {
        double *of_part = sums + part.number * rows->n_features;
        for (int64_t start = part.start; start < part.stop; start += TILE) {
            const int64_t stop = least(start + TILE, part.stop);
            int64_t f = 0;
            for (; f + LANES <= rows->n_features; f += LANES)
                add_columns(rows, start, stop, f, means, of_part);
            for (; f < rows->n_features; f++) add_column(rows, start, stop, f, means, of_part);
        }
    }
    return 0;
}

/* Adds up `n_parts` lines of numbers, the lines in turn. */
void kmeans_add_parts(const double *parts, int64_t n_parts, int64_t length, double *sums) {
    for (int64_t part = 0; part < n_parts; part++)
        for (int64_t i = 0; i < length; i++) sums[i] += parts[part * length + i];
}
