/* Growing trees, as growing.py defines it, bit for bit.

   The rows of a node lie one behind the other as entries, each a word with the row's place, class
   and count, and are parted stably when the node is split. Sums are of whole numbers, so that no
   order of adding changes them. Four things make deep trees quick: several features of few bins are
   gone through side by side; few rows are put in order by insertion; some rows mark the bins they
   lie in, so that only those are gone through; and the codes of at most 4,096 rows are copied into a
   block in cache, where all that is under them is grown. The trees of a task are grown one behind the
   other in the same memory. */

#include "forest_node.h"

/* A bootstrap. Counts that are too large for a row's word become masses. */
static void draw_sample(Grower *g, uint64_t seed) {
    const ForestTask *task = g->task;
    memset(g->drawn, 0, (size_t)task->n_rows * sizeof *g->drawn);
    forest_draw_rows(seed, task->n_draws, task->n_rows, task->reached, g->drawn);
    g->sample = (Sample){g->drawn, NULL, false};
    if (task->n_draws <= MOST_COUNTED) return;
    int32_t most = 0;
    for (int64_t row = 0; row < task->n_rows; row++)
        if (g->drawn[row] > most) most = g->drawn[row];
    if (most <= MOST_COUNTED) return;
    for (int64_t row = 0; row < task->n_rows; row++) g->drawn_masses[row] = g->drawn[row];
    g->sample = (Sample){NULL, g->drawn_masses, true};
}

static bool is_seen(const Grower *g, int64_t row) {
    const ForestTask *task = g->task;
    if (task->scales && task->scales[task->classes[row]] == 0.0) return false;
    if (g->sample.masses) return g->sample.masses[row] > 0;
    return !g->sample.counts || g->sample.counts[row] > 0;
}

static void write_entries(Grower *g) {
    const ForestTask *task = g->task;
    int64_t total = 0;
    g->n_entries = 0;
    for (int64_t row = 0; row < task->n_rows; row++) {
        if (!is_seen(g, row)) continue;
        const uint16_t count = g->sample.counts ? (uint16_t)g->sample.counts[row] : 1;
        g->entries[g->n_entries++] = entry_of(row, task->classes[row], count);
        total += count;
    }
    const bool are_counts = !g->sample.masses && !task->scales && total <= MOST_SQUARED;
    g->score = task->entropy ? ENTROPY : are_counts ? GINI_OF_COUNTS : GINI;
}

static bool grow_tree(Grower *g, Stack *stack) {
    const ForestTask *task = g->task;
    const uint64_t seed = task->seeds[g->tree];
    if (task->n_draws) draw_sample(g, seed);
    write_entries(g);
    g->draws = draws_from(seed, task->position);
    for (int64_t f = 0; f < task->n_features; f++) g->order[f] = f;
    const int64_t root = g->n_nodes;
    g->roots[g->tree] = (int32_t)root;
    bool going = add_nodes(g, 1) && push(stack, (Waiting){root, 0, g->n_entries, 0, 0});
    while (going && stack->n > 0) going = grow_node(g, stack, stack->items[--stack->n]);
    return going;
}

static bool grow_all(Grower *g) {
    Stack stack = {malloc(FIRST_ROOM * sizeof(Waiting)), 0, FIRST_ROOM};
    bool going = stack.items;
    for (; going && g->tree < g->task->n_trees; g->tree++) going = grow_tree(g, &stack);
    free(stack.items);
    return going;
}

static int64_t most_bins(const ForestTask *task) {
    int64_t most = 1;
    for (int64_t f = 0; f < task->n_features; f++) {
        const int64_t n_bins = task->starts[f + 1] - task->starts[f];
        if (n_bins > most) most = n_bins;
    }
    return most;
}

/* Never of nothing, for which the two may give NULL. */
static void *zeros(int64_t n, size_t size) { return calloc((size_t)(n > 0 ? n : 1), size); }

/* What is never written to takes no memory. */
static void *room(int64_t n, size_t size) { return malloc((size_t)(n > 0 ? n : 1) * size); }

static bool open_block(Grower *g, bool may_weigh) {
    const ForestTask *task = g->task;
    g->block_rows = rows_of_blocks(task);
    g->block_bytes = task->code_bytes == 1 ? 1 : 2;
    g->block_stride = g->block_rows ? g->block_rows + BLOCK_GAP : 0;
    const int64_t cells = g->block_stride * task->n_features;
    const bool ranked = g->block_bytes == 2;
    g->block = room(cells, (size_t)g->block_bytes);
    g->block_masses = room(may_weigh ? g->block_rows : 0, sizeof(int64_t));
    g->values_of_ranks = room(ranked ? cells : 0, sizeof(uint32_t));
    g->ranks = room(ranked ? task->n_features : 0, sizeof(int64_t));
    return g->block && g->block_masses && g->values_of_ranks && g->ranks;
}

static bool open_search(Grower *g, bool may_weigh) {
    const ForestTask *task = g->task;
    const int64_t n_classes = task->n_classes, bins = most_bins(task);
    const int64_t tallied = bins < MOST_TALLIED ? bins : MOST_TALLIED;
    const bool tallies = n_classes <= MOST_CLASSES_TALLIED && !task->masses;
    const bool sorts = !tallies || may_weigh || bins > MOST_TALLIED || task->code_bytes > 1;
    g->masses = room(n_classes, sizeof(int64_t));
    g->left = room(n_classes, sizeof(int64_t));
    g->right = room(n_classes, sizeof(int64_t));
    g->numbers = room(n_classes, sizeof(int32_t));
    g->present_masses = room(n_classes + 1, sizeof(int32_t));
    g->tallies = zeros(tallies ? tallied * n_classes : 0, sizeof(uint32_t));
    g->classes_in = zeros(tallies ? tallied : 0, sizeof(uint64_t));
    g->occupied = zeros(MOST_TALLIED / WORD_BITS, sizeof(uint64_t));
    g->side_by_side = room(MOST_TALLIES * LANES, sizeof(int32_t));
    g->keys = room(sorts ? task->n_rows : 0, sizeof(uint64_t));
    g->spare_keys = room(sorts ? task->n_rows : 0, sizeof(uint64_t));
    return g->masses && g->left && g->right && g->numbers && g->present_masses && g->tallies &&
           g->classes_in && g->occupied && g->side_by_side && g->keys && g->spare_keys;
}

static bool open_rows(Grower *g, bool may_weigh) {
    const ForestTask *task = g->task;
    g->sample = (Sample){task->counts, task->masses, task->mass_is_count};
    g->drawn = room(task->n_draws ? task->n_rows : 0, sizeof(int32_t));
    g->drawn_masses = room(may_weigh && task->n_draws ? task->n_rows : 0, sizeof(int64_t));
    g->entries = room(task->n_rows, sizeof(Entry));
    g->spare = room(task->n_rows, sizeof(Entry));
    g->order = room(task->n_features, sizeof(int64_t));
    return g->drawn && g->drawn_masses && g->entries && g->spare && g->order;
}

static bool open_grower(Grower *g, const ForestTask *task) {
    *g = (Grower){.task = task};
    const bool may_weigh = task->masses || task->n_draws > MOST_COUNTED;
    g->roots = room(task->n_trees, sizeof(int32_t));
    g->decreases = zeros(task->n_trees * task->n_features, sizeof(double));
    return g->roots && g->decreases && open_rows(g, may_weigh) && open_search(g, may_weigh) &&
           open_block(g, may_weigh);
}

/* Frees what only growing needs. */
static void close_search(Grower *g) {
    void *parts[] = {
        g->order,      g->drawn,    g->drawn_masses, g->entries, g->spare,          g->masses,
        g->left,       g->right,    g->numbers,      g->tallies, g->present_masses, g->side_by_side,
        g->classes_in, g->occupied, g->keys,         g->ranks,   g->spare_keys,     g->block,
        g->block_masses, g->values_of_ranks};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) free(parts[i]);
}

/* Frees trees that forest_plant has given, and what came with them. */
void forest_free(Grower *g) {
    if (!g) return;
    free(g->nodes);
    free(g->masses_of_nodes);
    free(g->shares);
    free(g->roots);
    free(g->decreases);
    free(g);
}

/* Grows a tree for each seed. Gives them, to be taken by forest_take and freed by forest_free, or
   NULL if there is not the memory for them; sizes get the numbers of their nodes and of the lines of
   their mixed leaves. */
Grower *forest_plant(const ForestTask *task, int64_t *sizes) {
    Grower *g = malloc(sizeof *g);
    if (!g) return NULL;
    const bool grown = open_grower(g, task) && grow_all(g);
    close_search(g);
    if (!grown) {
        forest_free(g);
        return NULL;
    }
    sizes[0] = g->n_nodes;
    sizes[1] = g->n_lines;
    return g;
}

typedef struct {
    float threshold;
    int32_t feature;
    int32_t left;
} SmallNode;

/* Copies the trees to where the caller has room for them; thresholds get the type of the values. */
void forest_take(const Grower *g, const ForestTask *task, void *nodes, double *shares,
                 int32_t *roots, double *decreases, double *masses_of_nodes) {
    const size_t line = (size_t)task->n_classes * sizeof(double);
    if (task->value_bytes == sizeof(double)) {
        memcpy(nodes, g->nodes, (size_t)g->n_nodes * sizeof(Node));
    } else {
        SmallNode *const small = nodes;
        for (int64_t i = 0; i < g->n_nodes; i++)
            small[i] =
                (SmallNode){(float)g->nodes[i].threshold, g->nodes[i].feature, g->nodes[i].left};
    }
    if (g->n_lines) memcpy(shares, g->shares, (size_t)g->n_lines * line);
    memcpy(roots, g->roots, (size_t)task->n_trees * sizeof(int32_t));
    memcpy(decreases, g->decreases, (size_t)(task->n_trees * task->n_features) * sizeof(double));
    if (task->keep_masses) memcpy(masses_of_nodes, g->masses_of_nodes, (size_t)g->n_nodes * line);
}
