// SPDX-License-Identifier: Apache-2.0
// What a worker had reserved when it died: back if it was not sent, kept if it was.
#include "api/error.h"
#include "api/process.h"
#include "limit_case.h"
#include "shared/reservations.h"
#include "step.h"
#include <pthread.h>

#include <cmocka.h>

enum { NOW = 1000 };

static int in_slot_0(void **state) {
  fresh(state);
  cc_shared_close();
  assert_int_equal(cc_share(2), CC_OK);
  limit = cc_limit("limit", 5);
  cc_shared_this(0);
  rates(1e6, 1e9, 0, 0);
  return 0;
}

static struct cc_reservation booked(double now, double input, double output) {
  assert_int_equal(reserve(now, input, output), CC_OK);
  return reservation;
}

static void what_was_not_sent_comes_back(void **state) {
  (void)state;
  struct cc_reservation first = booked(NOW, 10, 20), sent = booked(NOW, 100, 200);
  assert_true(first.entry > 0 && sent.entry > 0 && first.entry != sent.entry);
  cc_reservations_sent(sent.entry);
  cc_limit_refund_worker(0);
  assert_true(usage(NOW).requests == 1);
  assert_true(usage(NOW).input_tokens == 100);
  assert_true(usage(NOW).output_tokens == 200);
  cc_limit_refund_worker(0);
  assert_true(usage(NOW).requests == 1);
}

static void what_is_settled_or_released_is_not_given_back_again(void **state) {
  (void)state;
  struct cc_reservation settled = booked(NOW, 10, 20), released = booked(NOW, 10, 20);
  struct cc_reservation other = booked(NOW, 1, 2);
  cc_reservations_sent(other.entry);
  cc_limit_commit(&settled, NOW, 7, 8);
  cc_limit_refund(&released, NOW);
  cc_limit_refund_worker(0);
  assert_true(usage(NOW).requests == 2);
  assert_true(usage(NOW).input_tokens == 8);
  assert_true(usage(NOW).output_tokens == 10);
}

static void an_entry_taken_anew_is_not_taken_for_sent(void **state) {
  (void)state;
  for (int i = 0; i < 2 * CC_ENTRIES; i++) {
    struct cc_reservation one = booked(NOW, 1, 1);
    assert_true(one.entry > 0);
    cc_reservations_sent(one.entry);
    cc_limit_refund(&one, NOW);
  }
  booked(NOW, 5, 5);
  cc_limit_refund_worker(0);
  assert_true(usage(NOW).requests == 0);
  assert_true(usage(NOW).tokens == 0);
}

static void other_workers_keep_theirs(void **state) {
  (void)state;
  booked(NOW, 10, 20);
  cc_shared_this(1);
  booked(NOW, 1, 2);
  cc_limit_refund_worker(1);
  assert_true(usage(NOW).requests == 1);
  assert_true(usage(NOW).input_tokens == 10);
  cc_limit_refund_worker(2); // no such slot
}

static void outside_of_workers_there_are_no_entries(void **state) {
  (void)state;
  cc_shared_this(-1);
  assert_int_equal(booked(NOW, 1, 2).entry, 0);
  cc_limit_commit(&reservation, NOW, 3, 4);
  cc_reservations_sent(reservation.entry);
  assert_true(usage(NOW).input_tokens == 3);
}

static void a_full_list_takes_more_after_a_minute(void **state) {
  (void)state;
  struct cc_reservation early = booked(NOW, 1, 1);
  for (int i = 1; i < CC_ENTRIES; i++)
    assert_true(booked(NOW, 1, 1).entry > 0);
  assert_int_equal(booked(NOW, 1, 1).entry, 0);
  assert_int_equal(booked(62000, 1, 1).entry, 0); // a window may still hold the first second
  struct cc_reservation late = {0};
  for (int i = 0; i < CC_ENTRIES && late.entry != early.entry; i++)
    late = booked(64000, 1, 1);
  assert_int_equal(late.entry, early.entry);
  double before = usage(64000).requests;
  cc_limit_commit(&early, 64000, 9, 9); // its entry is another's now
  cc_limit_refund_worker(0);
  assert_true(usage(64000).requests < before);
  assert_true(usage(64000).requests == 1); // the one without an entry
}

static void work_until_killed(void) {
  struct cc_reservation held[8] = {{.limit = -1}};
  for (unsigned i = 0;; i = (i + 1) % 8) {
    if (held[i].entry) cc_limit_refund(&held[i], NOW);
    held[i] = booked(NOW, 3, 4);
  }
}

static void a_worker_killed_anywhere_leaves_at_most_one(void **state) {
  (void)state;
  double left = 0;
  for (int round = 0; round < 60; round++) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) work_until_killed();
    usleep(200 + 97 * (useconds_t)round);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cc_limit_refund_worker(0);
    double requests = usage(NOW).requests;
    assert_in_range((int)(requests - left), 0, 1);
    left = requests;
  }
  assert_true(usage(NOW).input_tokens <= 3 * left + 180);
}

// ---- Death at every point ----------------------------------------------------------------------

// What others have booked in the same second: who gave back too much would take it from there.
static const struct cc_rates others = {.requests = 50, .input_tokens = 5000, .output_tokens = 5000};
static double deaths_cost;

static void others_book(void) {
  cc_limits_clear();
  rates(1e6, 1e9, 0, 0);
  cc_shared_this(-1);
  for (int i = 0; i < others.requests; i++)
    booked(NOW, 100, 100);
  cc_shared_this(0);
}

static void book_send_and_settle(void) {
  if (reserve(NOW, 10, 20) != CC_OK) return;
  cc_reservations_sent(reservation.entry);
  cc_limit_commit(&reservation, NOW, 7, 25);
}

static void book(void) {
  reserve(NOW, 10, 20);
}

static void book_and_release(void) {
  if (reserve(NOW, 10, 20) == CC_OK) cc_limit_refund(&reservation, NOW);
}

// Beside what was there at most one booking has been left: all of it, or none, or a part.
static void one_booking_is_left_at_most(void) {
  cc_limit_refund_worker(0);
  struct cc_rates left = usage(NOW);
  cc_limit_refund_worker(0);
  assert_true(usage(NOW).requests == left.requests);
  assert_true(usage(NOW).tokens == left.tokens);
  double requests = left.requests - others.requests;
  assert_true(requests == 0 || requests == 1);
  assert_in_range((int)(left.input_tokens - others.input_tokens), 0, 10);
  assert_in_range((int)(left.output_tokens - others.output_tokens), 0, 25);
  deaths_cost += requests;
  others_book();
}

static void death_takes_nothing_from_others(void **state) {
  (void)state;
  deaths_cost = 0;
  others_book();
  long deaths = step_through(book_send_and_settle, NULL, one_booking_is_left_at_most);
  assert_true(deaths_cost > 0 && deaths_cost < (double)deaths); // what was sent is kept
}

// Booking itself is stepped through above.
static void death_while_releasing_gives_back_once(void **state) {
  (void)state;
  others_book();
  long first = step_count(book) - 100;
  one_booking_is_left_at_most();
  long last = step_count(book_and_release);
  one_booking_is_left_at_most();
  long stride = step_stride((last - first) / STEP_STOPS + 1);
  step_range(book_and_release, NULL, one_booking_is_left_at_most, first, last, stride);
}

// ---- Threads: one writes the reservations of its slot, as a worker does ----------------------------

#ifdef STEP_SLOW
enum { ROUNDS = 20, BOOKINGS = 300 };
#else
enum { ROUNDS = 100, BOOKINGS = 1000 };
#endif

static atomic_bool working;
static atomic_int wrong;
static double kept_requests, kept_input;

// Slot 0: every third is released, every third settled, every third is left open, sent or not.
static void *work(void *unused) {
  for (int i = 0; i < BOOKINGS; i++) {
    struct cc_reservation own;
    double wait, input = i % 10;
    if (cc_limit_reserve(limit, NOW, input, 1, &own, &wait) != CC_OK) wrong++;
    if (i % 2) cc_reservations_sent(own.entry);
    if (i % 3 == 0) cc_limit_refund(&own, NOW);
    if (i % 3 == 1) cc_limit_commit(&own, NOW, input / 2, 1);
    if (i % 3 == 0 || (i % 3 == 2 && i % 2 == 0)) continue;
    kept_requests++;
    kept_input += i % 3 == 1 ? (double)((i % 10 + 1) / 2) : input;
  }
  atomic_store(&working, false);
  return unused;
}

// The master: slot 1 has ended, and whoever gives back what is there gives it back once.
static void *give_back(void *unused) {
  cc_limit_refund_worker(1);
  return unused;
}

static void *look(void *unused) {
  while (atomic_load(&working)) {
    struct cc_rates used = usage(NOW);
    if (used.requests > 2 * BOOKINGS || cc_limit_headroom(limit, NOW) < 0.9) wrong++;
  }
  return unused;
}

static double leave_open(int slot, int bookings) {
  double sent = 0;
  cc_shared_this(slot);
  for (int i = 0; i < bookings; i++) {
    uint32_t entry = booked(NOW, 3, 4).entry;
    assert_true(entry > 0);
    if (i % 4) continue;
    cc_reservations_sent(entry);
    sent++;
  }
  cc_shared_this(0);
  return sent;
}

static void threads_give_back_what_is_due_once(void **state) {
  void *(*const parts[])(void *) = {work, give_back, give_back, look};
  enum { PARTS = sizeof parts / sizeof *parts };
  for (int round = 0; round < ROUNDS; round++) {
    in_slot_0(state);
    pthread_t threads[PARTS];
    kept_requests = kept_input = 0;
    atomic_store(&working, true);
    double sent = leave_open(1, BOOKINGS);
    for (int i = 0; i < PARTS; i++)
      pthread_create(&threads[i], NULL, parts[i], NULL);
    for (int i = 0; i < PARTS; i++)
      pthread_join(threads[i], NULL);
    cc_limit_refund_worker(0);
    assert_int_equal(wrong, 0);
    assert_true(usage(NOW).requests == sent + kept_requests);
    assert_true(usage(NOW).input_tokens == 3 * sent + kept_input);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(what_was_not_sent_comes_back, in_slot_0),
      cmocka_unit_test_setup(what_is_settled_or_released_is_not_given_back_again, in_slot_0),
      cmocka_unit_test_setup(an_entry_taken_anew_is_not_taken_for_sent, in_slot_0),
      cmocka_unit_test_setup(other_workers_keep_theirs, in_slot_0),
      cmocka_unit_test_setup(outside_of_workers_there_are_no_entries, in_slot_0),
      cmocka_unit_test_setup(a_full_list_takes_more_after_a_minute, in_slot_0),
      cmocka_unit_test_setup(a_worker_killed_anywhere_leaves_at_most_one, in_slot_0),
      cmocka_unit_test_setup(death_takes_nothing_from_others, in_slot_0),
      cmocka_unit_test_setup(death_while_releasing_gives_back_once, in_slot_0),
      cmocka_unit_test_setup(threads_give_back_what_is_due_once, in_slot_0),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
