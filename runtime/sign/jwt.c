// SPDX-License-Identifier: Apache-2.0
// Signs JSON Web Tokens with RS256 (RFC 7515, 7518), the kind that token services take from service
// accounts.
#include "sign/jwt.h"
#include "api/error.h"
#include "api/json.h"
#include "base/mbed.h"
#include "codec/base64.h"
#include "sign/digest.h"
#include <string.h>

static bool is_usable(const mbedtls_pk_context *key) {
  return mbedtls_pk_get_type(key) == MBEDTLS_PK_RSA && mbedtls_pk_get_bitlen(key) >= CC_JWT_BITS &&
         mbedtls_pk_get_len(key) <= MBEDTLS_MPI_MAX_SIZE;
}

// The parser needs a NUL at the end and reads nothing behind it.
static int read_key(mbedtls_pk_context *key, const char *text, uint32_t size) {
  char *copy = cc_copy_text(text, size);
  int result = CC_MBED_PARSE_KEY(key, (const unsigned char *)copy, (size_t)size + 1);
  cc_wipe(copy, size);
  free(copy);
  return result == 0 && is_usable(key) ? CC_OK : CC_EINVAL;
}

static int add_signature(struct cc_buffer *token, mbedtls_pk_context *key) {
  uint8_t digest[CC_DIGEST_SIZE];
  unsigned char signature[MBEDTLS_MPI_MAX_SIZE];
  size_t size;
  cc_sha256(token->data, (uint32_t)token->size, digest);
  if (CC_MBED_SIGN(key, digest, sizeof digest, signature, sizeof signature, &size) != 0)
    return CC_EINVAL;
  cc_buffer_add(token, ".", 1);
  cc_base64_encode_url(token, signature, size);
  return CC_OK;
}

static int make(struct cc_buffer *token, const char *key, uint32_t key_size) {
  mbedtls_pk_context parsed;
  mbedtls_pk_init(&parsed);
  int error = cc_mbed_begin() == 0 ? read_key(&parsed, key, key_size) : CC_EINVAL;
  if (!error) error = add_signature(token, &parsed);
  mbedtls_pk_free(&parsed);
  return error;
}

int cc_jwt(const char *key, uint32_t key_size, const char *header, uint32_t header_size,
           const char *claims, uint32_t claims_size, char **out, uint32_t *out_size) {
  struct cc_buffer token = {0};
  size_t parts = (size_t)header_size + claims_size + MBEDTLS_MPI_MAX_SIZE;
  if (!cc_json_valid(header, header_size) || !cc_json_valid(claims, claims_size)) return CC_EINVAL;
  cc_buffer_reserve(&token, parts * 4 / 3 + 16);
  cc_base64_encode_url(&token, header, header_size);
  cc_buffer_add(&token, ".", 1);
  cc_base64_encode_url(&token, claims, claims_size);
  int error = make(&token, key, key_size);
  if (error) {
    cc_buffer_wipe(&token);
    return error;
  }
  *out = token.data;
  *out_size = (uint32_t)token.size;
  return CC_OK;
}
