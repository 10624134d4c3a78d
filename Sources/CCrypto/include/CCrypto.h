#ifndef CAIRN_CCRYPTO_H
#define CAIRN_CCRYPTO_H
#include <stddef.h>
#include <stdint.h>
/* SHA-256 and HMAC-SHA-256 of libcrypto. `out` has 32 bytes. Return 1 on success. */
int cairn_sha256(const void *data, size_t size, uint8_t *out);
int cairn_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, uint8_t *out);
/* MD5 for the Content-MD5 header of S3. `out` has 16 bytes. */
int cairn_md5(const void *data, size_t size, uint8_t *out);
#endif
