// SPDX-License-Identifier: Apache-2.0
// Whose time counts towards the deadline: a script's own in one stay, not the library's.
#include "api/loop.h"
#include "script/watchdog.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

enum { LIMIT_MS = 80, MUCH_MS = 240, LITTLE_MS = 15 };

static volatile int overdue, over;

static void on_overdue(void) {
  overdue++;
}

static void on_over(void) {
  over++;
}

static double used_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (double)time.tv_sec * 1000 + (double)time.tv_nsec / 1e6;
}

static void use(double ms) {
  double end = used_ms() + ms;
  while (used_ms() < end)
    continue;
}

// The clock's ticks come late on a busy machine, and then all the time since the last one is taken for that
// of what runs now. A tick before each change of place makes the samples exact.
static void enter(int place) {
  raise(SIGALRM);
  cc_watchdog_enter(place);
}

static int begin(void **state) {
  (void)state;
  overdue = over = 0;
  cc_watchdog_init(LIMIT_MS, on_overdue, on_over);
  cc_watchdog_begin(NULL);
  return 0;
}

static int end(void **state) {
  (void)state;
  cc_watchdog_end();
  return 0;
}

static void run_script(double ms) {
  enter(CC_SCRIPT);
  use(ms);
  enter(CC_LIBRARY);
}

static void test_script(void **state) {
  (void)state;
  run_script(MUCH_MS);
  assert_true(overdue);
  assert_int_equal(over, 0);
  cc_watchdog_end();
  assert_int_equal(over, 1);
}

static void test_library(void **state) {
  (void)state;
  use(MUCH_MS);
  run_script(LITTLE_MS);
  use(MUCH_MS);
  cc_watchdog_end();
  assert_int_equal(overdue, 0);
}

static void test_script_in_turns(void **state) {
  (void)state;
  for (int i = 0; i < 8; i++) {
    run_script(LITTLE_MS);
    use(LITTLE_MS);
  }
  assert_true(overdue);
}

static void test_called(void **state) {
  (void)state;
  run_script(1);
  enter(CC_CALLED);
  use(MUCH_MS);
  assert_int_equal(overdue, 0);
  use(14 * LIMIT_MS - MUCH_MS);
  assert_true(overdue);
}

static void test_anew(void **state) {
  (void)state;
  for (int i = 0; i < 8; i++) {
    run_script(LITTLE_MS);
    cc_watchdog_restart(NULL, 0);
  }
  assert_int_equal(overdue, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_script, begin, end),
      cmocka_unit_test_setup_teardown(test_library, begin, end),
      cmocka_unit_test_setup_teardown(test_script_in_turns, begin, end),
      cmocka_unit_test_setup_teardown(test_called, begin, end),
      cmocka_unit_test_setup_teardown(test_anew, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
