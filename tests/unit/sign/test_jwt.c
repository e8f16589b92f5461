// SPDX-License-Identifier: Apache-2.0
// tests/data/jwt: keys made with openssl for these tests alone.
#include "api/error.h"
#include "api/util.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "base/mbed.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "sign/jwt.h"
#include "sign/vector.h"

#define DATA   TEST_DATA "/jwt/"
#define GOOGLE TEST_CORPORA "/google-auth/tests/data/"

static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"k?>1\"}";
static const char claims[] = "{\"iss\":\"a@b.example\",\"sub\":\"\xc3\xbf?>~\",\"iat\":1790000000}";

static int sign_with(const char *key, size_t size, struct cc_slice *token) {
  char *out = NULL;
  uint32_t out_size = 0;
  int error = cc_jwt(key, (uint32_t)size, header, sizeof header - 1, claims, sizeof claims - 1,
                     &out, &out_size);
  *token = cc_slice(out, out_size);
  return error;
}

static char *must_read(const char *path) {
  char *text = read_text(path);
  if (!text) fail_msg("cannot read %s", path);
  return text;
}

static void decode_url(struct cc_buffer *out, const char *text, size_t size) {
  char *copy = cc_copy_text("", 0);
  size_t whole = (size + 3) / 4 * 4;
  copy = cc_realloc(copy, whole + 1);
  for (size_t i = 0; i < whole; i++) {
    char byte = i < size ? text[i] : '=';
    assert_true(i >= size || (byte != '+' && byte != '/' && byte != '='));
    copy[i] = byte == '-' ? '+' : byte == '_' ? '/' : byte;
  }
  assert_true(cc_base64_decode(out, copy, whole));
  free(copy);
}

static void check_part(const char *text, size_t size, const char *expected) {
  struct cc_buffer plain = {0};
  decode_url(&plain, text, size);
  assert_int_equal(plain.size, strlen(expected));
  assert_memory_equal(plain.data, expected, plain.size);
  cc_buffer_free(&plain);
}

// True when the token's signature is of this public key or certificate.
static bool verify(struct cc_slice token, const char *public_key, bool certificate) {
  const char *dot = memrchr(token.data, '.', token.size);
  struct cc_buffer signature = {0};
  uint8_t digest[CC_DIGEST_SIZE];
  mbedtls_pk_context key;
  mbedtls_x509_crt chain;
  mbedtls_pk_init(&key);
  mbedtls_x509_crt_init(&chain);
  const unsigned char *text = (const unsigned char *)public_key;
  size_t size = strlen(public_key) + 1;
  assert_int_equal(certificate ? mbedtls_x509_crt_parse(&chain, text, size)
                               : mbedtls_pk_parse_public_key(&key, text, size),
                   0);
  decode_url(&signature, dot + 1, (size_t)(token.data + token.size - dot - 1));
  cc_sha256(token.data, (uint32_t)(dot - token.data), digest);
  int result = mbedtls_pk_verify(certificate ? &chain.pk : &key, MBEDTLS_MD_SHA256, digest,
                                 sizeof digest, (unsigned char *)signature.data, signature.size);
  mbedtls_pk_free(&key);
  mbedtls_x509_crt_free(&chain);
  cc_buffer_free(&signature);
  return result == 0;
}

static void check_token(struct cc_slice token) {
  const char *first = memchr(token.data, '.', token.size);
  const char *second = memrchr(token.data, '.', token.size);
  assert_true(first && second > first);
  assert_null(memchr(first + 1, '.', (size_t)(second - first - 1)));
  check_part(token.data, (size_t)(first - token.data), header);
  check_part(first + 1, (size_t)(second - first - 1), claims);
}

static void signs_with_both_kinds_of_pem(void **state) {
  (void)state;
  static const char *const files[] = {DATA "pkcs1.pem", DATA "pkcs8.pem"};
  char *public_key = must_read(DATA "public.pem");
  struct cc_slice token[2];
  for (int i = 0; i < 2; i++) {
    char *key = must_read(files[i]);
    assert_int_equal(sign_with(key, strlen(key), &token[i]), CC_OK);
    check_token(token[i]);
    assert_true(verify(token[i], public_key, false));
    free(key);
  }
  assert_int_equal(token[0].size, token[1].size); // one key, one signature: no salt in RS256
  assert_memory_equal(token[0].data, token[1].data, token[0].size);
  ((char *)token[0].data)[3] ^= 1;
  assert_false(verify(token[0], public_key, false));
  cc_free((char *)token[0].data);
  cc_free((char *)token[1].data);
  free(public_key);
}

// The size counts, not a NUL.
static void key_is_text_with_a_size(void **state) {
  (void)state;
  char *key = must_read(DATA "pkcs8.pem");
  size_t size = strlen(key);
  char *bare = malloc(size);
  memcpy(bare, key, size);
  struct cc_slice token;
  assert_int_equal(sign_with(bare, size, &token), CC_OK);
  cc_free((char *)token.data);
  assert_int_equal(sign_with(bare, size / 2, &token), CC_EINVAL);
  free(bare);
  free(key);
}

static void refuses_keys_that_cannot_sign(void **state) {
  (void)state;
  static const char *const files[] = {"ec.pem", "encrypted.pem", "encrypted_pkcs1.pem", "short.pem",
                                      "public.pem"};
  struct cc_slice token;
  char path[4096];
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, DATA "%s", files[i]);
    char *key = must_read(path);
    if (sign_with(key, strlen(key), &token) != CC_EINVAL) fail_msg("%s is taken", files[i]);
    assert_null(token.data);
    free(key);
  }
  assert_int_equal(sign_with("", 0, &token), CC_EINVAL);
  assert_int_equal(sign_with("CANARY7f3a9d", 12, &token), CC_EINVAL);
}

static void refuses_parts_that_are_no_json(void **state) {
  (void)state;
  char *key = must_read(DATA "pkcs8.pem"), *out = NULL;
  uint32_t size = (uint32_t)strlen(key), out_size;
  assert_int_equal(cc_jwt(key, size, "{", 1, "{}", 2, &out, &out_size), CC_EINVAL);
  assert_int_equal(cc_jwt(key, size, "{}", 2, "", 0, &out, &out_size), CC_EINVAL);
  assert_null(out);
  free(key);
}

static void google_keys(void **state) {
  (void)state;
  char *key = read_text(GOOGLE "privatekey.pem");
  if (!key) {
    print_message("skipped: no " GOOGLE "privatekey.pem\n");
    skip();
  }
  char *certificate = must_read(GOOGLE "public_cert.pem");
  char *account = must_read(GOOGLE "service_account.json");
  char *ec = must_read(GOOGLE "es256_privatekey.pem");
  struct cc_slice token;
  assert_int_equal(sign_with(key, strlen(key), &token), CC_OK);
  assert_true(verify(token, certificate, true));
  cc_free((char *)token.data);
  struct cc_json_member member;
  assert_int_equal(cc_json_find(account, strlen(account), cc_slice_text("private_key"), &member),
                   CC_OK);
  key = cc_realloc(key, member.value.size);
  size_t size = cc_json_text(member.value, key, member.value.size);
  assert_int_equal(sign_with(key, size, &token), CC_OK);
  check_token(token);
  assert_true(verify(token, certificate, true));
  cc_free((char *)token.data);
  assert_int_equal(sign_with(ec, strlen(ec), &token), CC_EINVAL);
  free(ec);
  free(account);
  free(certificate);
  free(key);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(signs_with_both_kinds_of_pem),
      cmocka_unit_test(key_is_text_with_a_size),
      cmocka_unit_test(refuses_keys_that_cannot_sign),
      cmocka_unit_test(refuses_parts_that_are_no_json),
      cmocka_unit_test(google_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
