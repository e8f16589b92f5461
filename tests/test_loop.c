// SPDX-License-Identifier: Apache-2.0
// What cc_next promises about time and order.
#include "relay.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_timer(struct cc_relay *relay, int number) {
  struct cc_event event;
  assert_true(cc_next(relay, &event));
  assert_int_equal(event.type, CC_EVENT_TIMER);
  assert_int_equal(event.detail, number);
}

// Timer 0 is due before the loop runs; nothing else is to happen for a long time.
static void what_is_due_already_does_not_wait(void **state) {
  (void)state;
  struct cc_relay *relay = cc_open();
  assert_int_equal(cc_timer(relay, 0, 1), CC_OK);
  assert_int_equal(cc_timer(relay, 1, 3000), CC_OK);
  usleep(20000);
  expect_timer(relay, 0);
  assert_int_equal(cc_timer(relay, 1, -1), CC_OK);
  assert_int_equal(cc_timer(relay, 2, 1), CC_OK);
  expect_timer(relay, 2); // not 1: the first did not wait for it
  cc_close(relay);
}

static void nothing_left_is_the_end(void **state) {
  (void)state;
  struct cc_event event;
  struct cc_relay *relay = cc_open();
  assert_int_equal(cc_timer(relay, 0, 1), CC_OK);
  expect_timer(relay, 0);
  assert_false(cc_next(relay, &event));
  cc_close(relay);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_due_already_does_not_wait),
      cmocka_unit_test(nothing_left_is_the_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
