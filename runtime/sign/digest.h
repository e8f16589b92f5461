// SPDX-License-Identifier: Apache-2.0
// Computes SHA-256 and HMAC-SHA-256 (RFC 2104). Implements cc_sha256, cc_sha1 and cc_equal (api/crypto.h).
#ifndef CC_SIGN_DIGEST_H
#define CC_SIGN_DIGEST_H
#include "api/crypto.h"

enum { CC_DIGEST_SIZE = 32, CC_DIGEST_BLOCK = 64 };

// A SHA-256 under way. After finish it may be started again.
struct cc_digest {
  _Alignas(8) uint8_t state[160];
};
void cc_digest_start(struct cc_digest *digest);
void cc_digest_add(struct cc_digest *digest, const void *data, size_t size);
void cc_digest_finish(struct cc_digest *digest, uint8_t out[CC_DIGEST_SIZE]); // wipes the state

// An HMAC-SHA-256 under way. The key is not kept.
struct cc_hmac {
  struct cc_digest inner;
  uint8_t outer_key[CC_DIGEST_BLOCK];
};
void cc_hmac_start(struct cc_hmac *hmac, const void *key, size_t size);
void cc_hmac_add(struct cc_hmac *hmac, const void *data, size_t size);
void cc_hmac_finish(struct cc_hmac *hmac, uint8_t out[CC_DIGEST_SIZE]); // wipes the state

// The HMAC-SHA-256 of data. out may be key.
void cc_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                    uint8_t out[CC_DIGEST_SIZE]);

// Writes bytes as lower-case hexadecimal digits, and a NUL: 2 * size + 1 bytes at out.
void cc_hex(const void *bytes, size_t size, char *out);
#endif
