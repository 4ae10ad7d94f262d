/* SHA-256 (FIPS 180-4). */

#ifndef SHA256_H
#define SHA256_H

#include <stdint.h>

enum { HEX_DIGITS = 64 };

/* Takes `n_blocks` of 64 bytes into the state. */
typedef void Compress(uint32_t state[8], const uint8_t *blocks, int64_t n_blocks);

Compress sha256_plainly;

/* The quickest that this processor has. */
Compress *sha256_compress(void);

/* The digest in hexadecimal digits. */
void sha256_hex(Compress *compress, const char *at, int64_t size, char to[HEX_DIGITS]);

#endif
