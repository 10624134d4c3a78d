#include "CCrypto.h"
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

int cairn_sha256(const void *data, size_t size, uint8_t *out) {
    return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL);
}

/* cairn_digest is libcrypto's own context. */
cairn_digest *cairn_sha256_new(void) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return NULL;
    }
    return (cairn_digest *)ctx;
}

int cairn_sha256_update(cairn_digest *digest, const void *data, size_t size) {
    return EVP_DigestUpdate((EVP_MD_CTX *)digest, data, size);
}

int cairn_sha256_finish(cairn_digest *digest, uint8_t *out) {
    int done = EVP_DigestFinal_ex((EVP_MD_CTX *)digest, out, NULL);
    cairn_sha256_free(digest);
    return done;
}

void cairn_sha256_free(cairn_digest *digest) { EVP_MD_CTX_free((EVP_MD_CTX *)digest); }

int cairn_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, uint8_t *out) {
    unsigned int written = 32;
    return HMAC(EVP_sha256(), key, (int)key_size, data, size, out, &written) != NULL;
}

int cairn_md5(const void *data, size_t size, uint8_t *out) {
    return EVP_Digest(data, size, out, NULL, EVP_md5(), NULL);
}

/* cairn_gcm is libcrypto's own context: it knows the direction. */
static EVP_CIPHER_CTX *context(cairn_gcm *gcm) { return (EVP_CIPHER_CTX *)gcm; }

cairn_gcm *cairn_gcm_new(const void *key, int seals) {
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) return NULL;
    if (EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, NULL, seals ? 1 : 0) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        return NULL;
    }
    return (cairn_gcm *)ctx;
}

void cairn_gcm_free(cairn_gcm *gcm) { EVP_CIPHER_CTX_free(context(gcm)); }

int cairn_gcm_begin(cairn_gcm *gcm, const void *nonce, const void *bound, size_t bound_size) {
    return EVP_CipherInit_ex(context(gcm), NULL, NULL, NULL, nonce, -1) == 1 && cairn_gcm_bind(gcm, bound, bound_size);
}

int cairn_gcm_bind(cairn_gcm *gcm, const void *bound, size_t size) {
    int written = 0;
    if (size > INT_MAX) return 0;
    return size == 0 || EVP_CipherUpdate(context(gcm), NULL, &written, bound, (int)size) == 1;
}

int cairn_gcm_update(cairn_gcm *gcm, const void *in, size_t size, void *out) {
    int written = 0;
    if (size > INT_MAX) return 0;
    if (size == 0) return 1;
    return EVP_CipherUpdate(context(gcm), out, &written, in, (int)size) == 1 && written == (int)size;
}

int cairn_gcm_finish(cairn_gcm *gcm, void *tag) {
    EVP_CIPHER_CTX *ctx = context(gcm);
    unsigned char none[16];
    int written = 0;
    if (EVP_CIPHER_CTX_is_encrypting(ctx)) {
        return EVP_CipherFinal_ex(ctx, none, &written) == 1
            && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1;
    }
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1
        && EVP_CipherFinal_ex(ctx, none, &written) == 1;
}

int cairn_random(void *out, size_t size) { return size <= INT_MAX && RAND_priv_bytes(out, (int)size) == 1; }

void cairn_cleanse(void *bytes, size_t size) { OPENSSL_cleanse(bytes, size); }
