/* Splitting one node of a tree, or making a leaf of it, as growing.py defines it. */

#ifndef FOREST_NODE_H
#define FOREST_NODE_H

#include <stdlib.h>

#include "forest_block.h"
#include "forest_search.h"
#include "forest_side_by_side.h"

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
        g->count += g->sample.mass_is_count ? mass : count_of(entries[i]);
    }
}

/* Adds up what a node holds, and numbers the classes among it. */
static void sum_up(Grower *g, const Entry *entries, int64_t n, const int64_t *masses) {
    const int64_t n_classes = g->task->n_classes;
    for (int64_t c = 0; c < n_classes; c++) g->masses[c] = 0;
    g->count = 0;
    if (masses) sum_masses(g, entries, n, masses);
    else sum_counts(g, entries, n);
    g->n_present = 0;
    g->squares = 0;
    for (int64_t c = 0; c < n_classes; c++) {
        g->numbers[c] = (int32_t)g->n_present;
        g->present_masses[g->n_present] = (int32_t)g->masses[c];
        g->n_present += g->masses[c] > 0;
        if (g->score == GINI_OF_COUNTS) g->squares += g->masses[c] * g->masses[c];
    }
}

static double scaled_mass(const Grower *g, int64_t class) {
    return scaled(g->masses, g->task->scales, class);
}

static bool make_leaf(Grower *g, int64_t node) {
    const int64_t n_classes = g->task->n_classes;
    int64_t line = 0;
    if (g->n_present == 1) {
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

static bool must_stay_a_leaf(const Grower *g, int64_t depth) {
    const ForestTask *task = g->task;
    return g->n_present == 1 || depth >= task->max_depth || g->count < task->min_samples_split ||
           g->count < 2 * task->min_samples_leaf;
}

/* The next feature to look at: drawn (Fisher and Yates, from the end), or in order. */
static int64_t next_feature(Grower *g, int64_t left) {
    if (!draws_features(g)) return g->task->n_features - left;
    const int64_t place = (int64_t)draw_below(&g->draws, (uint64_t)left);
    const int64_t feature = g->order[place];
    g->order[place] = g->order[left - 1];
    return g->order[left - 1] = feature;
}

/* Whether a feature's cut takes the place of the best so far. Of equal ones the first stays where
   the features' order was drawn; otherwise lots are drawn, so that each is as likely. */
static bool is_taken(Grower *g, Best *best, double score) {
    if (score > best->cut.score) {
        best->n_equal = 1;
        return true;
    }
    if (score < best->cut.score || best->cut.feature < 0 || draws_features(g)) return false;
    return draw_below(&g->draws, ++best->n_equal) == 0;
}

static void look_at(Grower *g, const Group *group, const Entry *entries, int64_t n,
                    const int64_t *masses, bool in_block, Best *best) {
    for (int64_t i = 0; i < group->n; i++) {
        const Column column = column_of(g, group->features[i], in_block);
        /* A cut that would not be taken need not be kept: it is seldom that one is. */
        Cut cut = {draws_features(g) ? best->cut.score : -INFINITY, -1, 0, 0};
        best->varied |= search_with(g, column, entries, n, masses, group->features[i], &cut);
        if (is_taken(g, best, cut.score)) best->cut = cut;
    }
}

static void look_side_by_side(Grower *g, const Group *group, const Entry *entries, int64_t n,
                              Best *best) {
    tally_group(g, group, entries, n);
    const Found found = cut_group(g, group);
    for (int64_t lane = 0; lane < group->n; lane++) {
        best->varied |= found.varied[lane];
        if (!is_taken(g, best, found.scores[lane])) continue;
        const uint32_t below = (uint32_t)found.below[lane];
        best->cut =
            (Cut){found.scores[lane], group->features[lane], below, bin_above(g, below, lane)};
    }
}

/* The next features to look at, so many. */
static Group next_group(Grower *g, int64_t left, int64_t n, bool in_block) {
    Group group = {.n = n};
    for (int64_t i = 0; i < n; i++) {
        const int64_t feature = next_feature(g, left - i);
        const Column column = column_of(g, feature, in_block);
        group.features[i] = feature;
        group.codes[i] = column.codes;
        if (column.n_bins > group.n_bins) group.n_bins = column.n_bins;
    }
    return group;
}

/* Looks at features until enough were seen and one of them varies, or none is left. */
static Cut best_cut(Grower *g, const Entry *entries, int64_t n, const int64_t *masses,
                    bool in_block) {
    Best best = {{-INFINITY, -1, 0, 0}, 0, false};
    const int64_t n_features = g->task->n_features, wanted = g->task->features_per_node;
    for (int64_t seen = 0; seen < n_features && (seen < wanted || !best.varied);) {
        const int64_t missing = seen < wanted ? wanted - seen : 1;
        const int64_t more = missing < LANES ? missing : LANES;
        const Group group = next_group(g, n_features - seen, more, in_block);
        if (go_side_by_side(g, &group, n, in_block))
            look_side_by_side(g, &group, entries, n, &best);
        else look_at(g, &group, entries, n, masses, in_block, &best);
        seen += more;
    }
    return best.cut;
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
    if (gained > 0.0) g->decreases[g->tree * g->task->n_features + cut->feature] += gained;
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
    const int64_t *masses = !g->sample.masses ? NULL
                            : at.in_block     ? g->block_masses
                                              : g->sample.masses;
    sum_up(g, entries, n, masses);
    if (g->task->keep_masses)
        for (int64_t c = 0; c < g->task->n_classes; c++)
            g->masses_of_nodes[at.node * g->task->n_classes + c] = scaled_mass(g, c);
    if (at.depth == 0)
        g->least_mass = g->task->min_weight_fraction_leaf *
                        total_of(g->masses, g->task->scales, g->task->n_classes);
    if (must_stay_a_leaf(g, at.depth)) return make_leaf(g, at.node);
    const Cut cut = best_cut(g, entries, n, masses, at.in_block);
    if (cut.feature < 0) return make_leaf(g, at.node);
    return split(g, stack, &at, &cut);
}

#endif
