// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void every_error_has_its_own_name_and_sentence(void **state) {
  (void)state;
  for (int a = CC_OK; a >= CC_ELAST; a--) {
    assert_non_null(cc_error_name(a));
    assert_memory_equal(cc_error_name(a), "CC_", 3);
    assert_true(strlen(cc_error_text(a)) > 5);
    for (int b = a - 1; b >= CC_ELAST; b--) {
      assert_string_not_equal(cc_error_name(a), cc_error_name(b));
      assert_string_not_equal(cc_error_text(a), cc_error_text(b));
    }
  }
  assert_string_equal(cc_error_name(CC_OK), "CC_OK");
  assert_string_equal(cc_error_name(CC_EDNS), "CC_EDNS");
  assert_string_equal(cc_error_name(CC_ELAST), "CC_EUNTRUSTED");
}

static void other_values_are_unknown(void **state) {
  (void)state;
  const int values[] = {1, CC_ELAST - 1, 1 << 30, -(1 << 30)};
  for (int i = 0; i < 4; i++) {
    assert_string_equal(cc_error_name(values[i]), "CC_EUNKNOWN");
    assert_string_equal(cc_error_text(values[i]), "unknown error");
  }
}

static void failing_keeps_the_words(void **state) {
  (void)state;
  assert_int_equal(cc_fail(CC_ETLS, "%s %d", "no", 5), CC_ETLS);
  assert_string_equal(cc_system_error(), "no 5");
  errno = ENOENT;
  assert_int_equal(cc_fail_errno(CC_ESYSTEM, "thing"), CC_ESYSTEM);
  assert_string_equal(cc_system_error(), "thing: No such file or directory");
}

static void long_words_are_cut(void **state) {
  (void)state;
  char text[1000];
  memset(text, 'y', sizeof text - 1);
  text[sizeof text - 1] = 0;
  cc_fail(CC_ESYSTEM, "%s", text);
  assert_int_equal(strlen(cc_system_error()), 255);
}

static void *fail_elsewhere(void *out) {
  *(bool *)out = cc_system_error()[0] == 0;
  cc_fail(CC_ESYSTEM, "theirs");
  return NULL;
}

static void each_thread_has_its_words(void **state) {
  (void)state;
  pthread_t thread;
  bool empty = false;
  cc_fail(CC_ESYSTEM, "mine");
  pthread_create(&thread, NULL, fail_elsewhere, &empty);
  pthread_join(thread, NULL);
  assert_true(empty);
  assert_string_equal(cc_system_error(), "mine");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_error_has_its_own_name_and_sentence),
      cmocka_unit_test(other_values_are_unknown),
      cmocka_unit_test(failing_keeps_the_words),
      cmocka_unit_test(long_words_are_cut),
      cmocka_unit_test(each_thread_has_its_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
