/* Greedy k-means++: one pass over the rows for all candidates of a centre.

   Lanes are centres: the one chosen last and the candidates for the next. A row is passed over
   where none of them can be nearer than the centre it has (Raff 2021, Exact Acceleration of
   K-Means++ and K-Means||, IJCAI, 10.24963/ijcai.2021/403, section 3): by the triangle inequality
   that is so where they are at least twice as far from that centre as the row is. What the row adds
   to the candidates' sums is known then, and still added in its turn. */

#include "kmeans_beside.h"

enum { TILE = 128, CACHE_LINE = 64, MANY = 6 };

/* Squared distances have a relative error of about (features + 3) * 2^-53, far below this margin,
   as long as they are not so small that their squares round to nothing. */
static const double MARGIN = 1e-6;
static const double LEAST_SQUARE = 1e-280;

struct kmeans_seeding {
    const double *centres; /* the one chosen last, then the candidates */
    int64_t n_centres;
    int32_t label;        /* of the one chosen last */
    const double *bounds; /* for each centre chosen before */
    double *closest;      /* for each row the squared distance to the nearest chosen centre */
    int32_t *nearest;     /* and which that is */
    double *totals;       /* for each part and centre the inertia that it leaves */
};

/* What a thread works with. */
struct desk {
    struct beside beside;
    double *left;  /* for each row of a tile and each lane, the squared distance that is left */
    double *spare; /* rows as doubles, ROWS_AT_ONCE of them */
    int64_t open[TILE + ROWS_AT_ONCE];
};

/* Lists the rows that some centre may be nearer to. */
static int64_t list_open(const struct kmeans_seeding *seeding, int64_t start, int64_t count,
                         int64_t *open) {
    const double *closest = seeding->closest + start, *bounds = seeding->bounds;
    const int32_t *nearest = seeding->nearest + start;
    int64_t n_open = 0;
    for (int64_t i = 0; i < count; i++) {
        open[n_open] = i;
        n_open += !(closest[i] <= bounds[nearest[i]]);
    }
    return n_open;
}

/* Rows that are not open keep what they have, whatever is chosen. */
static void keep(const double *closest, int64_t count, int64_t width, double *left) {
    for (int64_t i = 0; i < count; i++)
        for (int64_t lane = 0; lane < width; lane += LANES)
            store(left + i * width + lane, all_lanes(closest[i]));
}

/* Scattered rows are waited for one by one unless they are asked for in time. */
static void fetch_open(const struct kmeans_rows *rows, int64_t start, const int64_t *open,
                       int64_t n_open) {
    const int64_t n_bytes = rows->n_features * (rows->is_float32 ? 4 : 8);
    const char *values = (const char *)rows->values + start * n_bytes;
    for (int64_t at = 0; at < n_open; at++)
        for (int64_t byte = 0; byte < n_bytes; byte += CACHE_LINE)
            __builtin_prefetch(values + open[at] * n_bytes + byte);
}

/* Of a row whose distances to all centres are in `left`: takes the centre chosen last over, and
   leaves the least of each distance and what the row has now. */
ALWAYS_INLINE void settle(double *closest, int32_t *nearest, int32_t label, double *left,
                          int64_t width) {
    if (left[0] < *closest) {
        *closest = left[0];
        *nearest = label;
    }
    const Vector at_most = all_lanes(*closest);
    for (int64_t lane = 0; lane < width; lane += LANES)
        store(left + lane, smaller(load(left + lane), at_most));
}

static void measure_open(const struct kmeans_rows *rows, struct kmeans_seeding *seeding,
                         int64_t start, int64_t n_open, struct desk *desk) {
    const int64_t width = desk->beside.n_vectors * LANES, n_features = rows->n_features;
    double *closest = seeding->closest + start;
    int32_t *nearest = seeding->nearest + start;
    const int32_t label = seeding->label;
    /* The last few are filled up with the last one. */
    for (int64_t i = n_open; i % ROWS_AT_ONCE; i++) desk->open[i] = desk->open[n_open - 1];
    for (int64_t at = 0; at < n_open; at += ROWS_AT_ONCE) {
        const double *values[ROWS_AT_ONCE];
        double *left[ROWS_AT_ONCE];
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            const int64_t i = desk->open[at + r];
            values[r] = as_doubles(rows, start + i, desk->spare + r * n_features);
            left[r] = desk->left + i * width;
        }
        measure(&desk->beside, values, n_features, left);
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            const int64_t i = desk->open[at + r];
            settle(closest + i, nearest + i, label, left[r], width);
        }
    }
}

/* Where many rows are open it takes less time to open all: those are read in a line, as the
   processor foresees. */
static void measure_tile(const struct kmeans_rows *rows, struct kmeans_seeding *seeding,
                         int64_t start, int64_t count, struct desk *desk) {
    int64_t n_open = list_open(seeding, start, count, desk->open);
    if (n_open > count / MANY) {
        n_open = count;
        for (int64_t i = 0; i < count; i++) desk->open[i] = i;
    } else {
        fetch_open(rows, start, desk->open, n_open);
        keep(seeding->closest + start, count, desk->beside.n_vectors * LANES, desk->left);
    }
    measure_open(rows, seeding, start, n_open, desk);
}

static void add_left(const struct kmeans_rows *rows, int64_t start, int64_t count,
                     const struct desk *desk, double *totals) {
    const int64_t width = desk->beside.n_vectors * LANES;
    for (int64_t lane = 0; lane < width; lane += LANES) {
        Vector total = load(totals + lane);
        for (int64_t i = 0; i < count; i++)
            total += weight_of(rows, start + i) * load(desk->left + i * width + lane);
        store(totals + lane, total);
    }
}

static void seed_part(const struct kmeans_rows *rows, struct kmeans_seeding *seeding,
                      const struct part *part, struct desk *desk, double *totals) {
    memset(totals, 0, (size_t)(desk->beside.n_vectors * LANES) * sizeof(double));
    for (int64_t start = part->start; start < part->stop; start += TILE) {
        const int64_t count = least(TILE, part->stop - start);
        measure_tile(rows, seeding, start, count, desk);
        add_left(rows, start, count, desk, totals);
    }
    memcpy(seeding->totals + part->number * seeding->n_centres, totals,
           (size_t)seeding->n_centres * sizeof(double));
}

/* Takes the centre chosen last over, and adds up what it and each candidate would leave; -1 if
   there is no memory. */
int32_t kmeans_seed(const struct kmeans_rows *rows, struct kmeans_work *work,
                    struct kmeans_seeding *seeding) {
    struct desk desk;
    const int64_t n_features = rows->n_features;
    const int64_t n_vectors = n_vectors_of(seeding->n_centres), width = n_vectors * LANES;
    const int64_t spare = ROWS_AT_ONCE * n_features;
    const int64_t n_doubles = n_features * width + TILE * width + spare + width;
    double *space = malloc(((size_t)n_doubles + LANES) * sizeof(double));
    if (!space) return -1;
    desk.left = aligned(space);
    desk.beside = (struct beside){seeding->n_centres, n_vectors, desk.left + TILE * width};
    double *totals = desk.beside.coordinates + n_features * width;
    desk.spare = totals + width;
    lay_beside(seeding->centres, n_features, &desk.beside);
    struct part part;
    while (take_part(rows, work, &part)) seed_part(rows, seeding, &part, &desk, totals);
    free(space);
    return 0;
}

/* For each chosen centre the squared distance up to which its rows can be passed over: none of
   `others` is nearer to them. Negative where nothing can be said. */
void kmeans_bounds(const double *chosen, int64_t n_chosen, const double *others, int64_t n_others,
                   int64_t n_features, double *bounds) {
    for (int64_t c = 0; c < n_chosen; c++) {
        double nearest = __builtin_inf();
        for (int64_t o = 0; o < n_others; o++) {
            double distance = 0.0;
            for (int64_t f = 0; f < n_features; f++) {
                const double difference = chosen[c * n_features + f] - others[o * n_features + f];
                distance += difference * difference;
            }
            nearest = distance < nearest ? distance : nearest;
        }
        const int is_sound = nearest > LEAST_SQUARE && nearest < __builtin_inf();
        bounds[c] = is_sound ? nearest / 4.0 * (1.0 - MARGIN) : -1.0;
    }
}
