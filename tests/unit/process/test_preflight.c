// SPDX-License-Identifier: Apache-2.0
// A process of its own for what may never end: what it says, how it ends, and that nothing of it stays.
#include "api/error.h"
#include "api/job.h"
#include "api/loop.h"
#include "api/process.h"
#include "support/descriptors.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LONG_MS = 20000, BYTES = 1 << 20 };

static struct cc_relay *relay;
static struct cc_fetched got;
static int descriptors;

static int begin(void **state) {
  (void)state;
  alarm(100);
  cc_close(cc_open()); // the library keeps a pipe for signals
  descriptors = count_descriptors();
  relay = cc_open();
  cc_signal(relay, SIGTERM);
  return 0;
}

static int end(void **state) {
  (void)state;
  cc_close(relay);
  if (count_descriptors() != descriptors) return -1;
  return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : -1; // no child is left
}

static void await(cc_id id) {
  struct cc_event event = {0};
  assert_true(id > 0);
  do
    assert_true(cc_next(relay, &event));
  while (event.type != CC_EVENT_FETCH);
  assert_true(event.id == id);
  assert_int_equal(cc_fetched(relay, id, &got), CC_OK);
}

static void say(const char *text) {
  cc_preflight_write(text, (uint32_t)strlen(text));
}

static void what_it_says_comes_back(void **state) {
  (void)state;
  cc_id id = cc_preflight(relay, LONG_MS, BYTES);
  if (id == 0) {
    say("all ");
    say("is well");
    cc_preflight_end();
  }
  await(id);
  assert_int_equal(got.error, CC_OK);
  assert_int_equal(got.status, 0);
  assert_int_equal(got.body.size, 11);
  assert_memory_equal(got.body.data, "all is well", 11);
}

static void much_comes_whole(void **state) {
  (void)state;
  cc_id id = cc_preflight(relay, LONG_MS, BYTES);
  if (id == 0) {
    char *much = malloc(BYTES);
    memset(much, 'm', BYTES);
    cc_preflight_write(much, BYTES);
    cc_preflight_end();
  }
  await(id);
  assert_int_equal(got.error, CC_OK);
  assert_int_equal(got.body.size, BYTES);
}

static void too_much_ends_it(void **state) {
  (void)state;
  cc_id id = cc_preflight(relay, LONG_MS, 1000);
  while (id == 0)
    say("more and more and more and more");
  await(id);
  assert_int_equal(got.error, CC_EBODY_SIZE);
}

static void a_signal_is_told(void **state) {
  (void)state;
  cc_id id = cc_preflight(relay, LONG_MS, BYTES);
  if (id == 0) {
    say("so far");
    raise(SIGTERM); // the relay's events are not the child's
    _exit(3);
  }
  await(id);
  assert_int_equal(got.error, CC_ESYSTEM);
  assert_int_equal(got.status, -SIGTERM);
  assert_memory_equal(got.body.data, "so far", 6);
}

static void another_end_is_told(void **state) {
  (void)state;
  cc_id id = cc_preflight(relay, LONG_MS, BYTES);
  if (id == 0) _exit(3);
  await(id);
  assert_int_equal(got.error, CC_OK);
  assert_int_equal(got.status, 3);
}

// Meanwhile the loop goes on.
static void one_that_never_ends_is_killed(void **state) {
  (void)state;
  cc_id id = cc_preflight(relay, 300, BYTES); // a second
  if (id == 0) {
    say("so far");
    for (;;)
      continue;
  }
  struct cc_event event;
  cc_timer(relay, 1, 50);
  assert_true(cc_next(relay, &event));
  assert_int_equal(event.type, CC_EVENT_TIMER);
  await(id);
  assert_int_equal(got.error, CC_ETOTAL_TIMEOUT);
  assert_memory_equal(got.body.data, "so far", 6);
}

static void one_that_uses_no_processor_time_is_killed_too(void **state) {
  (void)state;
  cc_id id = cc_preflight(relay, 50, BYTES);
  while (id == 0)
    pause();
  await(id);
  assert_int_equal(got.error, CC_ETOTAL_TIMEOUT);
}

static void it_ends_with_the_relay(void **state) {
  (void)state;
  cc_id id = cc_preflight(relay, LONG_MS, BYTES);
  while (id == 0)
    pause();
  assert_true(id > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_it_says_comes_back, begin, end),
      cmocka_unit_test_setup_teardown(much_comes_whole, begin, end),
      cmocka_unit_test_setup_teardown(too_much_ends_it, begin, end),
      cmocka_unit_test_setup_teardown(a_signal_is_told, begin, end),
      cmocka_unit_test_setup_teardown(another_end_is_told, begin, end),
      cmocka_unit_test_setup_teardown(one_that_never_ends_is_killed, begin, end),
      cmocka_unit_test_setup_teardown(one_that_uses_no_processor_time_is_killed_too, begin, end),
      cmocka_unit_test_setup_teardown(it_ends_with_the_relay, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
