// SPDX-License-Identifier: Apache-2.0
// What a worker had reserved when it died: back if it was not sent, kept if it was.
#include "ledger.h"
#include "limit_case.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

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

static struct cc_ticket booked(double now, double input, double output) {
  assert_int_equal(reserve(now, input, output), CC_OK);
  return ticket;
}

static void what_was_not_sent_comes_back(void **state) {
  (void)state;
  struct cc_ticket first = booked(NOW, 10, 20), sent = booked(NOW, 100, 200);
  assert_true(first.entry > 0 && sent.entry > 0 && first.entry != sent.entry);
  cc_ledger_sent(sent.entry);
  cc_ledger_return(0);
  assert_true(usage(NOW).requests == 1);
  assert_true(usage(NOW).input_tokens == 100);
  assert_true(usage(NOW).output_tokens == 200);
  cc_ledger_return(0);
  assert_true(usage(NOW).requests == 1);
}

static void what_is_settled_or_released_is_not_given_back_again(void **state) {
  (void)state;
  struct cc_ticket settled = booked(NOW, 10, 20), released = booked(NOW, 10, 20);
  struct cc_ticket other = booked(NOW, 1, 2);
  cc_ledger_sent(other.entry);
  cc_limit_settle(&settled, NOW, 7, 8);
  cc_limit_release(&released, NOW);
  cc_ledger_return(0);
  assert_true(usage(NOW).requests == 2);
  assert_true(usage(NOW).input_tokens == 8);
  assert_true(usage(NOW).output_tokens == 10);
}

static void an_entry_taken_anew_is_not_taken_for_sent(void **state) {
  (void)state;
  for (int i = 0; i < 2 * CC_ENTRIES; i++) {
    struct cc_ticket one = booked(NOW, 1, 1);
    assert_true(one.entry > 0);
    cc_ledger_sent(one.entry);
    cc_limit_release(&one, NOW);
  }
  booked(NOW, 5, 5);
  cc_ledger_return(0);
  assert_true(usage(NOW).requests == 0);
  assert_true(usage(NOW).tokens == 0);
}

static void other_workers_keep_theirs(void **state) {
  (void)state;
  booked(NOW, 10, 20);
  cc_shared_this(1);
  booked(NOW, 1, 2);
  cc_ledger_return(1);
  assert_true(usage(NOW).requests == 1);
  assert_true(usage(NOW).input_tokens == 10);
  cc_ledger_return(2); // no such slot
}

static void outside_of_workers_there_are_no_entries(void **state) {
  (void)state;
  cc_shared_this(-1);
  assert_int_equal(booked(NOW, 1, 2).entry, 0);
  cc_limit_settle(&ticket, NOW, 3, 4);
  cc_ledger_sent(ticket.entry);
  assert_true(usage(NOW).input_tokens == 3);
}

static void a_full_ledger_takes_more_after_a_minute(void **state) {
  (void)state;
  struct cc_ticket early = booked(NOW, 1, 1);
  for (int i = 1; i < CC_ENTRIES; i++)
    assert_true(booked(NOW, 1, 1).entry > 0);
  assert_int_equal(booked(NOW, 1, 1).entry, 0);
  assert_int_equal(booked(62000, 1, 1).entry, 0); // a window may still hold the first second
  struct cc_ticket late = {0};
  for (int i = 0; i < CC_ENTRIES && late.entry != early.entry; i++)
    late = booked(64000, 1, 1);
  assert_int_equal(late.entry, early.entry);
  double before = usage(64000).requests;
  cc_limit_settle(&early, 64000, 9, 9); // its entry is another's now
  cc_ledger_return(0);
  assert_true(usage(64000).requests < before);
  assert_true(usage(64000).requests == 1); // the one without an entry
}

static void work_until_killed(void) {
  struct cc_ticket held[8] = {{.limit = -1}};
  for (unsigned i = 0;; i = (i + 1) % 8) {
    if (held[i].entry) cc_limit_release(&held[i], NOW);
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
    cc_ledger_return(0);
    double requests = usage(NOW).requests;
    assert_in_range((int)(requests - left), 0, 1);
    left = requests;
  }
  assert_true(usage(NOW).input_tokens <= 3 * left + 180);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(what_was_not_sent_comes_back, in_slot_0),
      cmocka_unit_test_setup(what_is_settled_or_released_is_not_given_back_again, in_slot_0),
      cmocka_unit_test_setup(an_entry_taken_anew_is_not_taken_for_sent, in_slot_0),
      cmocka_unit_test_setup(other_workers_keep_theirs, in_slot_0),
      cmocka_unit_test_setup(outside_of_workers_there_are_no_entries, in_slot_0),
      cmocka_unit_test_setup(a_full_ledger_takes_more_after_a_minute, in_slot_0),
      cmocka_unit_test_setup(a_worker_killed_anywhere_leaves_at_most_one, in_slot_0),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
