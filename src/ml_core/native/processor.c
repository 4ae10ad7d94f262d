/* Which build of the kernels this processor and its operating system can run. */

#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)

#include <cpuid.h>

enum { SSE_STATE = 1 << 1, AVX_STATE = 1 << 2, AVX512_STATE = 7 << 5 };

static uint32_t saved_by_the_system(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

/* The level of the x86-64 psABI, 1 to 4: 2 has SSE4.2, 3 has AVX2 and FMA, 4 has AVX-512. */
int32_t processor_level(void) {
    uint32_t a, b, c, d, extended_c = 0, leaf7_b = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
    const uint32_t basic_c = c;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) extended_c = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) leaf7_b = b;
    const uint32_t sse42_and_popcnt = bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT;
    if (!has(basic_c, sse42_and_popcnt)) return 1;
    /* Registers that the operating system does not save must not be used, whatever cpuid says. */
    const uint32_t avx_and_fma = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C | bit_MOVBE;
    const uint32_t avx2_and_bmi = bit_AVX2 | bit_BMI | bit_BMI2;
    if (!has(basic_c, avx_and_fma) || !has(leaf7_b, avx2_and_bmi)) return 2;
    if (!has(extended_c, bit_LZCNT)) return 2;
    const uint32_t saved = saved_by_the_system();
    if (!has(saved, SSE_STATE | AVX_STATE)) return 2;
    const uint32_t avx512 =
        bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
    return has(leaf7_b, avx512) && has(saved, AVX512_STATE) ? 4 : 3;
}

#else

int32_t processor_level(void) { return 1; }

#endif
