// SPDX-License-Identifier: Apache-2.0
// The versions of ccrelay and of its libraries.
#include "api/util.h"
#include "base/mbed.h"
#include <stdio.h>
#include <uv.h>

const char *cc_version(void) {
  return CC_VERSION;
}

const char *cc_libraries(void) {
  static char text[80];
  char mbed[18] = "";
  mbedtls_version_get_string(mbed);
  snprintf(text, sizeof text, "libuv %s, mbedTLS %s", uv_version_string(), mbed);
  return text;
}
