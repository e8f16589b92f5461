// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/api_error.h"
#include <cmocka.h>
#include <string.h>

static void has_written(struct cc_buffer *out, const char *text) {
  assert_int_equal(out->size, strlen(text));
  assert_memory_equal(out->data, text, out->size);
  cc_buffer_free(out);
}

static void escapes_the_message_and_adds_the_request_id(void **state) {
  (void)state;
  struct cc_buffer out = {0};
  cc_api_error(&out, "api_error", cc_slice_text("a \"b\"\n"), "req_1");
  has_written(&out, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                    "\"message\":\"a \\\"b\\\"\\n\"},\"request_id\":\"req_1\"}");
}

static void leaves_a_quoted_message_as_it_is(void **state) {
  (void)state;
  struct cc_buffer out = {0};
  cc_api_error_quoted(&out, "overloaded_error", cc_slice_text("\"a\\u0041\""), NULL);
  has_written(&out, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                    "\"message\":\"a\\u0041\"}}");
}

static void tells_the_type_of_a_status(void **state) {
  (void)state;
  assert_string_equal(cc_api_error_type(400), "invalid_request_error");
  assert_string_equal(cc_api_error_type(408), "timeout_error");
  assert_string_equal(cc_api_error_type(413), "request_too_large");
  assert_string_equal(cc_api_error_type(431), "invalid_request_error");
  assert_string_equal(cc_api_error_type(504), "timeout_error");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(escapes_the_message_and_adds_the_request_id),
      cmocka_unit_test(leaves_a_quoted_message_as_it_is),
      cmocka_unit_test(tells_the_type_of_a_status),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
