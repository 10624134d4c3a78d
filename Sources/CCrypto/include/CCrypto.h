#ifndef CAIRN_CCRYPTO_H
#define CAIRN_CCRYPTO_H
#include <stddef.h>
#include <stdint.h>
/* SHA-256 and HMAC-SHA-256 of libcrypto. `out` has 32 bytes. Return 1 on success. */
int cairn_sha256(const void *data, size_t size, uint8_t *out);
int cairn_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, uint8_t *out);
/* SHA-256 of bytes that come in pieces. NULL when libcrypto fails; `finish` frees the context as `free` does. */
typedef struct cairn_digest cairn_digest;
cairn_digest *cairn_sha256_new(void);
int cairn_sha256_update(cairn_digest *digest, const void *data, size_t size);
int cairn_sha256_finish(cairn_digest *digest, uint8_t *out);
void cairn_sha256_free(cairn_digest *digest);
/* MD5 for the Content-MD5 header of S3. `out` has 16 bytes. */
int cairn_md5(const void *data, size_t size, uint8_t *out);

/* AES-256-GCM of libcrypto. One context serves any number of messages, one after the other, in one direction. */
typedef struct cairn_gcm cairn_gcm;
/* `key` has 32 bytes and need not outlive the call. NULL when libcrypto fails. */
cairn_gcm *cairn_gcm_new(const void *key, int seals);
void cairn_gcm_free(cairn_gcm *gcm);
/* Begins a message; `nonce` has 12 bytes. All return 1 on success. */
int cairn_gcm_begin(cairn_gcm *gcm, const void *nonce, const void *bound, size_t bound_size);
/* More bytes to bind, before the first of the message. */
int cairn_gcm_bind(cairn_gcm *gcm, const void *bound, size_t size);
/* As many bytes out as in; may be called again for what follows, and in place. */
int cairn_gcm_update(cairn_gcm *gcm, const void *in, size_t size, void *out);
/* Ends a message. `tag` has 16 bytes: written when sealing; when opening, 0 is the answer if it does not fit the bytes. */
int cairn_gcm_finish(cairn_gcm *gcm, void *tag);

/* Random bytes for keys. Returns 1 on success. */
int cairn_random(void *out, size_t size);
/* Writes zeros that no optimiser leaves out. */
void cairn_cleanse(void *bytes, size_t size);
#endif
