// SPDX-License-Identifier: Apache-2.0
// What cc_next promises about time and order.
#include "api/error.h"
#include "api/process.h"
#include "api/util.h"
#include "loop/engine.h"
#include "shared/shared.h"
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

static double busy_since(void) {
  struct cc_worker worker;
  assert_int_equal(cc_worker(0, &worker), CC_OK);
  return worker.busy;
}

// Two timers are due together; each event is taken late, and another timer is due meanwhile.
static void long_stays_let_the_loop_run(void **state) {
  (void)state;
  assert_int_equal(cc_share(1), CC_OK);
  cc_shared_this(0);
  struct cc_relay *relay = cc_open();
  for (int i = 0; i < 3; i++)
    assert_int_equal(cc_timer(relay, i, 1), CC_OK);
  usleep(10000);
  expect_timer(relay, 0);
  assert_int_equal(cc_timer(relay, 3, 15), CC_OK); // due in the first stay below
  for (int i = 1; i < 3; i++) {
    usleep(20000);
    double now = cc_now();
    cc_events_post(&relay->events, CC_EVENT_TIMER, 9, 0); // as Lua does
    expect_timer(relay, i);
    assert_true(busy_since() >= now);
  }
  struct cc_event event;
  int order[3];
  for (int i = 0; i < 3; i++) {
    assert_true(cc_next(relay, &event));
    order[i] = event.detail;
  }
  assert_int_equal(order[0], 9);
  assert_int_equal(order[1], 3); // it rang before the second was posted
  assert_int_equal(order[2], 9);
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
      cmocka_unit_test(long_stays_let_the_loop_run),
      cmocka_unit_test(nothing_left_is_the_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
