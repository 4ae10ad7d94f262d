/* Walks down the trees, for one type of thresholds (in NODE) and one of rows (NUMBER).

   A walk waits for memory most of its time: each step needs the node that the step before chose.
   So many walks go down together, level by level, and no branch depends on the data: the processor
   then works on dozens of steps at a time, whichever node is late. Walks that reached a leaf drop
   out by not being copied to the front (the reference drops them in the same way). The idea to
   overlap walks is that of Asadi, Lin and de Vries (2014), Runtime Optimizations for Tree-Based
   Machine Learning Models, IEEE TKDE 26. */

/* `stride` is 0 where all walks are those of one row, otherwise slot s is row s. */
static void NAMED(walk)(const NODE *nodes, const NUMBER *rows, int64_t stride, struct walks *walks,
                        int64_t n_walks) {
    while (n_walks) {
        int64_t still_inner = 0;
#pragma clang loop unroll_count(8)
        for (int64_t i = 0; i < n_walks; i++) {
            const uint32_t slot = walks->slot[i];
            const NODE *node = nodes + walks->node[i];
            const int32_t feature = node->feature;
            /* A leaf compares some column, too, and what comes of it is forgotten. */
            const NUMBER value = rows[slot * stride + (feature < 0 ? 0 : feature)];
            const uint32_t child = (uint32_t)node->left + !(value <= node->threshold);
            __builtin_prefetch(nodes + child);
            walks->line[slot] = node->left;
            walks->node[still_inner] = child;
            walks->slot[still_inner] = slot;
            still_inner += feature >= 0;
        }
        n_walks = still_inner;
    }
}

/* At most WALKS rows down one tree. */
static void NAMED(block_down_tree)(const struct prediction_forest *forest, int64_t tree,
                                   const NUMBER *rows, int64_t first, int64_t n_rows,
                                   const struct prediction_target *target) {
    struct walks walks;
    for (int64_t i = 0; i < n_rows; i++) {
        walks.node[i] = (uint32_t)forest->roots[tree];
        walks.slot[i] = (uint32_t)i;
    }
    const int64_t stride = forest->n_features;
    NAMED(walk)(forest->nodes, rows + first * stride, stride, &walks, n_rows);
    for (int64_t i = 0; i < n_rows; i++) take_line(forest, target, first + i, tree, walks.line[i]);
}

/* One row down all trees, WALKS of them at a time. */
static void NAMED(row_down_forest)(const struct prediction_forest *forest, const NUMBER *rows,
                                   int64_t row, const struct prediction_target *target) {
    struct walks walks;
    for (int64_t start = 0; start < forest->n_trees; start += WALKS) {
        const int64_t n_walks = smaller(WALKS, forest->n_trees - start);
        for (int64_t i = 0; i < n_walks; i++) {
            walks.node[i] = (uint32_t)forest->roots[start + i];
            walks.slot[i] = (uint32_t)i;
        }
        NAMED(walk)(forest->nodes, rows + row * forest->n_features, 0, &walks, n_walks);
        for (int64_t i = 0; i < n_walks; i++)
            take_line(forest, target, row, start + i, walks.line[i]);
    }
}

static void NAMED(rows_down_forest)(const struct prediction_forest *forest, const NUMBER *rows,
                                    int64_t n_rows, const struct prediction_target *target) {
    if (n_rows < FEW_ROWS && n_rows < forest->n_trees) {
        for (int64_t row = 0; row < n_rows; row++)
            NAMED(row_down_forest)(forest, rows, row, target);
        return;
    }
    for (int64_t start = 0; start < n_rows; start += ROWS_PER_TREE) {
        const int64_t stop = smaller(start + ROWS_PER_TREE, n_rows);
        for (int64_t tree = 0; tree < forest->n_trees; tree++)
            for (int64_t first = start; first < stop; first += WALKS)
                NAMED(block_down_tree)(forest, tree, rows, first, smaller(WALKS, stop - first),
                                       target);
    }
}

#undef NAMED
#undef NODE
#undef NUMBER
