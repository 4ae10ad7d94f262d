/* What trees grow from, and what growing them works on. */

#ifndef FOREST_H
#define FOREST_H

#include <stdbool.h>
#include <stdint.h>

#include "forest_random.h"
#include "forest_score.h"

/* Laid out as Task in growing_native.py. What may be NULL is 1 throughout. */
typedef struct {
    const void *by_column;   /* codes (n_features, n_rows) */
    const void *by_row;      /* the same codes (n_rows, n_features) */
    const int64_t *starts;   /* (n_features + 1,) where each column's bins begin among all */
    const void *low, *high;  /* the bins' smallest and largest values */
    const uint16_t *classes; /* (n_rows,) */
    const int32_t *counts;   /* (n_rows,) as how many rows each counts, at most 65,535; or NULL */
    const int64_t *masses;   /* (n_rows,) where they are not the counts; or NULL */
    const double *scales;    /* (n_classes,) or NULL */
    const int64_t *reached;  /* (n_rows,) cumulative weights by which rows are drawn; or NULL */
    const uint64_t *seeds;   /* (n_trees,) */
    uint64_t position;       /* of the draws that features come from */
    double min_weight_fraction_leaf;
    int64_t n_trees, n_draws; /* rows drawn for each tree; 0 where counts or masses are given */
    int64_t n_rows, n_features, n_classes;
    int64_t max_depth, min_samples_split, min_samples_leaf, features_per_node;
    int32_t code_bytes, value_bytes;
    int32_t entropy, keep_masses;
    int32_t mass_is_count; /* a row of mass w counts as w rows */
    int32_t unused;
} ForestTask;

/* What the rows weigh in one tree: as in the task, or as they were drawn. */
typedef struct {
    const int32_t *counts;
    const int64_t *masses;
    bool mass_is_count;
} Sample;

#define MOST_COUNTED 0xFFFF

typedef struct {
    double threshold;
    int32_t feature;
    int32_t left;
} Node;

/* A row that the tree sees, in one word: its place among the codes, its class and its count. */
typedef uint64_t Entry;

static inline Entry entry_of(int64_t row, uint16_t class, uint16_t count) {
    return (uint64_t)row << 32 | (uint64_t)class << 16 | count;
}
static inline uint32_t row_of(Entry entry) { return (uint32_t)(entry >> 32); }
static inline uint32_t class_of(uint64_t word) { return (word >> 16) & 0xFFFF; }
static inline uint32_t count_of(uint64_t word) { return word & 0xFFFF; }

typedef struct {
    double score;
    int64_t feature; /* -1 where there is no cut */
    uint32_t below, above;
} Cut;

/* The best cut of a node so far, and how many features have one that is as good. */
typedef struct {
    Cut cut;
    uint64_t n_equal;
    bool varied; /* whether a feature did */
} Best;

/* Codes of one feature, of 1, 2 or 4 bytes. */
typedef struct {
    const void *codes;
    int32_t bytes;
    int64_t n_bins;
} Column;

typedef struct {
    const ForestTask *task;
    Score score;
    Draws draws;
    int64_t *order; /* of the features, as the draws have left it */
    Sample sample;
    int32_t *drawn; /* how often each row is drawn for a tree */
    int64_t *drawn_masses;
    Entry *entries, *spare;
    int64_t n_entries;

    /* A node's masses by class, and those on the sides of a cut while cuts are gone through. */
    int64_t *masses, *left, *right;
    int64_t count;
    /* The classes that a node has, numbered from 0: the mass of each, and the number of a class. */
    int64_t n_present;
    int32_t *present_masses, *numbers;
    int64_t squares;   /* of the masses, where they are counts */
    double least_mass; /* of the sides of a cut */

    /* Tallies by bin and class, a bit for each class that a bin has and for each bin that has some.
       All are 0 between searches. */
    uint32_t *tallies;
    uint64_t *classes_in;
    uint64_t *occupied;
    uint64_t *keys, *spare_keys;
    int32_t *side_by_side; /* tallies of several features */

    /* The block: codes of the few rows under some node, in cache. */
    void *block;
    int64_t *block_masses;
    uint32_t *values_of_ranks; /* where codes are wide: the code that a rank in the block stands for */
    int64_t *ranks;            /* and how many ranks each feature has */
    int64_t block_rows, block_stride;
    int32_t block_bytes;

    /* The trees, one behind the other, with children and lines counted from the first of them. */
    Node *nodes;
    int64_t n_nodes, most_nodes;
    double *masses_of_nodes;
    double *shares;
    int64_t n_lines, most_lines;
    int32_t *roots;
    double *decreases; /* (n_trees, n_features) */
    int64_t tree;      /* the one that grows */
} Grower;

/* Whether features are drawn for each node; otherwise all are looked at, in order. */
static inline bool draws_features(const Grower *g) {
    return g->task->features_per_node < g->task->n_features;
}

#endif
