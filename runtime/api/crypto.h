// SPDX-License-Identifier: Apache-2.0
// Random bytes, digests, encodings, tokens, and AWS signatures.
#ifndef CC_API_CRYPTO_H
#define CC_API_CRYPTO_H
#include "api/types.h"
#pragma GCC visibility push(default)

// Fills out with random bytes of the operating system. CC_ESYSTEM.
int cc_random(void *out, uint32_t size);

// The SHA-256 of data (32 bytes), and its SHA-1 (20 bytes; for names of files only).
int cc_sha256(const char *data, uint32_t size, uint8_t *out);
int cc_sha1(const char *data, uint32_t size, uint8_t *out);

// Compares secrets of the same size in a time that does not depend on their contents.
bool cc_equal(const uint8_t *a, const uint8_t *b, uint32_t size);

// Base64 (RFC 4648), with padding, or with the alphabet for URLs and without; allocated for the caller.
int cc_base64(const char *data, uint32_t size, bool url, char **out, uint32_t *out_size);

// A JWT (RFC 7519) signed with RS256, allocated for the caller. key: a private RSA key in PEM (PKCS #1 or
// #8); header and claims: JSON texts. CC_EINVAL when the key cannot be used.
int cc_jwt(const char *key, uint32_t key_size, const char *header, uint32_t header_size,
           const char *claims, uint32_t claims_size, char **out, uint32_t *out_size);

// ---- AWS Signature Version 4 --------------------------------------------------------------------

// Signs attempts (cc_attempt_sign) and requests of the relay's own.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
struct cc_signer {
  struct cc_slice access_key;
  struct cc_slice secret_key;
  struct cc_slice session_token; // or empty
  struct cc_slice region;
  struct cc_slice service;
  double skew_ms; // how far the wall clock is behind that of the service
};

// Makes the headers that sign a request for cc_fetch at time_ms (cc_time): lines "name: value", each ended
// by LF, allocated for the caller. headers: the lines that are sent besides, of which x-amz-* and
// content-type are signed too. CC_EINVAL when a text does not fit into a header.
int cc_sign(const struct cc_signer *signer, double time_ms, const char *method, const char *host,
            const char *target, const char *headers, const char *body, uint32_t body_size,
            char **out, uint32_t *out_size);

// Wipes the signing keys that this thread keeps: they may be of credentials that are in use no more.
void cc_sign_forget(void);

#pragma GCC visibility pop
#endif
