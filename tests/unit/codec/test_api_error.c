// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "api/error.h"
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
  assert_string_equal(cc_api_error_type(529), "overloaded_error");
  assert_string_equal(cc_api_error_type(502), "api_error");
}

static void tells_the_status_of_a_type(void **state) {
  (void)state;
  static const int statuses[] = {400, 401, 402, 403, 404, 409, 413, 429, 500, 504, 529};
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    const char *type = cc_api_error_type(statuses[i]);
    assert_int_equal(cc_api_error_status(type, (uint32_t)strlen(type)), statuses[i]);
  }
  assert_int_equal(cc_api_error_status("api_errors", 10), 500);
  assert_int_equal(cc_api_error_status("", 0), 500);
}

static void finds_the_data_of_the_first_error_event(void **state) {
  (void)state;
  static const struct {
    const char *body, *data; // NULL: there is none
  } cases[] = {
      {"event: message_start\ndata: {}\n\nevent: error\r\ndata: {\"a\":1}\r\n\r\n", "{\"a\":1}"},
      {"event: error\ndata: {\ndata: }", "{\n}"},
      {"event: error\n\nevent: error\ndata: 2\n\n", ""},
      {"\xef\xbb\xbf data: x\rdata: {\"type\":\"error\"}\r\r", "{\"type\":\"error\"}"},
      {"data: {\"id\":1}\n\ndata: {\"error\":\"slow down\"}\n\n", "{\"error\":\"slow down\"}"},
      {"event: ping\ndata: {\"type\":\"error\"}\n\n", NULL},
      {": error\n\ndata: 1\n", NULL},
      {"{\"type\":\"error\",\"error\":{\"message\":\"data: x\"}}", NULL},
      {"<html>\n\ndata: x\n\n", NULL},
      {"", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct cc_buffer found = {0};
    uint32_t size;
    int status =
        cc_api_error_data(cases[i].body, (uint32_t)strlen(cases[i].body), &found.data, &size);
    found.size = size;
    assert_int_equal(status, cases[i].data ? CC_OK : CC_ENOTFOUND);
    if (cases[i].data)
      has_written(&found, cases[i].data);
    else
      assert_null(found.data);
  }
}

static void takes_names_as_types(void **state) {
  (void)state;
  static const char *const fit[] = {"overloaded_error", "1302", "urn:a/b.c-D", "x"};
  static const char *const unfit[] = {"",          "two words",   "a\n",      "\"",
                                      "a\xc3\xa4", "sk-********", "CC_ERESET"};
  for (size_t i = 0; i < sizeof fit / sizeof *fit; i++)
    assert_true(cc_api_error_is_type(fit[i], (uint32_t)strlen(fit[i])));
  for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++)
    assert_false(cc_api_error_is_type(unfit[i], (uint32_t)strlen(unfit[i])));
  char longest[66];
  memset(longest, 'a', sizeof longest);
  assert_true(cc_api_error_is_type(longest, 64));
  assert_false(cc_api_error_is_type(longest, 65));
  assert_false(cc_api_error_is_type("a\0b", 3));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(escapes_the_message_and_adds_the_request_id),
      cmocka_unit_test(leaves_a_quoted_message_as_it_is),
      cmocka_unit_test(tells_the_type_of_a_status),
      cmocka_unit_test(tells_the_status_of_a_type),
      cmocka_unit_test(finds_the_data_of_the_first_error_event),
      cmocka_unit_test(takes_names_as_types),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
