/* Which sources these kernels were built from: see builds.py. */

#include <stdint.h>

/* A sum of 31 bits, given by the build. */
int32_t built_from(void) { return BUILT_FROM; }
