// SPDX-License-Identifier: Apache-2.0
#include "base/buffer.h"
#include "sign/day_key.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(literal) {literal, sizeof literal - 1}

static const struct cc_signer signer = {
    .access_key = TEXT("AKIDEXAMPLE"),
    .secret_key = TEXT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    .region = TEXT("us-east-1"),
    .service = TEXT("iam"),
};

static void of(const struct cc_signer *from, const char *day, char hex[2 * CC_DIGEST_SIZE + 1]) {
  uint8_t key[CC_DIGEST_SIZE];
  cc_day_key(from, day, key);
  cc_hex(key, sizeof key, hex);
}

// How many keys are derived for this call.
static unsigned costs(const struct cc_signer *from, const char *day) {
  char hex[2 * CC_DIGEST_SIZE + 1];
  unsigned before = cc_day_keys_derived();
  of(from, day, hex);
  return cc_day_keys_derived() - before;
}

static int forget(void **state) {
  (void)state;
  cc_sign_forget();
  return 0;
}

// The example of the AWS documentation.
static void the_known_key(void **state) {
  (void)state;
  static const char known[] = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
  char hex[2 * CC_DIGEST_SIZE + 1];
  for (int i = 0; i < 2; i++) {
    of(&signer, "20150830", hex);
    assert_string_equal(hex, known);
  }
}

static void a_key_is_derived_once_a_day(void **state) {
  (void)state;
  assert_int_equal(costs(&signer, "20150830"), 1);
  for (int i = 0; i < 3; i++)
    assert_int_equal(costs(&signer, "20150830"), 0);
  assert_int_equal(costs(&signer, "20150831"), 1);
  assert_int_equal(cc_day_keys_kept(), 1); // that of the day before is gone
  assert_int_equal(costs(&signer, "20150830"), 1);
}

// Each of what a key depends on; the last two differ only in where one text ends.
static void another_origin_is_another_key(void **state) {
  (void)state;
  struct cc_signer others[] = {signer, signer, signer, signer, signer};
  others[0].secret_key = cc_slice("CANARY7f3a9d", 12);
  others[1].region = cc_slice("us-east-2", 9);
  others[2].service = cc_slice("sts", 3);
  others[3].region = cc_slice("ab", 2);
  others[3].service = cc_slice("c", 1);
  others[4].region = cc_slice("a", 1);
  others[4].service = cc_slice("bc", 2);
  char hex[6][2 * CC_DIGEST_SIZE + 1];
  for (int i = 0; i < 6; i++) {
    of(i < 5 ? &others[i] : &signer, "20150830", hex[i]);
    for (int j = 0; j < i; j++)
      assert_string_not_equal(hex[i], hex[j]);
  }
  assert_int_equal(cc_day_keys_kept(), 6);
  for (int i = 0; i < 5; i++)
    assert_int_equal(costs(&others[i], "20150830"), 0);
}

static void the_last_used_are_kept(void **state) {
  (void)state;
  char names[CC_DAY_KEYS + 1][8];
  struct cc_signer others[CC_DAY_KEYS + 1];
  for (int i = 0; i <= CC_DAY_KEYS; i++) {
    snprintf(names[i], sizeof names[i], "r-%d", i);
    others[i] = signer;
    others[i].region = cc_slice(names[i], (uint32_t)strlen(names[i]));
  }
  for (int i = 0; i < CC_DAY_KEYS; i++)
    assert_int_equal(costs(&others[i], "20150830"), 1);
  assert_int_equal(costs(&others[0], "20150830"), 0);
  assert_int_equal(costs(&others[CC_DAY_KEYS], "20150830"), 1);
  assert_int_equal(cc_day_keys_kept(), CC_DAY_KEYS);
  assert_int_equal(costs(&others[0], "20150830"), 0);
  assert_int_equal(costs(&others[1], "20150830"), 1);
}

static void what_is_forgotten_is_gone(void **state) {
  (void)state;
  costs(&signer, "20150830");
  cc_sign_forget();
  assert_int_equal(cc_day_keys_kept(), 0);
  assert_int_equal(costs(&signer, "20150830"), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_known_key, forget),
      cmocka_unit_test_setup(a_key_is_derived_once_a_day, forget),
      cmocka_unit_test_setup(another_origin_is_another_key, forget),
      cmocka_unit_test_setup(the_last_used_are_kept, forget),
      cmocka_unit_test_setup(what_is_forgotten_is_gone, forget),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
