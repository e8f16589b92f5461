// SPDX-License-Identifier: Apache-2.0
#include "api/util.h"
#include "base/mbed.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

static void versions_are_those_at_run_time(void **state) {
  (void)state;
  char mbed[18];
  mbedtls_version_get_string(mbed);
  assert_non_null(strstr(cc_libraries(), uv_version_string()));
  assert_non_null(strstr(cc_libraries(), mbed));
  assert_string_equal(cc_version(), CC_VERSION);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(versions_are_those_at_run_time)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
