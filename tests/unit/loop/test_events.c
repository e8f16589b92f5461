// SPDX-License-Identifier: Apache-2.0
#include "api/loop.h"
#include "loop/events.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(struct cc_events *events, uint32_t type, int detail) {
  struct cc_event event;
  assert_true(cc_events_take(events, &event));
  assert_int_equal(event.type, type);
  assert_int_equal(event.detail, detail);
}

static void events_keep_their_order_while_the_ring_grows(void **state) {
  (void)state;
  uv_loop_t loop;
  uv_loop_init(&loop);
  struct cc_events events = {.loop = &loop};
  int next = 0;
  for (int i = 0; i < 1000; i++) {
    cc_events_post(&events, CC_EVENT_TIMER, i, 0);
    if (i % 3 == 0) expect(&events, CC_EVENT_TIMER, next++);
  }
  while (next < 1000)
    expect(&events, CC_EVENT_TIMER, next++);
  struct cc_event event;
  assert_false(cc_events_take(&events, &event));
  cc_events_free(&events);
  uv_loop_close(&loop);
}

static void messages_go_first(void **state) {
  (void)state;
  uv_loop_t loop;
  uv_loop_init(&loop);
  struct cc_events events = {.loop = &loop};
  cc_events_post(&events, CC_EVENT_READY, 1, 0);
  cc_events_post(&events, CC_EVENT_MESSAGE, 2, 0);
  cc_events_post(&events, CC_EVENT_READY, 3, 0);
  expect(&events, CC_EVENT_MESSAGE, 2);
  expect(&events, CC_EVENT_READY, 1);
  expect(&events, CC_EVENT_READY, 3);
  cc_events_free(&events);
  uv_loop_close(&loop);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(events_keep_their_order_while_the_ring_grows),
      cmocka_unit_test(messages_go_first),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
