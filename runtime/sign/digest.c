// SPDX-License-Identifier: Apache-2.0
#include "sign/digest.h"
#include "api/error.h"
#include "base/buffer.h"
#include "base/mbed.h"
#include <string.h>

_Static_assert(sizeof(mbedtls_sha256_context) <= sizeof((struct cc_digest *)0)->state,
               "the state of mbedTLS fits");

static mbedtls_sha256_context *state(struct cc_digest *digest) {
  return (mbedtls_sha256_context *)digest->state;
}

void cc_digest_start(struct cc_digest *digest) {
  mbedtls_sha256_init(state(digest));
  CC_MBED_SHA256_START(state(digest));
}

void cc_digest_add(struct cc_digest *digest, const void *data, size_t size) {
  if (size) CC_MBED_SHA256_ADD(state(digest), data, size);
}

void cc_digest_finish(struct cc_digest *digest, uint8_t out[CC_DIGEST_SIZE]) {
  CC_MBED_SHA256_FINISH(state(digest), out);
  mbedtls_sha256_free(state(digest));
  cc_wipe(digest, sizeof *digest);
}

int cc_sha256(const char *data, uint32_t size, uint8_t *out) {
  struct cc_digest digest;
  cc_digest_start(&digest);
  cc_digest_add(&digest, data, size);
  cc_digest_finish(&digest, out);
  return CC_OK;
}

int cc_sha1(const char *data, uint32_t size, uint8_t *out) {
  CC_MBED_SHA1((const unsigned char *)data, size, out);
  return CC_OK;
}

void cc_hmac_start(struct cc_hmac *hmac, const void *key, size_t size) {
  uint8_t pad[CC_DIGEST_BLOCK] = {0};
  cc_digest_start(&hmac->inner);
  if (size > sizeof pad) {
    cc_digest_add(&hmac->inner, key, size);
    cc_digest_finish(&hmac->inner, pad);
    cc_digest_start(&hmac->inner);
  } else if (size) {
    memcpy(pad, key, size);
  }
  for (size_t i = 0; i < sizeof pad; i++) {
    hmac->outer_key[i] = pad[i] ^ 0x5c;
    pad[i] ^= 0x36;
  }
  cc_digest_add(&hmac->inner, pad, sizeof pad);
  cc_wipe(pad, sizeof pad);
}

void cc_hmac_add(struct cc_hmac *hmac, const void *data, size_t size) {
  cc_digest_add(&hmac->inner, data, size);
}

void cc_hmac_finish(struct cc_hmac *hmac, uint8_t out[CC_DIGEST_SIZE]) {
  struct cc_digest outer;
  uint8_t inner[CC_DIGEST_SIZE];
  cc_digest_finish(&hmac->inner, inner);
  cc_digest_start(&outer);
  cc_digest_add(&outer, hmac->outer_key, sizeof hmac->outer_key);
  cc_digest_add(&outer, inner, sizeof inner);
  cc_digest_finish(&outer, out);
  cc_wipe(inner, sizeof inner);
  cc_wipe(hmac, sizeof *hmac);
}

void cc_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
                    uint8_t out[CC_DIGEST_SIZE]) {
  struct cc_hmac hmac;
  cc_hmac_start(&hmac, key, key_size);
  cc_hmac_add(&hmac, data, size);
  cc_hmac_finish(&hmac, out);
}

bool cc_equal(const uint8_t *a, const uint8_t *b, uint32_t size) {
  volatile uint8_t difference = 0;
  for (uint32_t i = 0; i < size; i++)
    difference |= a[i] ^ b[i];
  return difference == 0;
}

void cc_hex(const void *bytes, size_t size, char *out) {
  static const char digits[] = "0123456789abcdef";
  const uint8_t *at = bytes;
  for (size_t i = 0; i < size; i++) {
    *out++ = digits[at[i] >> 4];
    *out++ = digits[at[i] & 15];
  }
  *out = '\0';
}
