/* Codes of a column's values, and the rows of a bootstrap. */

#include <stdint.h>

#include "forest_random.h"

/* Searches that go on in step, so that they need no branches and fill vectors. */
#define IN_STEP 16

/* The number of bins that begin at or below a value, less 1: binary search, many at a time. */
#define DEFINE_ENCODE(VALUE, CODE)                                                                  \
    static void encode_##VALUE##_##CODE(const char *first, int64_t stride, int64_t n,               \
                                        const VALUE *low, int64_t n_bins, CODE *codes) {            \
        for (int64_t row = 0; row < n; row += IN_STEP) {                                            \
            const int64_t some = n - row < IN_STEP ? n - row : IN_STEP;                             \
            VALUE values[IN_STEP] = {0};                                                            \
            uint32_t at[IN_STEP] = {0};                                                             \
            for (int64_t i = 0; i < some; i++)                                                      \
                values[i] = *(const VALUE *)(first + (row + i) * stride);                           \
            for (uint32_t left = (uint32_t)n_bins; left > 1; left -= left / 2)                      \
                for (int i = 0; i < IN_STEP; i++)                                                   \
                    at[i] += low[at[i] + left / 2] <= values[i] ? left / 2 : 0;                     \
            for (int64_t i = 0; i < some; i++) codes[row + i] = (CODE)at[i];                        \
        }                                                                                           \
    }

DEFINE_ENCODE(float, uint8_t)
DEFINE_ENCODE(float, uint16_t)
DEFINE_ENCODE(float, uint32_t)
DEFINE_ENCODE(double, uint8_t)
DEFINE_ENCODE(double, uint16_t)
DEFINE_ENCODE(double, uint32_t)

/* The code of each of n values, which lie stride bytes apart; low has each bin's smallest value. */
void forest_encode(const char *first, int64_t stride, int64_t n, int32_t value_bytes,
                   const void *low, int64_t n_bins, int32_t code_bytes, void *codes) {
    if (value_bytes == sizeof(float)) {
        if (code_bytes == 1) encode_float_uint8_t(first, stride, n, low, n_bins, codes);
        if (code_bytes == 2) encode_float_uint16_t(first, stride, n, low, n_bins, codes);
        if (code_bytes == 4) encode_float_uint32_t(first, stride, n, low, n_bins, codes);
    } else {
        if (code_bytes == 1) encode_double_uint8_t(first, stride, n, low, n_bins, codes);
        if (code_bytes == 2) encode_double_uint16_t(first, stride, n, low, n_bins, codes);
        if (code_bytes == 4) encode_double_uint32_t(first, stride, n, low, n_bins, codes);
    }
}

/* The first row whose weight and those before it add up to more than the place. */
static int64_t row_at(const int64_t *reached, int64_t n_rows, int64_t place) {
    int64_t below = 0, above = n_rows;
    while (below < above) {
        const int64_t middle = (below + above) / 2;
        if (reached[middle] > place) above = middle;
        else below = middle + 1;
    }
    return below;
}

/* Adds to counts how often each row is drawn. Reached is the cumulative sum of the rows' whole
   weights; NULL weighs all alike. */
void forest_draw_rows(uint64_t seed, int64_t n_draws, int64_t n_rows, const int64_t *reached,
                      int32_t *counts) {
    Draws draws = draws_from(seed, 0);
    if (!reached) {
        for (int64_t i = 0; i < n_draws; i++) counts[draw_below(&draws, (uint64_t)n_rows)]++;
        return;
    }
    const uint64_t total = (uint64_t)reached[n_rows - 1];
    for (int64_t i = 0; i < n_draws; i++)
        counts[row_at(reached, n_rows, (int64_t)draw_below(&draws, total))]++;
}
