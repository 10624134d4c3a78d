#include "CCrypto.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

int cairn_sha256(const void *data, size_t size, uint8_t *out) {
    return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL);
}

int cairn_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, uint8_t *out) {
    unsigned int written = 32;
    return HMAC(EVP_sha256(), key, (int)key_size, data, size, out, &written) != NULL;
}

int cairn_md5(const void *data, size_t size, uint8_t *out) {
    return EVP_Digest(data, size, out, NULL, EVP_md5(), NULL);
}
