/* Sorting of 64-bit keys whose high half is a code. */

#ifndef FOREST_SORT_H
#define FOREST_SORT_H

#include <stdint.h>
#include <string.h>

#define DIGIT_BITS 8
#define DIGITS (1 << DIGIT_BITS)

static inline uint32_t code_of(uint64_t key) { return (uint32_t)(key >> 32); }

/* For a few keys: puts one more in its place among n that are in order. */
static inline void insert_key(uint64_t *keys, int64_t n, uint64_t key) {
    while (n > 0 && keys[n - 1] > key) {
        keys[n] = keys[n - 1];
        n--;
    }
    keys[n] = key;
}

/* By their codes, digit by digit from the lowest; equal codes keep their order. The result is in
   keys or in spare, whichever is returned. Digits that are the same in all keys are passed over. */
static inline uint64_t *sort_keys(uint64_t *keys, uint64_t *spare, int64_t n, uint32_t largest) {
    for (int shift = 32; shift < 64 && largest >> (shift - 32); shift += DIGIT_BITS) {
        int64_t begin[DIGITS + 1] = {0};
        for (int64_t i = 0; i < n; i++) begin[((keys[i] >> shift) & (DIGITS - 1)) + 1]++;
        if (begin[((keys[0] >> shift) & (DIGITS - 1)) + 1] == n) continue;
        for (int digit = 0; digit < DIGITS; digit++) begin[digit + 1] += begin[digit];
        for (int64_t i = 0; i < n; i++) spare[begin[(keys[i] >> shift) & (DIGITS - 1)]++] = keys[i];
        uint64_t *const other = keys;
        keys = spare;
        spare = other;
    }
    return keys;
}

#endif
