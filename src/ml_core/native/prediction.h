/* What the walks down a forest share, whatever the types of its thresholds and of the rows.

   The definition is prediction.py: a row goes left where x[feature] <= threshold, compared exactly
   in the wider of the two types, and the shares of its leaves are added tree by tree in the order
   of the trees. Walks only choose; no sum is ever taken in another order than the reference's. */

#ifndef ML_CORE_PREDICTION_H
#define ML_CORE_PREDICTION_H

#include <stdint.h>
#include <string.h>

/* Walks under way at once: many more than the processor can overlap, and yet so few that their rows
   and their places stay in its first-level cache. */
enum { WALKS = 256 };

/* Rows that meet one tree before the next tree's turn: enough that fetching the tree costs little
   beside them, few enough that rows and answers stay in the second or third-level cache. */
enum { ROWS_PER_TREE = 1 << 14 };

/* Fewer rows than this go down all trees at once instead, as one tree has too few walks. */
enum { FEW_ROWS = 32 };

struct prediction_forest {
    const void *nodes;
    const int32_t *roots;
    const double *shares;
    int64_t n_trees, n_classes, n_features;
    int hard;
};

/* Walk i stands at node[i] and finds line[slot[i]]. Walks that have ended leave the front part. */
struct walks {
    uint32_t node[WALKS], slot[WALKS];
    int32_t line[WALKS];
};

/* Where the rows' lines or answers go: exactly one of the two is there. */
struct prediction_target {
    int32_t *lines;
    double *answers;
};

/* The class that a leaf votes for; the first n_classes lines are those of one class each. */
static inline int64_t vote(const double *shares, int64_t n_classes, int32_t line) {
    if (line < n_classes) return line;
    const double *share = shares + line * n_classes;
    int64_t best = 0;
    for (int64_t class = 1; class < n_classes; class++)
        if (share[class] > share[best]) best = class;
    return best;
}

static inline void add_shares(double *restrict answer, const double *restrict shares,
                              int64_t n_classes) {
    for (int64_t class = 0; class < n_classes; class++) answer[class] += shares[class];
}

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* What one tree says of one row. */
static inline void take_line(const struct prediction_forest *forest,
                             const struct prediction_target *target, int64_t row, int64_t tree,
                             int32_t line) {
    if (target->lines) {
        target->lines[row * forest->n_trees + tree] = line;
        return;
    }
    double *answer = target->answers + row * forest->n_classes;
    if (forest->hard)
        answer[vote(forest->shares, forest->n_classes, line)] += 1.0;
    else
        add_shares(answer, forest->shares + line * forest->n_classes, forest->n_classes);
}

#endif
