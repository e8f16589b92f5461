// SPDX-License-Identifier: Apache-2.0
// Limits on a clock of our own: what fits, what waits and how long, what is learned, and time.
#include "api/error.h"
#include "limit_case.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// ---- One after the other -----------------------------------------------------------------------

static void requests_are_counted(void **state) {
  (void)state;
  rates(3, 0, 0, 0);
  for (int i = 0; i < 3; i++)
    assert_int_equal(reserve(500 + i * 100, 1e6, 1e6), CC_OK);
  assert_int_equal(reserve(800, 0, 0), CC_ELIMIT);
  assert_int_equal(reservation.limit, -1);
  assert_true(wait_ms == 59901); // the second's latest booking was at 700
  assert_true(usage(800).requests == 3);
  assert_int_equal(reserve(60700, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 1);
  assert_int_equal(reserve(60701, 0, 0), CC_OK);
  assert_true(wait_ms == 0);
  assert_int_equal(reservation.second, 60);
  assert_true(usage(60701).requests == 1);
}

static void requests_of_a_batch_are_counted_and_given_back(void **state) {
  (void)state;
  rates(10, 100, 0, 0);
  assert_int_equal(cc_limit_reserve_requests(limit, 0, 7, &reservation, &wait_ms), CC_OK);
  assert_true(usage(0).requests == 7);
  struct cc_reservation first = reservation;
  assert_int_equal(cc_limit_reserve_requests(limit, 1, 4, &reservation, &wait_ms), CC_ELIMIT);
  assert_true(wait_ms == 60000);
  assert_int_equal(reservation.limit, -1);
  assert_int_equal(cc_limit_reserve_requests(limit, 1, 3, &reservation, &wait_ms), CC_OK);
  assert_int_equal(reserve(1, 1, 1), CC_ELIMIT);
  cc_limit_refund(&first, 2);
  assert_true(usage(2).requests == 3);
  assert_int_equal(reserve(2, 1, 1), CC_OK);
  assert_int_equal(cc_limit_reserve_requests(-1, 0, 1, &reservation, &wait_ms), CC_EINVAL);
}

static void each_kind_of_tokens_is_counted(void **state) {
  (void)state;
  rates(0, 100, 80, 40);
  assert_int_equal(reserve(0, 81, 0), CC_OK); // alone above its rate, window empty
  assert_int_equal(reserve(61000, 60, 0), CC_OK);
  assert_int_equal(reserve(61000, 21, 0), CC_ELIMIT); // input
  assert_int_equal(reserve(61000, 0, 41), CC_ELIMIT); // tokens
  assert_int_equal(reserve(61000, 10, 30), CC_OK);
  assert_int_equal(reserve(61000, 0, 1), CC_ELIMIT); // tokens
  assert_int_equal(reserve(61000, 0, 0), CC_OK);
  assert_true(usage(61000).tokens == 100);
  assert_true(usage(61000).input_tokens == 70);
  assert_true(usage(61000).output_tokens == 30);
  rates(0, 0, 0, 40);
  assert_int_equal(reserve(61000, 1000, 10), CC_OK);
  assert_int_equal(reserve(61000, 0, 1), CC_ELIMIT); // output
}

static void without_rates_all_is_let_in(void **state) {
  (void)state;
  for (int i = 0; i < 300; i++)
    assert_int_equal(reserve(1, 1e15, INFINITY), CC_OK);
  assert_true(usage(1).requests == 300);
  assert_true(cc_limit_headroom(limit, 1) == 1);
}

static void a_request_above_the_rate_waits_for_emptiness(void **state) {
  (void)state;
  rates(0, 100, 0, 0);
  assert_int_equal(reserve(0, 10, 0), CC_OK);
  assert_int_equal(reserve(30000, 10, 0), CC_OK);
  assert_int_equal(reserve(30001, 500, 0), CC_ELIMIT);
  assert_true(wait_ms == 60000);
  assert_int_equal(reserve(90001, 500, 0), CC_OK);
  assert_int_equal(reserve(90002, 1, 0), CC_ELIMIT);
  rates(0.5, 0, 0, 0);
  assert_int_equal(reserve(200000, 0, 0), CC_OK);
  assert_int_equal(reserve(200000, 0, 0), CC_ELIMIT);
}

static void more_than_a_second_can_hold_is_refused(void **state) {
  (void)state;
  rates(0, 1e12, 0, 0);
  assert_int_equal(reserve(0, 1e12, 0), CC_OK);
  assert_int_equal(reserve(0, 1e12, 0), CC_ELIMIT);
  assert_true(usage(0).requests == 1);
  assert_int_equal(reserve(1000, 1e12, 0), CC_OK);
}

static void odd_amounts_count_as_none(void **state) {
  (void)state;
  rates(0, 10, 0, 0);
  assert_int_equal(reserve(0, NAN, -5), CC_OK);
  assert_true(usage(0).tokens == 0);
  assert_int_equal(reserve(0, 0.2, 0), CC_OK);
  assert_true(usage(0).tokens == 1);
}

static void settling_replaces_the_estimate(void **state) {
  (void)state;
  rates(0, 100, 0, 0);
  assert_int_equal(reserve(0, 60, 40), CC_OK);
  struct cc_reservation first = reservation;
  assert_int_equal(reserve(10, 1, 0), CC_ELIMIT);
  cc_limit_commit(&first, 20, 50, 5);
  assert_true(usage(20).input_tokens == 50 && usage(20).output_tokens == 5);
  assert_int_equal(reserve(5000, 45, 0), CC_OK);
  cc_limit_commit(&reservation, 6000, 90, 0);
  assert_true(usage(6000).tokens == 145);
  assert_int_equal(reserve(6000, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 54001); // until the first is gone
  assert_int_equal(reserve(60001, 10, 0), CC_OK);
}

static void a_look_books_nothing(void **state) {
  (void)state;
  rates(2, 100, 0, 0);
  cc_limit_learn(limit, 0, 0, 2, 50000, 0, NULL);
  for (int i = 0; i < 9; i++)
    assert_true(cc_limit_wait(limit, 0, 60, 40, NULL) == 0);
  assert_int_equal(reserve(0, 60, 0), CC_OK);
  assert_true(cc_limit_wait(limit, 5000, 60, 0, NULL) == 55001);
  assert_true(cc_limit_wait(limit, 5000, 40, 0, NULL) == 0);
  assert_int_equal(reserve(5000, 40, 0), CC_OK);
  assert_true(cc_limit_wait(limit, 6000, 0, 0, NULL) == 54001);
  assert_true(cc_limit_wait(-1, 0, 1, 1, NULL) == 0);
}

static double wait_behind(double now, double input, double requests, double ahead_input) {
  struct cc_rates ahead = {.requests = requests, .input_tokens = ahead_input};
  return cc_limit_wait(limit, now, input, 0, &ahead);
}

static void those_ahead_take_their_room_first(void **state) {
  (void)state;
  rates(3, 0, 0, 0);
  assert_true(wait_behind(0, 0, 2, 0) == 0);
  assert_true(wait_behind(0, 0, 3, 0) == 60000);
  for (int i = 0; i < 3; i++)
    assert_int_equal(reserve(i * 10000, 0, 0), CC_OK);
  assert_true(wait_behind(30000, 0, 0, 0) == 30001);
  assert_true(wait_behind(30000, 0, 1, 0) == 40001);
  assert_true(wait_behind(30000, 0, 2, 0) == 50001);
  assert_true(wait_behind(30000, 0, 3, 0) == 90001); // as that which goes first is gone again
  assert_true(wait_behind(30000, 0, 7, 0) == 160001);
}

static void those_ahead_take_their_tokens_first(void **state) {
  (void)state;
  rates(0, 100, 0, 0);
  assert_true(wait_behind(0, 40, 1, 60) == 0);
  assert_true(wait_behind(0, 41, 1, 60) == 60000);
  assert_int_equal(reserve(0, 50, 0), CC_OK);
  assert_true(wait_behind(1000, 20, 1, 30) == 0);
  assert_true(wait_behind(1000, 21, 1, 30) == 59001);
  assert_true(wait_behind(1000, 50, 1, 100) == 60000);
  assert_true(wait_behind(1000, 80, 1, 90) == 119001);
  assert_true(wait_behind(1000, 900, 1, 60) == 119001);
  cc_limit_learn(limit, 1, 0, 45, 31000, 1000, NULL);
  assert_true(wait_behind(1000, 15, 1, 30) == 0);
  assert_true(wait_behind(1000, 16, 1, 30) == 30000);
}

static void more_output_than_estimated_counts_from_when_it_is_known(void **state) {
  (void)state;
  rates(0, 0, 0, 100);
  assert_int_equal(reserve(0, 0, 10), CC_OK);
  cc_limit_commit(&reservation, 58000, 0, 150);
  assert_true(usage(59000).output_tokens == 150);
  assert_true(usage(61000).output_tokens == 140);
  assert_int_equal(reserve(118000, 0, 10), CC_ELIMIT);
  assert_int_equal(reserve(118001, 0, 10), CC_OK);
  cc_limit_commit(&reservation, 200000, 0, 150); // longer than a window
  assert_true(usage(200000).output_tokens == 140);
}

static void settling_late_changes_nothing(void **state) {
  (void)state;
  rates(10, 100, 0, 0);
  assert_int_equal(reserve(1000, 60, 0), CC_OK);
  struct cc_reservation first = reservation;
  assert_int_equal(reserve(62000, 60, 0), CC_OK); // the same word, a lap later
  cc_limit_commit(&first, 62000, 0, 0);
  cc_limit_refund(&first, 62000);
  assert_true(usage(62000).tokens == 60 && usage(62000).requests == 1);
}

static void releasing_takes_all_back(void **state) {
  (void)state;
  rates(1, 100, 0, 0);
  assert_int_equal(reserve(0, 60, 40), CC_OK);
  cc_limit_refund(&reservation, 0);
  assert_true(usage(0).requests == 0 && usage(0).tokens == 0);
  cc_limit_refund(&reservation, 0); // once too often: never below nothing
  assert_true(usage(0).requests == 0 && usage(0).tokens == 0);
  assert_int_equal(reserve(0, 100, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  cc_limit_refund(&reservation, 0); // of a refusal
  assert_true(usage(0).requests == 1);
}

static void headroom_is_the_least_share(void **state) {
  (void)state;
  assert_true(cc_limit_headroom(limit, 0) == 1);
  rates(10, 100, 0, 50);
  assert_true(cc_limit_headroom(limit, 0) == 1);
  assert_int_equal(reserve(0, 10, 10), CC_OK);
  assert_true(fabs(cc_limit_headroom(limit, 0) - 0.8) < 1e-9);
  cc_limit_commit(&reservation, 0, 10, 200);
  assert_true(cc_limit_headroom(limit, 0) == 0);
  assert_true(cc_limit_headroom(limit, 60001) == 1);
}

static void a_new_configuration_counts_at_once(void **state) {
  (void)state;
  rates(2, 0, 0, 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  rates(1, 0, 0, 0);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  rates(-1, NAN, 0, 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
}

static void limits_that_do_not_exist_are_harmless(void **state) {
  (void)state;
  struct cc_rates given = {1, 1, 1, 1};
  struct cc_reservation lost = {.limit = 99999};
  cc_limit_configure(-1, &given);
  cc_limit_learn(CC_LIMITS, 0, 1, 0, 10, 0, NULL);
  cc_limit_learn(limit, 4, 1, 0, 10, 0, NULL);
  cc_limit_commit(&lost, 0, 1, 1);
  cc_limit_refund(&lost, 0);
  assert_int_equal(cc_limit_reserve(-1, 0, 1, 1, &reservation, &wait_ms), CC_EINVAL);
  assert_true(cc_limit_headroom(-1, 0) == 1);
  cc_limit_usage(-1, 0, &given);
  assert_true(given.requests == 0 && given.tokens == 0);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
}

// ---- What providers teach ----------------------------------------------------------------------

static void the_stricter_rate_counts(void **state) {
  (void)state;
  rates(3, 0, 0, 0);
  cc_limit_learn(limit, 0, 2, -1, 0, 0, NULL);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  cc_limit_learn(limit, 0, 50, -1, 0, 0, NULL);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  rates(0, 0, 0, 0);
  cc_limit_learn(limit, 0, 4, -1, 0, 0, NULL);
  cc_limit_learn(limit, 0, 0, -1, 0, 0, NULL); // tells nothing
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
}

static void what_remains_counts_until_the_reset(void **state) {
  (void)state;
  const double tokens[4][2] = {{0, 0}, {20, 20}, {40, 0}, {0, 40}};
  for (unsigned kind = 0; kind < 4; kind++) {
    double now = 1000 + 100000 * kind, more = kind ? 1 : 0;
    cc_limit_learn(limit, kind, 0, kind ? 50 : 1, now + 9000, now, NULL);
    assert_int_equal(reserve(now, tokens[kind][0], tokens[kind][1]), CC_OK);
    assert_int_equal(reserve(now + 1000, tokens[kind][0], tokens[kind][1]), CC_ELIMIT);
    assert_true(wait_ms == 8000);
    assert_true(cc_limit_headroom(limit, now) == (kind ? 1 : 0)); // no rate to share in
    assert_int_equal(reserve(now + 9000, 40 * more, 40 * more), CC_OK);
  }
}

static void a_refusal_takes_nothing_from_what_remains(void **state) {
  (void)state;
  cc_limit_learn(limit, 0, 0, 2, 60000, 0, NULL);
  cc_limit_learn(limit, 2, 0, 10, 60000, 0, NULL);
  for (int i = 0; i < 5; i++)
    assert_int_equal(reserve(0, 11, 0), CC_ELIMIT);
  assert_int_equal(reserve(0, 10, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 60000);
}

static void of_one_reset_the_smaller_remainder_counts(void **state) {
  (void)state;
  cc_limit_learn(limit, 0, 0, 2, 30000, 0, NULL);
  cc_limit_learn(limit, 0, 0, 9, 30400, 0, NULL);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  cc_limit_learn(limit, 0, 0, 9, 20000, 0, NULL); // old news
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  cc_limit_learn(limit, 0, 0, 1, 50000, 0, NULL); // a later window
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  assert_int_equal(reserve(40000, 0, 0), CC_ELIMIT);
  cc_limit_learn(limit, 0, 0, 3, 45000, 50001, NULL); // has passed
  assert_int_equal(reserve(50001, 0, 0), CC_OK);
}

static void what_was_not_used_remains(void **state) {
  (void)state;
  cc_limit_learn(limit, 0, 0, 3, 50000, 0, NULL);
  cc_limit_learn(limit, 2, 0, 100, 50000, 0, NULL);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(reserve(0, 80, 0), CC_OK);
    cc_limit_refund(&reservation, 0);
  }
  for (int i = 0; i < 3; i++) {
    assert_int_equal(reserve(0, 80, 0), CC_OK);
    cc_limit_commit(&reservation, 0, 10, 0);
  }
  assert_int_equal(reserve(0, 1, 0), CC_ELIMIT); // three requests
  cc_limit_learn(limit, 0, 0, 9, 90000, 0, NULL);
  assert_int_equal(reserve(0, 71, 0), CC_ELIMIT);
  assert_int_equal(reserve(0, 70, 0), CC_OK);
}

static void more_than_estimated_is_taken_from_what_remains(void **state) {
  (void)state;
  cc_limit_learn(limit, 1, 0, 100, 50000, 0, NULL);
  assert_int_equal(reserve(0, 10, 0), CC_OK);
  cc_limit_commit(&reservation, 0, 60, 20);
  assert_int_equal(reserve(0, 21, 0), CC_ELIMIT);
  assert_int_equal(reserve(0, 20, 0), CC_OK);
  cc_limit_commit(&reservation, 0, 900, 0);
  assert_int_equal(reserve(0, 1, 0), CC_ELIMIT); // never below nothing
}

static void a_report_counts_the_request_it_came_with(void **state) {
  (void)state;
  cc_limit_learn(limit, 2, 0, 100, 50000, 0, NULL);
  assert_int_equal(reserve(0, 40, 0), CC_OK);
  struct cc_reservation other = reservation;
  assert_int_equal(reserve(0, 40, 0), CC_OK);
  cc_limit_learn(limit, 2, 0, 98, 50400, 0, &reservation);
  cc_limit_commit(&reservation, 0, 2, 0); // which the report had
  assert_int_equal(reserve(0, 61, 0), CC_ELIMIT);
  cc_limit_commit(&other, 0, 2, 0);
  assert_int_equal(reserve(0, 99, 0), CC_ELIMIT);
  assert_int_equal(reserve(0, 98, 0), CC_OK);
}

static void what_was_taken_before_a_reset_is_not_given_back_behind_it(void **state) {
  (void)state;
  cc_limit_learn(limit, 2, 0, 100, 10000, 0, NULL);
  assert_int_equal(reserve(0, 90, 0), CC_OK);
  cc_limit_learn(limit, 2, 0, 50, 70000, 11000, NULL);
  cc_limit_refund(&reservation, 12000);
  assert_int_equal(reserve(12000, 51, 0), CC_ELIMIT);
  assert_int_equal(reserve(12000, 50, 0), CC_OK);
}

static void an_earlier_reset_counts_if_it_leaves_less(void **state) {
  (void)state;
  cc_limit_learn(limit, 0, 0, 9, 60000, 0, NULL);
  cc_limit_learn(limit, 0, 0, 0, 5000, 0, NULL);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 5000);
  assert_int_equal(reserve(5000, 0, 0), CC_OK);
}

static void odd_lessons_teach_nothing(void **state) {
  (void)state;
  cc_limit_learn(limit, 0, NAN, NAN, 1000, 0, NULL);
  cc_limit_learn(limit, 0, -1, 0, NAN, 0, NULL);
  cc_limit_learn(limit, 0, 0, 0, 0, 0, NULL);
  assert_int_equal(reserve(0, 0, 0), CC_OK);
  cc_limit_learn(limit, 0, 0, 0, INFINITY, 0, NULL);
  assert_int_equal(reserve(0, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 3600000);
  cc_limit_learn(limit, 1, 0, 1e300, 1e9, 0, NULL);
  assert_int_equal(reserve(3600000, 1e6, 0), CC_OK);
}

// ---- Time --------------------------------------------------------------------------------------

static void gaps_of_any_length_are_harmless(void **state) {
  (void)state;
  rates(1, 0, 0, 0);
  double now = 5;
  for (double gap = 60001; gap < 1e12; gap *= 3) {
    assert_int_equal(reserve(now, 0, 0), CC_OK);
    assert_int_equal(reserve(now, 0, 0), CC_ELIMIT);
    now += gap;
  }
}

static void a_little_back_books_at_the_latest(void **state) {
  (void)state;
  rates(2, 0, 0, 0);
  assert_int_equal(reserve(100000, 0, 0), CC_OK);
  assert_int_equal(reserve(70000, 0, 0), CC_OK);
  assert_int_equal(reservation.second, 100);
  assert_int_equal(reserve(70000, 0, 0), CC_ELIMIT);
  assert_int_equal(reserve(160000, 0, 0), CC_ELIMIT);
  assert_int_equal(reserve(160001, 0, 0), CC_OK);
}

static void far_back_neither_empties_nor_freezes(void **state) {
  (void)state;
  rates(1, 0, 0, 0);
  assert_int_equal(reserve(86400000, 0, 0), CC_OK);
  assert_int_equal(reserve(1000, 0, 0), CC_ELIMIT);
  assert_true(wait_ms == 60001);
  assert_int_equal(reserve(31000, 0, 0), CC_ELIMIT);
  assert_int_equal(reserve(61001, 0, 0), CC_OK);
  assert_int_equal(reserve(1e12, 0, 0), CC_OK);
  assert_int_equal(reserve(61001, 0, 0), CC_ELIMIT);
  assert_int_equal(reserve(121002, 0, 0), CC_OK);
}

static void times_without_sense_count_as_the_latest(void **state) {
  (void)state;
  const double odd[] = {NAN, -1, -INFINITY, INFINITY, 1e18};
  rates(1, 0, 0, 0);
  assert_int_equal(reserve(5000, 0, 0), CC_OK);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(reserve(odd[i], 0, 0), CC_ELIMIT);
    assert_true(usage(odd[i]).requests == 1);
  }
  assert_int_equal(reserve(65001, 0, 0), CC_OK);
}

static void cleared_limits_are_as_new(void **state) {
  (void)state;
  int other = cc_limit("other", 5);
  rates(3, 0, 0, 0);
  cc_limit_learn(limit, 0, 2, 1, 5e6 + 9000, 5e6, NULL);
  cc_limit_learn(other, 1, 50, 10, 9000, 0, NULL);
  assert_int_equal(reserve(5e6, 10, 10), CC_OK);
  assert_int_equal(reserve(5e6, 10, 10), CC_ELIMIT);
  cc_limits_clear();
  assert_true(usage(5e6).requests == 0);
  for (int i = 0; i < 50; i++)
    assert_int_equal(reserve(1000, 10, 10), CC_OK);
  assert_true(usage(61000).requests == 50); // the clock began anew
  assert_true(cc_limit_headroom(limit, 1000) == 1);
  assert_true(cc_limit_wait(other, 1000, 100, 0, NULL) == 0);
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(requests_are_counted),
      TEST(requests_of_a_batch_are_counted_and_given_back),
      TEST(each_kind_of_tokens_is_counted),
      TEST(without_rates_all_is_let_in),
      TEST(a_request_above_the_rate_waits_for_emptiness),
      TEST(more_than_a_second_can_hold_is_refused),
      TEST(odd_amounts_count_as_none),
      TEST(settling_replaces_the_estimate),
      TEST(a_look_books_nothing),
      TEST(those_ahead_take_their_room_first),
      TEST(those_ahead_take_their_tokens_first),
      TEST(more_output_than_estimated_counts_from_when_it_is_known),
      TEST(settling_late_changes_nothing),
      TEST(releasing_takes_all_back),
      TEST(headroom_is_the_least_share),
      TEST(a_new_configuration_counts_at_once),
      TEST(limits_that_do_not_exist_are_harmless),
      TEST(the_stricter_rate_counts),
      TEST(what_remains_counts_until_the_reset),
      TEST(a_refusal_takes_nothing_from_what_remains),
      TEST(of_one_reset_the_smaller_remainder_counts),
      TEST(what_was_not_used_remains),
      TEST(more_than_estimated_is_taken_from_what_remains),
      TEST(a_report_counts_the_request_it_came_with),
      TEST(what_was_taken_before_a_reset_is_not_given_back_behind_it),
      TEST(an_earlier_reset_counts_if_it_leaves_less),
      TEST(odd_lessons_teach_nothing),
      TEST(gaps_of_any_length_are_harmless),
      TEST(a_little_back_books_at_the_latest),
      TEST(far_back_neither_empties_nor_freezes),
      TEST(times_without_sense_count_as_the_latest),
      TEST(cleared_limits_are_as_new),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
