#define _DEFAULT_SOURCE
#include "CCrypto.h"
#include <arpa/inet.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

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

/* Fills `store` with every certificate of a PEM text; how many there were. */
static int add_authorities(X509_STORE *store, const void *pem, size_t size) {
    BIO *bio = size <= INT_MAX ? BIO_new_mem_buf(pem, (int)size) : NULL;
    X509 *found;
    int count = 0;
    while (bio && (found = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (X509_STORE_add_cert(store, found) == 1) count++;
        X509_free(found);
    }
    BIO_free(bio);
    return count;
}

static int names_host(X509_VERIFY_PARAM *rules, const char *host) {
    return X509_VERIFY_PARAM_set1_ip_asc(rules, host) == 1 || X509_VERIFY_PARAM_set1_host(rules, host, 0) == 1;
}

static X509 *parsed(const void *der, size_t size) {
    const unsigned char *bytes = der;
    return size <= LONG_MAX ? d2i_X509(NULL, &bytes, (long)size) : NULL;
}

/* Certificates one after the other. NULL when libcrypto fails. */
static STACK_OF(X509) *parsed_all(const void *der, size_t size) {
    STACK_OF(X509) *all = sk_X509_new_null();
    const unsigned char *next = der, *end = next + size;
    while (all && next < end && end - next <= LONG_MAX) {
        X509 *one = d2i_X509(NULL, &next, (long)(end - next));
        if (!one) break;
        if (!sk_X509_push(all, one)) {
            X509_free(one);
            break;
        }
    }
    return all;
}

int cairn_certificate_check(
    const void *leaf, size_t leaf_size, const void *others, size_t others_size, const void *authorities,
    size_t authorities_size, const char *host, int64_t when, char *why, size_t why_size) {
    X509 *certificate = parsed(leaf, leaf_size);
    STACK_OF(X509) *between = parsed_all(others, others_size);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    const char *flaw = "libcrypto failed";
    int good = 0;
    if (certificate && between && store && check
        && (authorities_size > 0 ? add_authorities(store, authorities, authorities_size) > 0
                                 : X509_STORE_set_default_paths(store) == 1)
        && X509_STORE_CTX_init(check, store, certificate, between) == 1) {
        X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(check);
        X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_SERVER);
        if (when < 0) X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_NO_CHECK_TIME);
        else X509_VERIFY_PARAM_set_time(rules, (time_t)when);
        if (names_host(rules, host)) {
            good = X509_verify_cert(check) == 1;
            flaw = X509_verify_cert_error_string(X509_STORE_CTX_get_error(check));
        }
    }
    if (why_size > 0) snprintf(why, why_size, "%s", good ? "" : flaw);
    X509_STORE_CTX_free(check);
    X509_STORE_free(store);
    sk_X509_pop_free(between, X509_free);
    X509_free(certificate);
    return good;
}

static int64_t seconds_of(const ASN1_TIME *time) {
    struct tm parts;
    return time && ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : -1;
}

/* The first DNS name or address among the alternative names; 0 when there is none that fits. */
static int alternative_name(X509 *certificate, char *name, size_t size) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int found = 0;
    for (int i = 0; names && !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        if (one->type == GEN_DNS) {
            int length = ASN1_STRING_length(one->d.dNSName);
            if (length < 0 || (size_t)length >= size) continue;
            memcpy(name, ASN1_STRING_get0_data(one->d.dNSName), (size_t)length);
            name[length] = 0;
            found = 1;
        } else if (one->type == GEN_IPADD) {
            int length = ASN1_STRING_length(one->d.iPAddress);
            int family = length == 4 ? AF_INET : length == 16 ? AF_INET6 : -1;
            found = family >= 0
                && inet_ntop(family, ASN1_STRING_get0_data(one->d.iPAddress), name, (socklen_t)size) != NULL;
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}

int cairn_certificate_facts(
    const void *der, size_t size, int64_t *from, int64_t *until, char *name, size_t name_size) {
    X509 *certificate = parsed(der, size);
    if (!certificate) return 0;
    *from = seconds_of(X509_get0_notBefore(certificate));
    *until = seconds_of(X509_get0_notAfter(certificate));
    if (!alternative_name(certificate, name, name_size)
        && X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, (int)name_size) < 0)
        name[0] = 0;
    X509_free(certificate);
    return *from >= 0 && *until >= 0;
}

int cairn_certificate_signed_by(const void *der, size_t size, const void *issuer_der, size_t issuer_size) {
    X509 *certificate = parsed(der, size), *issuer = parsed(issuer_der, issuer_size);
    int good = certificate && issuer && X509_check_issued(issuer, certificate) == X509_V_OK
        && X509_verify(certificate, X509_get0_pubkey(issuer)) == 1;
    X509_free(certificate);
    X509_free(issuer);
    return good;
}
