// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include "sign/digest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void is(const uint8_t *bytes, const char *expected) {
  char hex[2 * CC_DIGEST_SIZE + 1];
  cc_hex(bytes, CC_DIGEST_SIZE, hex);
  assert_string_equal(hex, expected);
}

// FIPS 180-4 examples.
static void known_digests(void **state) {
  (void)state;
  static const struct {
    const char *text, *digest;
  } known[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint8_t out[CC_DIGEST_SIZE];
    assert_int_equal(cc_sha256(known[i].text, (uint32_t)strlen(known[i].text), out), CC_OK);
    is(out, known[i].digest);
  }
}

// FIPS 180-4 examples.
static void known_sha1(void **state) {
  (void)state;
  static const char *const known[][2] = {
      {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
      {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint8_t out[20];
    char hex[41];
    assert_int_equal(cc_sha1(known[i][0], (uint32_t)strlen(known[i][0]), out), CC_OK);
    cc_hex(out, sizeof out, hex);
    assert_string_equal(hex, known[i][1]);
  }
}

// A million times "a", in pieces of every size.
static void pieces_make_the_same_digest(void **state) {
  (void)state;
  char piece[997];
  struct cc_digest digest;
  uint8_t out[CC_DIGEST_SIZE];
  memset(piece, 'a', sizeof piece);
  cc_digest_start(&digest);
  for (size_t left = 1000000, size = 0; left; left -= size) {
    size = (size + 1) % sizeof piece;
    if (size > left) size = left;
    cc_digest_add(&digest, piece, size);
  }
  cc_digest_finish(&digest, out);
  is(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// RFC 4231, cases 1 to 4, 6 and 7; and keys of exactly one block and one byte more.
static void known_hmacs(void **state) {
  (void)state;
  static char long_key[131], key_20[20], key_25[25], dd[50], cd[50];
  memset(long_key, 0xaa, sizeof long_key);
  memset(key_20, 0x0b, sizeof key_20);
  memset(dd, 0xdd, sizeof dd);
  memset(cd, 0xcd, sizeof cd);
  for (int i = 0; i < 25; i++)
    key_25[i] = (char)(i + 1);
  const struct {
    const char *key;
    size_t key_size;
    const char *data;
    size_t size;
    const char *expected;
  } known[] = {
      {key_20, 20, "Hi There", 8,
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", 4, "what do ya want for nothing?", 28,
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {long_key, 20, dd, 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {key_25, 25, cd, 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
      {long_key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {long_key, 131,
       "This is a test using a larger than block-size key and a larger than block-size data. The "
       "key needs to be hashed before being used by the HMAC algorithm.",
       152, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint8_t out[CC_DIGEST_SIZE];
    struct cc_hmac hmac;
    cc_hmac_sha256(known[i].key, known[i].key_size, known[i].data, known[i].size, out);
    is(out, known[i].expected);
    cc_hmac_start(&hmac, known[i].key, known[i].key_size);
    cc_hmac_add(&hmac, known[i].data, 3);
    cc_hmac_add(&hmac, known[i].data + 3, known[i].size - 3);
    cc_hmac_finish(&hmac, out);
    is(out, known[i].expected);
  }
}

// A key longer than a block counts as its digest; a key of exactly a block as it is.
static void keys_around_a_block(void **state) {
  (void)state;
  char key[65];
  uint8_t digest[CC_DIGEST_SIZE], one[CC_DIGEST_SIZE], other[CC_DIGEST_SIZE];
  memset(key, 'k', sizeof key);
  cc_sha256(key, 65, digest);
  cc_hmac_sha256(key, 65, "data", 4, one);
  cc_hmac_sha256(digest, sizeof digest, "data", 4, other);
  assert_memory_equal(one, other, sizeof one);
  cc_sha256(key, 64, digest);
  cc_hmac_sha256(key, 64, "data", 4, one);
  cc_hmac_sha256(digest, sizeof digest, "data", 4, other);
  assert_memory_not_equal(one, other, sizeof one);
}

static void a_chain_may_reuse_its_key(void **state) {
  (void)state;
  uint8_t key[CC_DIGEST_SIZE] = {1}, apart[CC_DIGEST_SIZE];
  cc_hmac_sha256(key, sizeof key, "x", 1, apart);
  cc_hmac_sha256(key, sizeof key, "x", 1, key);
  assert_memory_equal(key, apart, sizeof key);
}

static void nothing_is_left_behind(void **state) {
  (void)state;
  static const uint8_t nothing[sizeof(struct cc_hmac)];
  uint8_t out[CC_DIGEST_SIZE];
  struct cc_hmac hmac;
  cc_hmac_start(&hmac, "secret", 6);
  cc_hmac_add(&hmac, "data", 4);
  cc_hmac_finish(&hmac, out);
  assert_memory_equal(&hmac, nothing, sizeof hmac);
}

static void equal_means_every_byte(void **state) {
  (void)state;
  uint8_t a[33] = "abcdefghijklmnopqrstuvwxyz012345", b[33];
  memcpy(b, a, sizeof b);
  assert_true(cc_equal(a, b, 32));
  assert_true(cc_equal(a, b, 0));
  for (int i = 0; i < 32; i++) {
    b[i] ^= 0x80;
    assert_false(cc_equal(a, b, 32));
    assert_true(cc_equal(a, b, (uint32_t)i));
    b[i] ^= 0x80;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_digests),
      cmocka_unit_test(known_sha1),
      cmocka_unit_test(pieces_make_the_same_digest),
      cmocka_unit_test(known_hmacs),
      cmocka_unit_test(keys_around_a_block),
      cmocka_unit_test(a_chain_may_reuse_its_key),
      cmocka_unit_test(nothing_is_left_behind),
      cmocka_unit_test(equal_means_every_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
