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

/* Whether a server's certificate (DER) was signed by one of `authorities` (PEM, one or more, those between included; of size 0:
 * those that the system trusts) and is for `host`, a DNS name or an IP address. `others` are certificates that lie between, as the
 * server sent them, and are not trusted for themselves: DER, one after the other. Dates are judged by `when`, in seconds since 1970;
 * below 0 they do not matter. Returns 1; else 0, and the reason in `why`. */
int cairn_certificate_check(
    const void *leaf, size_t leaf_size, const void *others, size_t others_size, const void *authorities,
    size_t authorities_size, const char *host, int64_t when, char *why, size_t why_size);
/* What a certificate (DER) says: from when until when it is valid, in seconds since 1970, and whom it is for: its first DNS name
 * or address, else its common name. Returns 1 on success. */
int cairn_certificate_facts(
    const void *certificate, size_t size, int64_t *from, int64_t *until, char *name, size_t name_size);
/* Whether the second certificate (DER) signed the first. */
int cairn_certificate_signed_by(const void *certificate, size_t size, const void *issuer, size_t issuer_size);
#endif
