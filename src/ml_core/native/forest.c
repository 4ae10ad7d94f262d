/* Growing one tree, as growing.py defines it, bit for bit.

   The rows of a node lie one behind the other as entries, each a word with the row's place, class
   and count, and are parted stably when the node is split. Three things make deep trees quick: few
   rows are put in order by insertion; some rows mark the bins they lie in, so that only those are
   gone through; and the codes of at most 4,096 rows are copied into a block in cache, where all that
   is under them is grown. Sums are of whole numbers, so that no order of adding changes them. */

#include <stdlib.h>

#include "forest_block.h"
#include "forest_search.h"

/* A node that is yet to be split or to become a leaf. */
typedef struct {
    int64_t node, begin, end, depth;
    int64_t in_block;
} Waiting;

typedef struct {
    Waiting *items;
    int64_t n, most;
} Stack;

#define FIRST_ROOM 64

/* Room for one more item, at least; an array that cannot grow is left as it is. */
static bool make_room(void **items, int64_t n, int64_t more, int64_t *most, size_t size) {
    if (n + more <= *most) return true;
    const int64_t wanted = *most * 2 > n + more ? *most * 2 : n + more;
    void *grown = realloc(*items, (size_t)wanted * size);
    if (!grown) return false;
    *items = grown;
    *most = wanted;
    return true;
}

static bool push(Stack *stack, Waiting item) {
    if (!make_room((void **)&stack->items, stack->n, 1, &stack->most, sizeof item)) return false;
    stack->items[stack->n++] = item;
    return true;
}

static bool add_nodes(Grower *g, int64_t more) {
    const int64_t before = g->most_nodes;
    if (!make_room((void **)&g->nodes, g->n_nodes, more, &g->most_nodes, sizeof(Node)))
        return false;
    if (g->task->keep_masses && g->most_nodes > before) {
        const size_t line = (size_t)g->task->n_classes * sizeof(double);
        double *grown = realloc(g->masses_of_nodes, (size_t)g->most_nodes * line);
        if (!grown) return false;
        g->masses_of_nodes = grown;
    }
    g->n_nodes += more;
    return true;
}

/* The masses by class and the count of rows whose masses are their counts. Of two classes the one
   is what the other leaves: two sums in vectors, where adding to places in memory would wait. */
static void sum_counts(Grower *g, const Entry *entries, int64_t n) {
    const bool two_classes = g->task->n_classes == 2;
    int64_t all = 0, second = 0;
    for (int64_t i = 0; i < n; i++) {
        all += count_of(entries[i]);
        if (two_classes) second += class_of(entries[i]) * count_of(entries[i]);
        else g->masses[class_of(entries[i])] += count_of(entries[i]);
    }
    g->count = all;
    if (!two_classes) return;
    g->masses[0] = all - second;
    g->masses[1] = second;
}

static void sum_masses(Grower *g, const Entry *entries, int64_t n, const int64_t *masses) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t mass = masses[row_of(entries[i])];
        g->masses[class_of(entries[i])] += mass;
        g->count += g->task->mass_is_count ? mass : count_of(entries[i]);
    }
}

/* Adds up what a node holds; returns how many classes are among it. */
static int64_t sum_up(Grower *g, const Entry *entries, int64_t n, const int64_t *masses) {
    const int64_t n_classes = g->task->n_classes;
    for (int64_t c = 0; c < n_classes; c++) g->masses[c] = 0;
    g->count = 0;
    if (masses) sum_masses(g, entries, n, masses);
    else sum_counts(g, entries, n);
    int64_t present = 0;
    g->squares = 0;
    for (int64_t c = 0; c < n_classes; c++) {
        present += g->masses[c] > 0;
        if (g->score == GINI_OF_COUNTS) g->squares += g->masses[c] * g->masses[c];
    }
    return present;
}

static double scaled_mass(const Grower *g, int64_t class) {
    return scaled(g->masses, g->task->scales, class);
}

static bool make_leaf(Grower *g, int64_t node, int64_t present) {
    const int64_t n_classes = g->task->n_classes;
    int64_t line = 0;
    if (present == 1) {
        while (!g->masses[line]) line++;
    } else {
        const size_t size = (size_t)n_classes * sizeof(double);
        if (!make_room((void **)&g->shares, g->n_lines, 1, &g->most_lines, size)) return false;
        const double total = total_of(g->masses, g->task->scales, n_classes);
        double *const shares = g->shares + g->n_lines * n_classes;
        for (int64_t c = 0; c < n_classes; c++) shares[c] = scaled_mass(g, c) / total;
        line = n_classes + g->n_lines++;
    }
    g->nodes[node] = (Node){0.0, -1, (int32_t)line};
    return true;
}

static bool must_stay_a_leaf(const Grower *g, int64_t depth, int64_t present) {
    const ForestTask *task = g->task;
    return present == 1 || depth >= task->max_depth || g->count < task->min_samples_split ||
           g->count < 2 * task->min_samples_leaf;
}

/* Looks at features until enough were seen and one of them varies, or none is left. */
static Cut best_cut(Grower *g, const Entry *entries, int64_t n, const int64_t *masses,
                    bool in_block) {
    Cut best = {-INFINITY, -1, 0, 0};
    bool varied = false;
    const int64_t n_features = g->task->n_features, wanted = g->task->features_per_node;
    for (int64_t seen = 0; seen < n_features && (seen < wanted || !varied); seen++) {
        const int64_t feature = next_feature(g, n_features - seen);
        const Column column = column_of(g, feature, in_block);
        varied |= search_with(g, column, entries, n, masses, feature, &best);
    }
    return best;
}

/* Puts the rows that go left before those that go right, both in their order; returns how many go
   left. */
ALWAYS_INLINE int64_t part_by(Grower *g, Column column, Entry *entries, int64_t n, uint32_t below,
                              const int bytes) {
    int64_t left = 0, right = 0;
    for (int64_t i = 0; i < n; i++) {
        const Entry entry = entries[i];
        const bool goes_left = code_at(column.codes, bytes, row_of(entry)) <= below;
        entries[left] = entry;
        g->spare[right] = entry;
        left += goes_left;
        right += !goes_left;
    }
    memcpy(entries + left, g->spare, (size_t)right * sizeof(Entry));
    return left;
}

static int64_t part(Grower *g, Column column, Entry *entries, int64_t n, uint32_t below) {
    if (column.bytes == 1) return part_by(g, column, entries, n, below, 1);
    if (column.bytes == 2) return part_by(g, column, entries, n, below, 2);
    return part_by(g, column, entries, n, below, 4);
}

static double midpoint(double low, double high) {
    const double middle = low / 2 + high / 2;
    return low <= middle && middle < high ? middle : low;
}

static float midpoint_of_floats(float low, float high) {
    const float middle = low / 2 + high / 2;
    return low <= middle && middle < high ? middle : low;
}

static double threshold_of(const Grower *g, const Cut *cut, bool in_block) {
    const ForestTask *task = g->task;
    uint32_t below = cut->below, above = cut->above;
    if (in_block) {
        below = code_outside(g, cut->feature, below);
        above = code_outside(g, cut->feature, above);
    }
    const int64_t start = task->starts[cut->feature];
    if (task->value_bytes == sizeof(float))
        return midpoint_of_floats(((const float *)task->high)[start + below],
                                  ((const float *)task->low)[start + above]);
    return midpoint(((const double *)task->high)[start + below],
                    ((const double *)task->low)[start + above]);
}

static double score_of_node(const Grower *g) {
    const ForestTask *task = g->task;
    return score_of(g->masses, task->scales, task->n_classes, task->entropy ? ENTROPY : GINI);
}

static bool split(Grower *g, Stack *stack, const Waiting *at, const Cut *cut) {
    const double gained = cut->score - score_of_node(g);
    if (gained > 0.0) g->decreases[cut->feature] += gained;
    const Column column = column_of(g, cut->feature, at->in_block);
    const int64_t n_left =
        part(g, column, g->entries + at->begin, at->end - at->begin, cut->below);
    const int64_t left = g->n_nodes, middle = at->begin + n_left;
    if (!add_nodes(g, 2)) return false;
    g->nodes[at->node] =
        (Node){threshold_of(g, cut, at->in_block), (int32_t)cut->feature, (int32_t)left};
    return push(stack, (Waiting){left + 1, middle, at->end, at->depth + 1, at->in_block}) &&
           push(stack, (Waiting){left, at->begin, middle, at->depth + 1, at->in_block});
}

/* Splits a node, or makes a leaf of it. */
static bool grow_node(Grower *g, Stack *stack, Waiting at) {
    Entry *const entries = g->entries + at.begin;
    const int64_t n = at.end - at.begin;
    if (!at.in_block && n <= g->block_rows) {
        enter_block(g, entries, n);
        at.in_block = 1;
    }
    const int64_t *masses = !g->task->masses ? NULL
                            : at.in_block    ? g->block_masses
                                             : g->task->masses;
    const int64_t present = sum_up(g, entries, n, masses);
    if (g->task->keep_masses)
        for (int64_t c = 0; c < g->task->n_classes; c++)
            g->masses_of_nodes[at.node * g->task->n_classes + c] = scaled_mass(g, c);
    if (at.depth == 0)
        g->least_mass = g->task->min_weight_fraction_leaf *
                        total_of(g->masses, g->task->scales, g->task->n_classes);
    if (must_stay_a_leaf(g, at.depth, present)) return make_leaf(g, at.node, present);
    const Cut cut = best_cut(g, entries, n, masses, at.in_block);
    if (cut.feature < 0) return make_leaf(g, at.node, present);
    return split(g, stack, &at, &cut);
}

static bool grow_all(Grower *g) {
    Stack stack = {malloc(FIRST_ROOM * sizeof(Waiting)), 0, FIRST_ROOM};
    bool going = stack.items && add_nodes(g, 1) && push(&stack, (Waiting){0, 0, g->n_entries, 0, 0});
    while (going && stack.n > 0) going = grow_node(g, &stack, stack.items[--stack.n]);
    free(stack.items);
    return going;
}

static bool is_seen(const ForestTask *task, int64_t row) {
    if (task->scales && task->scales[task->classes[row]] == 0.0) return false;
    return task->masses ? task->masses[row] > 0 : !task->counts || task->counts[row] > 0;
}

static int64_t n_seen(const ForestTask *task) {
    int64_t n = 0;
    for (int64_t row = 0; row < task->n_rows; row++) n += is_seen(task, row);
    return n;
}

static void write_entries(Grower *g) {
    const ForestTask *task = g->task;
    int64_t total = 0, at = 0;
    for (int64_t row = 0; row < task->n_rows; row++) {
        if (!is_seen(task, row)) continue;
        const uint16_t count = task->counts ? (uint16_t)task->counts[row] : 1;
        g->entries[at++] = entry_of(row, task->classes[row], count);
        total += count;
    }
    const bool are_counts = !task->masses && !task->scales && total <= MOST_SQUARED;
    g->score = task->entropy ? ENTROPY : are_counts ? GINI_OF_COUNTS : GINI;
}

static int64_t most_bins(const ForestTask *task) {
    int64_t most = 1;
    for (int64_t f = 0; f < task->n_features; f++) {
        const int64_t n_bins = task->starts[f + 1] - task->starts[f];
        if (n_bins > most) most = n_bins;
    }
    return most;
}

/* calloc, but never of nothing, for which it may give NULL. */
static void *room(int64_t n, size_t size) { return calloc((size_t)(n > 0 ? n : 1), size); }

static bool open_block(Grower *g) {
    const ForestTask *task = g->task;
    g->block_rows = rows_of_blocks(task);
    g->block_bytes = task->code_bytes == 1 ? 1 : 2;
    g->block_stride = g->block_rows ? g->block_rows + BLOCK_GAP : 0;
    const int64_t cells = g->block_stride * task->n_features;
    const bool ranked = g->block_bytes == 2;
    g->block = room(cells, (size_t)g->block_bytes);
    g->block_masses = room(task->masses ? g->block_rows : 0, sizeof(int64_t));
    g->values_of_ranks = room(ranked ? cells : 0, sizeof(uint32_t));
    g->ranks = room(ranked ? task->n_features : 0, sizeof(int64_t));
    return g->block && g->block_masses && g->values_of_ranks && g->ranks;
}

static bool open_search(Grower *g) {
    const ForestTask *task = g->task;
    const int64_t n_classes = task->n_classes, bins = most_bins(task);
    const int64_t tallied = bins < MOST_TALLIED ? bins : MOST_TALLIED;
    const bool tallies = n_classes <= MOST_CLASSES_TALLIED && !task->masses;
    const bool sorts = !tallies || bins > MOST_TALLIED || task->code_bytes > 1;
    g->masses = room(n_classes, sizeof(int64_t));
    g->left = room(n_classes, sizeof(int64_t));
    g->right = room(n_classes, sizeof(int64_t));
    g->tallies = room(tallies ? tallied * n_classes : 0, sizeof(uint32_t));
    g->classes_in = room(tallies ? tallied : 0, sizeof(uint64_t));
    g->occupied = room(MOST_TALLIED / WORD_BITS, sizeof(uint64_t));
    g->keys = room(sorts ? g->n_entries : 0, sizeof(uint64_t));
    g->spare_keys = room(sorts ? g->n_entries : 0, sizeof(uint64_t));
    return g->masses && g->left && g->right && g->tallies && g->classes_in && g->occupied && g->keys &&
           g->spare_keys;
}

static bool open_grower(Grower *g, const ForestTask *task) {
    *g = (Grower){.task = task, .draws = draws_from(task->seed, task->position)};
    g->n_entries = n_seen(task);
    g->entries = room(g->n_entries, sizeof(Entry));
    g->spare = room(g->n_entries, sizeof(Entry));
    g->order = room(task->n_features, sizeof(int64_t));
    g->decreases = room(task->n_features, sizeof(double));
    if (!g->entries || !g->spare || !g->order || !g->decreases) return false;
    for (int64_t f = 0; f < task->n_features; f++) g->order[f] = f;
    write_entries(g);
    return open_search(g) && open_block(g);
}

/* Frees what only growing needs. */
static void close_search(Grower *g) {
    void *parts[] = {g->order,   g->entries, g->spare,    g->masses,     g->left,
                     g->right,   g->tallies, g->classes_in, g->occupied, g->keys,       g->spare_keys,
                     g->block,   g->ranks,   g->block_masses, g->values_of_ranks};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) free(parts[i]);
}

/* Frees a tree that forest_grow has given, and what came with it. */
void forest_free(Grower *g) {
    if (!g) return;
    free(g->nodes);
    free(g->masses_of_nodes);
    free(g->shares);
    free(g->decreases);
    free(g);
}

/* Grows a tree. Gives it, to be taken by forest_take and freed by forest_free, or NULL if there is
   not the memory for it; sizes get the numbers of its nodes and of the lines of its mixed leaves. */
Grower *forest_grow(const ForestTask *task, int64_t *sizes) {
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

/* Copies a tree to where the caller has room for it; thresholds get the type of the values. */
void forest_take(const Grower *g, const ForestTask *task, void *nodes, double *shares,
                 double *decreases, double *masses_of_nodes) {
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
    memcpy(decreases, g->decreases, (size_t)task->n_features * sizeof(double));
    if (task->keep_masses) memcpy(masses_of_nodes, g->masses_of_nodes, (size_t)g->n_nodes * line);
}
