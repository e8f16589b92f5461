// SPDX-License-Identifier: Apache-2.0
// The ring of records: its bounds, readers that are too slow, writers in many processes, and deaths while one writes.
#include "api/error.h"
#include "api/process.h"
#include "shared/ring.h"
#include "shared/shared.h"
#include "step.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct cc_record record, got;

static int nothing(void **state) {
  (void)state;
  cc_ring_close();
  cc_shared_close();
  cc_shared_this(-1);
  return 0;
}

static int four(void **state) {
  nothing(state);
  cc_share(2);
  assert_int_equal(cc_records_make(4, 2), CC_OK);
  return 0;
}

// A record in which everything follows from one number, so that a mix of two is seen.
static void fill(struct cc_record *one, unsigned seed) {
  memset(one, 0, sizeof *one);
  one->at = seed;
  one->text_bytes = (uint16_t)(seed * 37 % (CC_RECORD_TEXT_BYTES + 1));
  memset(one->text, 'a' + (int)(seed % 26), one->text_bytes);
  one->candidates = (uint8_t)(seed % (CC_RECORD_CANDIDATES + 1));
  one->attempts = (uint8_t)(seed % (CC_RECORD_ATTEMPTS + 1));
  for (int i = 0; i < one->candidates; i++)
    one->candidate[i].ready_ms = (float)(seed % 100000);
  for (int i = 0; i < one->attempts; i++)
    one->attempt[i].at_ms = (float)(seed % 100000);
  one->cost = seed;
}

static bool is_whole(const struct cc_record *one) {
  unsigned seed = (unsigned)one->at;
  bool same = one->cost == one->at && one->text_bytes == seed * 37 % (CC_RECORD_TEXT_BYTES + 1) &&
              one->candidates == seed % (CC_RECORD_CANDIDATES + 1) &&
              one->attempts == seed % (CC_RECORD_ATTEMPTS + 1);
  for (int i = 0; same && i < one->text_bytes; i++)
    same = one->text[i] == 'a' + (int)(seed % 26);
  for (int i = 0; same && i < one->candidates; i++)
    same = one->candidate[i].ready_ms == (float)(seed % 100000);
  for (int i = 0; same && i < one->attempts; i++)
    same = one->attempt[i].at_ms == (float)(seed % 100000);
  return same;
}

static void write_one(unsigned seed) {
  fill(&record, seed);
  cc_record_write(&record);
}

static void without_memory_nothing_is_kept(void **state) {
  (void)state;
  assert_int_equal(cc_records_make(0, 2), CC_OK);
  write_one(1);
  assert_int_equal(cc_records_kept(), 0);
  assert_true(cc_records_next() == 0);
  assert_int_equal(cc_record_read(0, &got), CC_ENOTFOUND);
  assert_int_equal(cc_open_read(0, 0, &got), CC_ENOTFOUND);
}

static void it_is_made_once_within_bounds(void **state) {
  (void)state;
  assert_int_equal(cc_records_make(CC_RECORDS_MOST + 1, 2), CC_EINVAL);
  assert_int_equal(cc_records_make(1, 257), CC_EINVAL);
  assert_int_equal(cc_records_make(CC_RECORDS_MOST, 256), CC_OK);
  assert_int_equal(cc_records_kept(), CC_RECORDS_MOST);
  assert_int_equal(cc_records_make(4, 2), CC_ESTATE);
}

static void a_record_is_read_as_written(void **state) {
  (void)state;
  write_one(27);
  assert_true(record.number == 0);
  memset(&got, 0xee, sizeof got);
  assert_int_equal(cc_record_read(0, &got), CC_OK);
  assert_true(is_whole(&got) && got.at == 27 && got.number == 0);
  assert_int_equal(cc_record_read(1, &got), CC_ENOTFOUND);
  assert_int_equal(cc_record_read(-1, &got), CC_ENOTFOUND);
  assert_int_equal(cc_record_read(0.0 / 0.0, &got), CC_ENOTFOUND);
}

static void counts_out_of_range_do_no_harm(void **state) {
  (void)state;
  fill(&record, 1);
  record.text_bytes = record.candidates = record.attempts = 255;
  record.text_bytes = 65535;
  cc_record_write(&record);
  assert_int_equal(cc_record_read(0, &got), CC_OK);
}

static void a_slow_reader_loses_the_oldest(void **state) {
  (void)state;
  for (unsigned i = 0; i < 11; i++)
    write_one(i);
  assert_true(cc_records_next() == 11);
  for (unsigned i = 0; i < 7; i++)
    assert_int_equal(cc_record_read(i, &got), CC_ENOTFOUND);
  for (unsigned i = 7; i < 11; i++) {
    assert_int_equal(cc_record_read(i, &got), CC_OK);
    assert_true(got.at == i && got.number == i);
  }
}

// The writer of number 1 has died between its first and its last step.
static void the_dead_cost_their_own_record(void **state) {
  (void)state;
  write_one(0);
  write_one(1);
  cc_ring_slot(1)->mark = 2 * 1 + 1;
  write_one(2);
  assert_int_equal(cc_record_read(1, &got), CC_ESTATE);
  assert_int_equal(cc_record_read(2, &got), CC_OK);
  for (unsigned i = 3; i < 6; i++)
    write_one(i);
  assert_int_equal(cc_record_read(5, &got), CC_OK);
  assert_true(is_whole(&got) && got.at == 5);
}

static void a_mix_counts_as_lost(void **state) {
  (void)state;
  write_one(27);
  atomic_fetch_xor(&cc_ring_slot(0)->words[1], 1);
  assert_int_equal(cc_record_read(0, &got), CC_ENOTFOUND);
}

// One that slept until the ring had come round does not take the slot back.
static void a_late_writer_gives_way(void **state) {
  (void)state;
  cc_ring_slot(0)->mark = 2 * 4 + 2;
  write_one(0);
  assert_int_equal(cc_ring_slot(0)->mark, 2 * 4 + 2);
  assert_int_equal(cc_record_read(0, &got), CC_ENOTFOUND);
}

// ---- Many writers -------------------------------------------------------------------------------

#ifdef STEP_SLOW
enum { WRITERS = 3, ROUNDS = 3000 };
#else
enum { WRITERS = 3, ROUNDS = 30000 };
#endif

static void write_many(unsigned first) {
  struct cc_record own;
  for (unsigned i = 0; i < ROUNDS; i++) {
    fill(&own, first + i);
    cc_record_write(&own);
  }
}

// Reads along until it has met number last, or has tried very often; returns how many records it got.
static long read_along(double last) {
  long found = 0;
  struct cc_record one;
  double at = 0;
  for (long tries = 0; at < last && tries < 200000000; tries++) {
    int code = cc_record_read(at, &one);
    if (code == CC_OK) {
      assert_true(one.number == at);
      assert_true(is_whole(&one));
      found++;
    }
    if (code == CC_OK || at + 1 < cc_records_next()) at++;
  }
  return found;
}

static void processes_write_and_no_reader_sees_a_mix(void **state) {
  (void)state;
  pid_t children[WRITERS];
  fflush(NULL);
  for (unsigned i = 0; i < WRITERS; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      write_many(i * ROUNDS);
      _exit(0);
    }
  }
  assert_true(read_along(WRITERS * ROUNDS) > 0);
  for (unsigned i = 0; i < WRITERS; i++) {
    int status;
    waitpid(children[i], &status, 0);
    assert_int_equal(status, 0);
  }
  assert_true(cc_records_next() == WRITERS * ROUNDS);
  for (double at = cc_records_next() - 4; at < cc_records_next(); at++)
    assert_int_equal(cc_record_read(at, &got), CC_OK);
}

static void *write_in_thread(void *argument) {
  write_many((unsigned)(intptr_t)argument * ROUNDS);
  return NULL;
}

// The same in threads, for ThreadSanitizer.
static void threads_write_and_no_reader_sees_a_mix(void **state) {
  (void)state;
  pthread_t threads[WRITERS];
  for (intptr_t i = 0; i < WRITERS; i++)
    pthread_create(&threads[i], NULL, write_in_thread, (void *)i);
  assert_true(read_along(WRITERS * ROUNDS) > 0);
  for (int i = 0; i < WRITERS; i++)
    pthread_join(threads[i], NULL);
}

static void write_two(void) {
  write_one(2);
}

static void the_others_are_whole(void) {
  double next = cc_records_next();
  int code = next > 0 ? cc_record_read(next - 1, &got) : CC_ENOTFOUND;
  assert_true(code == CC_OK || code == CC_ESTATE || next == 0);
  for (unsigned i = 0; i < 4; i++)
    write_one(i);
  next = cc_records_next();
  for (double at = next - 4; at < next; at++) {
    assert_int_equal(cc_record_read(at, &got), CC_OK);
    assert_true(is_whole(&got));
  }
}

static void death_while_writing_costs_one_record(void **state) {
  (void)state;
  step_through(write_two, NULL, the_others_are_whole);
}

static void come_round(void) {
  for (unsigned i = 10; i < 17; i++)
    write_one(i);
}

// A writer that wakes after the ring has come round.
static void nothing_is_mixed(void) {
  double next = cc_records_next();
  for (double at = next < 8 ? 0 : next - 8; at < next; at++)
    if (cc_record_read(at, &got) == CC_OK) assert_true(is_whole(&got) && got.number == at);
}

static void a_writer_that_sleeps_mixes_nothing(void **state) {
  (void)state;
  step_through(write_two, come_round, nothing_is_mixed);
}

// ---- Exchanges under way ------------------------------------------------------------------------

static void open_lists_replace_each_other(void **state) {
  (void)state;
  cc_shared_this(1);
  for (unsigned i = 0; i < 3; i++) {
    fill(&record, i + 1);
    cc_open_write(i, &record);
  }
  assert_int_equal(cc_open_count(1), 0);
  cc_open_publish(3);
  assert_int_equal(cc_open_count(0), 0);
  assert_int_equal(cc_open_count(1), 3);
  assert_int_equal(cc_open_read(1, 2, &got), CC_OK);
  assert_true(is_whole(&got) && got.at == 3);
  fill(&record, 9);
  cc_open_write(0, &record);
  assert_int_equal(cc_open_read(1, 0, &got), CC_ENOTFOUND);
  assert_int_equal(cc_open_read(1, 1, &got), CC_OK);
  cc_open_publish(1);
  assert_int_equal(cc_open_count(1), 1);
  assert_int_equal(cc_open_read(1, 0, &got), CC_OK);
  assert_int_equal(cc_open_read(1, 1, &got), CC_ENOTFOUND);
  cc_open_publish(0);
  assert_int_equal(cc_open_count(1), 0);
  assert_int_equal(cc_open_read(1, 0, &got), CC_ENOTFOUND);
}

static void open_lists_have_bounds(void **state) {
  (void)state;
  fill(&record, 1);
  cc_open_write(0, &record); // not in a worker
  cc_open_publish(1);
  assert_int_equal(cc_open_count(0), 0);
  cc_shared_this(0);
  cc_open_write(CC_RECORDS_OPEN, &record);
  cc_open_publish(CC_RECORDS_OPEN + 7);
  assert_int_equal(cc_open_count(0), CC_RECORDS_OPEN);
  assert_int_equal(cc_open_read(0, CC_RECORDS_OPEN, &got), CC_ENOTFOUND);
  assert_int_equal(cc_open_read(2, 0, &got), CC_ENOTFOUND);
  assert_int_equal(cc_open_count(2), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(without_memory_nothing_is_kept, nothing, nothing),
      cmocka_unit_test_setup_teardown(it_is_made_once_within_bounds, nothing, nothing),
      cmocka_unit_test_setup_teardown(a_record_is_read_as_written, four, nothing),
      cmocka_unit_test_setup_teardown(counts_out_of_range_do_no_harm, four, nothing),
      cmocka_unit_test_setup_teardown(a_slow_reader_loses_the_oldest, four, nothing),
      cmocka_unit_test_setup_teardown(the_dead_cost_their_own_record, four, nothing),
      cmocka_unit_test_setup_teardown(a_mix_counts_as_lost, four, nothing),
      cmocka_unit_test_setup_teardown(a_late_writer_gives_way, four, nothing),
      cmocka_unit_test_setup_teardown(processes_write_and_no_reader_sees_a_mix, four, nothing),
      cmocka_unit_test_setup_teardown(threads_write_and_no_reader_sees_a_mix, four, nothing),
      cmocka_unit_test_setup_teardown(death_while_writing_costs_one_record, four, nothing),
      cmocka_unit_test_setup_teardown(a_writer_that_sleeps_mixes_nothing, four, nothing),
      cmocka_unit_test_setup_teardown(open_lists_replace_each_other, four, nothing),
      cmocka_unit_test_setup_teardown(open_lists_have_bounds, four, nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
