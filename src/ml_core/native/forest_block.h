/* The block: the codes of the rows under some node, copied to one place that stays in cache. */

#ifndef FOREST_BLOCK_H
#define FOREST_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "forest.h"
#include "forest_sort.h"

/* What the cache of second level holds beside all else, and the rows that ranks of 16 bits and the
   marks of bins allow. */
#define BLOCK_BYTES (1 << 19)
#define MOST_BLOCK_ROWS 4096
/* Columns that lay a power of two apart would share few places of the cache. */
#define BLOCK_GAP 64
/* With fewer rows a block would not be worth its copy. */
#define LEAST_BLOCK_ROWS 64

/* How many rows a block holds; 0 where there is to be none. */
static inline int64_t rows_of_blocks(const ForestTask *task) {
    const int64_t bytes = task->code_bytes == 1 ? 1 : 2;
    int64_t rows = BLOCK_BYTES / (bytes * task->n_features);
    if (rows > MOST_BLOCK_ROWS) rows = MOST_BLOCK_ROWS;
    /* So few rows are in cache as they are; of 4,096 rows codes are ranks already. */
    return rows < LEAST_BLOCK_ROWS || task->n_rows <= rows ? 0 : rows;
}

static inline Column column_of(const Grower *g, int64_t feature, bool in_block) {
    const ForestTask *task = g->task;
    const int64_t n_bins = task->starts[feature + 1] - task->starts[feature];
    if (!in_block) {
        const char *codes = task->by_column;
        return (Column){codes + feature * task->n_rows * task->code_bytes, task->code_bytes, n_bins};
    }
    const char *codes = (const char *)g->block + feature * g->block_stride * g->block_bytes;
    return (Column){codes, g->block_bytes, g->block_bytes == 1 ? n_bins : g->ranks[feature]};
}

/* Codes of more than a byte become ranks among the block's rows, so that few bins are marked. */
static inline void rank_column(Grower *g, const Entry *entries, int64_t n, int64_t feature) {
    const ForestTask *task = g->task;
    const int64_t n_features = task->n_features;
    for (int64_t i = 0; i < n; i++) {
        const size_t place = (size_t)row_of(entries[i]) * (size_t)n_features + (size_t)feature;
        const uint64_t code = task->code_bytes == 2 ? ((const uint16_t *)task->by_row)[place]
                                                    : ((const uint32_t *)task->by_row)[place];
        g->keys[i] = code << 32 | (uint32_t)i;
    }
    const int64_t n_bins = task->starts[feature + 1] - task->starts[feature];
    const uint64_t *keys = sort_keys(g->keys, g->spare_keys, n, (uint32_t)n_bins);
    uint16_t *const ranks = (uint16_t *)g->block + feature * g->block_stride;
    uint32_t *const values = g->values_of_ranks + feature * g->block_stride;
    int64_t n_ranks = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || code_of(keys[i]) != code_of(keys[i - 1])) values[n_ranks++] = code_of(keys[i]);
        ranks[(uint32_t)keys[i]] = (uint16_t)(n_ranks - 1);
    }
    g->ranks[feature] = n_ranks;
}

/* Lets the entries point into the block, which gets their codes. */
static inline void enter_block(Grower *g, Entry *entries, int64_t n) {
    const ForestTask *task = g->task;
    const int64_t n_features = task->n_features;
    if (g->block_bytes == 1) {
        uint8_t *const block = g->block;
        for (int64_t i = 0; i < n; i++) {
            const uint8_t *row =
                (const uint8_t *)task->by_row + (size_t)row_of(entries[i]) * (size_t)n_features;
            for (int64_t f = 0; f < n_features; f++) block[f * g->block_stride + i] = row[f];
        }
    } else {
        for (int64_t f = 0; f < n_features; f++) rank_column(g, entries, n, f);
    }
    for (int64_t i = 0; i < n; i++) {
        if (g->sample.masses) g->block_masses[i] = g->sample.masses[row_of(entries[i])];
        entries[i] = (uint64_t)i << 32 | (uint32_t)entries[i];
    }
}

/* The code among all rows that a code in the block stands for. */
static inline uint32_t code_outside(const Grower *g, int64_t feature, uint32_t code) {
    return g->block_bytes == 1 ? code : g->values_of_ranks[feature * g->block_stride + code];
}

#endif
