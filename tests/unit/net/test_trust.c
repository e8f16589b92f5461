// SPDX-License-Identifier: Apache-2.0
#include "api/error.h"
#include "net/trust.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct cc_trust made(const char *list) {
  struct cc_trust trust = {0};
  assert_int_equal(cc_trust_set(&trust, cc_slice_text(list)), CC_OK);
  return trust;
}

static void expect(const char *list, const char *peer, bool expected) {
  struct cc_trust trust = made(list);
  assert_int_equal(cc_trusts(&trust, peer), expected);
  cc_trust_free(&trust);
}

static void ranges(void **state) {
  (void)state;
  expect("", "127.0.0.1", false);
  expect("127.0.0.1", "127.0.0.1", true);
  expect("127.0.0.1", "127.0.0.2", false);
  expect("10.0.0.0/8 192.168.1.0/25", "10.255.0.1", true);
  expect("10.0.0.0/8 192.168.1.0/25", "192.168.1.127", true);
  expect("10.0.0.0/8 192.168.1.0/25", "192.168.1.128", false);
  expect("0.0.0.0/0", "203.0.113.9", true);
  expect("0.0.0.0/0", "2001:db8::1", false); // IPv4 only
  expect("::/0", "2001:db8::1", true);
  expect("2001:db8::/33", "2001:db8:7fff::1", true);
  expect("2001:db8::/33", "2001:db8:8000::1", false);
  expect("::ffff:10.0.0.0/104", "10.1.2.3", true);
  expect("unix", "unix", true);
  expect("::/0 0.0.0.0/0", "unix", false);
  expect("unix", "127.0.0.1", false);
  expect("0.0.0.0/0", "", false);
}

static void malformed_lists(void **state) {
  (void)state;
  static const char *const lists[] = {"x",          "10.0.0.0/33", "10.0.0.0/",     "10.0.0.0/08",
                                      "10.0.0.0/x", "::/129",      "10.0.0.0/8/8",  "10.0.0",
                                      "/8",         "[::1]",       "10.0.0.1  ::1", "unix/8",
                                      "10.0.0.0/-1"};
  struct cc_trust trust = made("127.0.0.1");
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    assert_int_equal(cc_trust_set(&trust, cc_slice_text(lists[i])), CC_EINVAL);
    assert_true(cc_trusts(&trust, "127.0.0.1")); // as before
  }
  cc_trust_free(&trust);
}

// The client for one or two headers; NULL: there is none.
static void client(const char *peer, const char *first, const char *second, const char *expected) {
  struct cc_trust trust = made("10.0.0.0/8 2001:db8::/32");
  struct cc_header headers[] = {
      {cc_slice_text("X-Forwarded-For"), cc_slice_text(first)},
      {cc_slice_text("x-other"), cc_slice_text("192.0.2.99")},
      {cc_slice_text("x-forwarded-for"), cc_slice_text(second ? second : "")}};
  struct cc_http1_head head = {.header = headers, .headers = second ? 3 : 2};
  char text[CC_PEER];
  strcpy(text, peer);
  cc_trust_client(&trust, &head, text);
  assert_string_equal(text, expected);
  cc_trust_free(&trust);
}

static void forwarded(void **state) {
  (void)state;
  client("203.0.113.1", "192.0.2.1", NULL, "203.0.113.1"); // not from a proxy
  client("10.0.0.1", "192.0.2.1", NULL, "192.0.2.1");
  client("10.0.0.1", "192.0.2.7, 192.0.2.1", NULL, "192.0.2.1");
  client("10.0.0.1", "192.0.2.7,192.0.2.1 ,\t10.0.0.9", NULL, "192.0.2.1");
  client("10.0.0.1", "192.0.2.1", "10.0.0.9", "192.0.2.1");
  client("10.0.0.1", "192.0.2.1", "192.0.2.2", "192.0.2.2");
  client("10.0.0.1", "10.0.0.3, 10.0.0.2", NULL, "10.0.0.3");
  client("10.0.0.1", "", NULL, "10.0.0.1");
  client("10.0.0.1", ",", NULL, "10.0.0.1");
  client("10.0.0.1", "192.0.2.1,", NULL, "10.0.0.1");
  client("10.0.0.1", "192.0.2.1, _hidden, 10.0.0.2", NULL, "10.0.0.2");
  client("10.0.0.1", "192.0.2.1:80", NULL, "192.0.2.1");
  client("10.0.0.1", "[2001:db9::1]:80", NULL, "2001:db9::1");
  client("10.0.0.1", "[2001:db9::1]", NULL, "2001:db9::1");
  client("2001:db8::5", "2001:DB9:0::1", NULL, "2001:db9::1");
  client("10.0.0.1", "::ffff:192.0.2.1", NULL, "192.0.2.1");
  client("10.0.0.1", "[192.0.2.1", NULL, "10.0.0.1");
}

// A client may send as many addresses as it likes; few are looked at.
static void many_hops(void **state) {
  (void)state;
  struct cc_buffer value = {0};
  for (int i = 0; i < 1000; i++)
    cc_buffer_printf(&value, "10.%d.%d.1,", i / 200, i % 200);
  cc_buffer_printf(&value, "10.0.0.2");
  char *text = cc_copy_text(value.data, value.size);
  client("10.0.0.1", text, NULL, "10.4.169.1");
  free(text);
  cc_buffer_free(&value);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranges),
      cmocka_unit_test(malformed_lists),
      cmocka_unit_test(forwarded),
      cmocka_unit_test(many_hops),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
