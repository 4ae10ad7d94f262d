/* Rows down the trees of a forest: the line each row ends at, or the mean of the lines' shares. */

#include "prediction.h"

/* As the arrays of Python hold them: 12 bytes, and 16. */
struct single_node {
    float threshold;
    int32_t feature, left;
};

struct double_node {
    double threshold;
    int32_t feature, left;
};

#define NAMED(name) name##_single_single
#define NODE struct single_node
#define NUMBER float
#include "prediction_walk.h"

#define NAMED(name) name##_single_double
#define NODE struct single_node
#define NUMBER double
#include "prediction_walk.h"

#define NAMED(name) name##_double_single
#define NODE struct double_node
#define NUMBER float
#include "prediction_walk.h"

#define NAMED(name) name##_double_double
#define NODE struct double_node
#define NUMBER double
#include "prediction_walk.h"

static void rows_down_forest(const struct prediction_forest *forest, int thresholds_are_double,
                             const void *rows, int rows_are_double, int64_t n_rows,
                             const struct prediction_target *target) {
    if (thresholds_are_double && rows_are_double)
        rows_down_forest_double_double(forest, rows, n_rows, target);
    else if (thresholds_are_double)
        rows_down_forest_double_single(forest, rows, n_rows, target);
    else if (rows_are_double)
        rows_down_forest_single_double(forest, rows, n_rows, target);
    else
        rows_down_forest_single_single(forest, rows, n_rows, target);
}

/* The line of shares that each row ends at in each tree: n_rows lines of n_trees. */
void prediction_lines(const void *nodes, int32_t thresholds_are_double, const int32_t *roots,
                      int64_t n_trees, const void *rows, int32_t rows_are_double, int64_t n_rows,
                      int64_t n_features, int32_t *lines) {
    const struct prediction_forest forest = {
        .nodes = nodes, .roots = roots, .n_trees = n_trees, .n_features = n_features};
    const struct prediction_target target = {.lines = lines};
    rows_down_forest(&forest, thresholds_are_double, rows, rows_are_double, n_rows, &target);
}

/* The mean over the trees of the shares, or of one vote each: n_rows lines of n_classes. */
void prediction_means(const void *nodes, int32_t thresholds_are_double, const int32_t *roots,
                      int64_t n_trees, const double *shares, int64_t n_classes, int32_t hard,
                      const void *rows, int32_t rows_are_double, int64_t n_rows, int64_t n_features,
                      double *answers) {
    const struct prediction_forest forest = {.nodes = nodes,
                                             .roots = roots,
                                             .shares = shares,
                                             .n_trees = n_trees,
                                             .n_classes = n_classes,
                                             .n_features = n_features,
                                             .hard = hard};
    const struct prediction_target target = {.answers = answers};
    memset(answers, 0, (size_t)(n_rows * n_classes) * sizeof(double));
    rows_down_forest(&forest, thresholds_are_double, rows, rows_are_double, n_rows, &target);
    for (int64_t i = 0; i < n_rows * n_classes; i++) answers[i] /= (double)n_trees;
}
