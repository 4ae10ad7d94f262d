/* SHA-256 (FIPS 180-4), by the processor's own instructions where it has them.

   No level of x86-64 promises them, so cpuid is asked, whatever the build. */

#include "sha256.h"

#include <string.h>

enum { BLOCK = 64, LENGTH_BYTES = 8 };

static const uint32_t START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t turned(uint32_t word, int bits) { return word >> bits | word << (32 - bits); }

static void fill_schedule(uint32_t words[64], const uint8_t *block) {
    for (int i = 0; i < 16; i++) {
        uint32_t word;
        memcpy(&word, block + 4 * i, 4);
        words[i] = __builtin_bswap32(word);
    }
    for (int i = 16; i < 64; i++) {
        const uint32_t a = words[i - 15], b = words[i - 2];
        words[i] = words[i - 16] + words[i - 7] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) +
                   (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
    }
}

void sha256_plainly(uint32_t state[8], const uint8_t *blocks, int64_t n_blocks) {
    for (; n_blocks; n_blocks--, blocks += BLOCK) {
        uint32_t words[64], s[8];
        fill_schedule(words, blocks);
        memcpy(s, state, sizeof s);
        for (int i = 0; i < 64; i++) {
            const uint32_t big1 = turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25);
            const uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
            const uint32_t first = s[7] + big1 + choice + ROUND[i] + words[i];
            const uint32_t big0 = turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22);
            const uint32_t most = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
            memmove(s + 1, s, 7 * sizeof *s);
            s[4] += first;
            s[0] = first + big0 + most;
        }
        for (int i = 0; i < 8; i++) state[i] += s[i];
    }
}

#if defined(__x86_64__) || defined(_M_X64)

#include <cpuid.h>
#include <immintrin.h>

#define WITH_SHA __attribute__((target("sha,ssse3,sse4.1")))

/* The instructions hold the state as ABEF and CDGH, and do four rounds for four words. */
WITH_SHA static void compress_by_instructions(uint32_t state[8], const uint8_t *blocks,
                                              int64_t n_blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
    const __m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(dcba, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, dcba, 0xF0);
    for (; n_blocks; n_blocks--, blocks += BLOCK) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i words[4];
#pragma clang loop unroll(full)
        for (int i = 0; i < 16; i++) {
            __m128i four;
            if (i < 4) {
                four = _mm_loadu_si128((const __m128i *)(blocks + 16 * i));
                four = _mm_shuffle_epi8(four, swap);
            } else {
                const __m128i last = words[(i + 3) & 3], before = words[(i + 2) & 3];
                four = _mm_sha256msg1_epu32(words[i & 3], words[(i + 1) & 3]);
                four = _mm_add_epi32(four, _mm_alignr_epi8(last, before, 4));
                four = _mm_sha256msg2_epu32(four, last);
            }
            words[i & 3] = four;
            __m128i keyed = _mm_add_epi32(four, _mm_loadu_si128((const __m128i *)(ROUND + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, keyed);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(keyed, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

enum { SHA_BIT = 1 << 29, SSSE3_AND_SSE41 = 1 << 9 | 1 << 19 };

Compress *sha256_compress(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & SSSE3_AND_SSE41) != SSSE3_AND_SSE41)
        return sha256_plainly;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & SHA_BIT)) return sha256_plainly;
    return compress_by_instructions;
}

#else

Compress *sha256_compress(void) { return sha256_plainly; }

#endif

static void write_hex(const uint32_t state[8], char to[HEX_DIGITS]) {
    for (int i = 0; i < 8; i++)
        for (int shift = 28; shift >= 0; shift -= 4)
            *to++ = "0123456789abcdef"[state[i] >> shift & 15];
}

void sha256_hex(Compress *compress, const char *at, int64_t size, char to[HEX_DIGITS]) {
    uint32_t state[8];
    memcpy(state, START, sizeof state);
    compress(state, (const uint8_t *)at, size / BLOCK);
    /* What is left, a bit behind it, and the length in bits at the end of a block. */
    uint8_t last[2 * BLOCK] = {0};
    const int64_t rest = size % BLOCK;
    const int64_t n_blocks = rest + 1 + LENGTH_BYTES <= BLOCK ? 1 : 2;
    if (rest) memcpy(last, at + size - rest, (size_t)rest);
    last[rest] = 0x80;
    const uint64_t bits = __builtin_bswap64((uint64_t)size * 8);
    memcpy(last + n_blocks * BLOCK - LENGTH_BYTES, &bits, LENGTH_BYTES);
    compress(state, last, n_blocks);
    write_hex(state, to);
}
