// SPDX-License-Identifier: Apache-2.0
// Histograms: every time is in exactly one bucket, and none is lost between processes.
#include "api/error.h"
#include "shared/histogram.h"
#include "shared/shared.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int number;
static struct cc_histogram seen;

static int fresh(void **state) {
  (void)state;
  cc_shared_close();
  number = cc_histogram("waits", 5);
  return 0;
}

static double total(void) {
  double sum = 0;
  assert_int_equal(cc_histogram_read(number, &seen), CC_OK);
  for (uint32_t i = 0; i < CC_BUCKETS; i++)
    sum += seen.counts[i];
  return sum;
}

static void a_new_histogram_is_empty(void **state) {
  (void)state;
  struct cc_slice name;
  assert_true(total() == 0);
  assert_true(seen.sum_ms == 0);
  assert_int_equal(cc_histograms(), 1);
  assert_int_equal(cc_histogram_name(number, &name), CC_OK);
  assert_memory_equal(name.data, "waits", 5);
  assert_int_equal(cc_histogram("waits", 5), number);
}

static void bounds_rise_and_belong_to_their_bucket(void **state) {
  (void)state;
  for (uint32_t i = 0; i < CC_BUCKETS; i++) {
    double bound = cc_histogram_bound(i);
    assert_true(i == 0 || bound > cc_histogram_bound(i - 1));
    assert_true(isinf(bound) == (i == CC_BUCKETS - 1));
    cc_histogram_add(number, isinf(bound) ? 1e9 : bound);
  }
  assert_true(total() == CC_BUCKETS);
  for (uint32_t i = 0; i < CC_BUCKETS; i++)
    assert_true(seen.counts[i] == 1);
  cc_histogram_add(number, nextafter(cc_histogram_bound(4), INFINITY));
  total();
  assert_true(seen.counts[4] == 1 && seen.counts[5] == 2);
}

static void the_sum_is_in_milliseconds(void **state) {
  (void)state;
  cc_histogram_add(number, 1.5);
  cc_histogram_add(number, 20.25);
  total();
  assert_true(fabs(seen.sum_ms - 21.75) < 0.01);
}

static void odd_times_do_no_harm(void **state) {
  (void)state;
  cc_histogram_add(number, -1);
  cc_histogram_add(number, NAN);
  cc_histogram_add(number, INFINITY);
  assert_true(total() == 3);
  assert_true(seen.counts[0] == 2 && seen.counts[CC_BUCKETS - 1] == 1);
}

static void numbers_that_name_none_are_harmless(void **state) {
  (void)state;
  const int wrong[] = {-1, CC_HISTOGRAMS, CC_ELIMIT};
  for (int i = 0; i < 3; i++) {
    cc_histogram_add(wrong[i], 1);
    assert_int_equal(cc_histogram_read(wrong[i], &seen), CC_ENOTFOUND);
    assert_true(seen.sum_ms == 0);
  }
  assert_int_equal(cc_histogram("", 0), CC_EINVAL);
}

static void processes_count_in_the_same_one(void **state) {
  (void)state;
  enum { PROCESSES = 4, TIMES = 20000 };
  for (int i = 0; i < PROCESSES; i++)
    if (fork() == 0) {
      for (int n = 0; n < TIMES; n++)
        cc_histogram_add(cc_histogram("waits", 5), n % 2 ? 0.3 : 3000);
      _exit(0);
    }
  for (int i = 0; i < PROCESSES; i++)
    wait(NULL);
  assert_true(total() == PROCESSES * TIMES);
  assert_true(fabs(seen.sum_ms - PROCESSES * TIMES / 2 * 3000.3) < 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_new_histogram_is_empty, fresh),
      cmocka_unit_test_setup(bounds_rise_and_belong_to_their_bucket, fresh),
      cmocka_unit_test_setup(the_sum_is_in_milliseconds, fresh),
      cmocka_unit_test_setup(odd_times_do_no_harm, fresh),
      cmocka_unit_test_setup(numbers_that_name_none_are_harmless, fresh),
      cmocka_unit_test_setup(processes_count_in_the_same_one, fresh),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
