// SPDX-License-Identifier: Apache-2.0
// Cells: whole numbers within 2^53, short texts that are never mixed, between threads and across
// deaths.
#include "api/error.h"
#include "shared/cell.h"
#include "shared/shared.h"
#include "step.h"
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const double most = 9007199254740992.0;
static int cell;

static int fresh(void **state) {
  (void)state;
  cc_shared_close();
  cell = cc_cell("cell", 4);
  return 0;
}

static void write_text(const char *text) {
  cc_cell_write(cell, text, (uint32_t)strlen(text));
}

static void assert_text(const char *expected) {
  char text[192];
  int size = cc_cell_text(cell, text, sizeof text);
  assert_int_equal(size, strlen(expected));
  assert_memory_equal(text, expected, strlen(expected));
}

static void a_new_cell_is_empty(void **state) {
  (void)state;
  struct cc_slice name;
  assert_int_equal(cell, 0);
  assert_true(cc_cell_get(cell) == 0);
  assert_text("");
  assert_int_equal(cc_cells(), 1);
  assert_int_equal(cc_cell_name(0, &name), CC_OK);
  assert_int_equal(name.size, 4);
  assert_memory_equal(name.data, "cell", 4);
  assert_int_equal(cc_cell_name(1, &name), CC_ENOTFOUND);
  assert_int_equal(name.size, 0);
}

static void numbers_are_whole_and_saturate(void **state) {
  (void)state;
  cc_cell_set(cell, 2.9);
  assert_true(cc_cell_get(cell) == 2);
  cc_cell_set(cell, -2.9);
  assert_true(cc_cell_get(cell) == -2);
  assert_true(cc_cell_add(cell, 5.5) == 3);
  cc_cell_set(cell, 1e300);
  assert_true(cc_cell_get(cell) == most);
  assert_true(cc_cell_add(cell, most) == most);
  assert_true(cc_cell_add(cell, -1) == most - 1);
  cc_cell_set(cell, -INFINITY);
  assert_true(cc_cell_get(cell) == -most);
  assert_true(cc_cell_add(cell, -most) == -most);
  cc_cell_set(cell, NAN);
  assert_true(cc_cell_get(cell) == 0);
  assert_true(cc_cell_add(cell, NAN) == 0);
}

static void swap_wants_the_expected(void **state) {
  (void)state;
  cc_cell_set(cell, 4);
  assert_false(cc_cell_swap(cell, 5, 6));
  assert_false(cc_cell_swap(cell, 4.5, 6));
  assert_false(cc_cell_swap(cell, NAN, 6));
  assert_true(cc_cell_swap(cell, 4, 6));
  assert_true(cc_cell_get(cell) == 6);
}

static void cells_that_do_not_exist_are_harmless(void **state) {
  (void)state;
  char text[8];
  const int wrong[] = {-1, CC_CELLS, CC_ELIMIT};
  for (int i = 0; i < 3; i++) {
    cc_cell_set(wrong[i], 1);
    cc_cell_write(wrong[i], "x", 1);
    assert_true(cc_cell_get(wrong[i]) == 0);
    assert_true(cc_cell_add(wrong[i], 1) == 0);
    assert_false(cc_cell_swap(wrong[i], 0, 1));
    assert_int_equal(cc_cell_text(wrong[i], text, sizeof text), 0);
  }
}

static int named(const char *format, int number) {
  char name[32];
  int size = snprintf(name, sizeof name, format, number);
  return cc_cell(name, (uint32_t)size);
}

static void policies_leave_room_for_the_relay(void **state) {
  (void)state;
  for (int i = cc_cells(); i < CC_CELLS / 2; i++)
    assert_true(named("policy:%d", i) >= 0);
  assert_int_equal(named("policy:%d", CC_CELLS / 2), CC_ELIMIT);
  assert_true(named("policy:%d", 7) >= 0);
  assert_true(named("policy%d", 1) >= 0);
  for (int i = 0; i < CC_CELLS / 2 - 1; i++)
    assert_true(named("breaker:%d", i) >= 0);
  assert_int_equal(named("breaker:%d", CC_CELLS), CC_ELIMIT);
}

static void texts_are_kept(void **state) {
  (void)state;
  char text[192];
  write_text("one");
  assert_text("one");
  write_text("");
  assert_text("");
  write_text("twice as long");
  assert_text("twice as long");
  assert_int_equal(cc_cell_text(cell, text, 5), 5);
  assert_memory_equal(text, "twice", 5);
  assert_int_equal(cc_cell_text(cell, text, 0), 0);
  cc_cell_write(cell, "a\0b", 3);
  assert_int_equal(cc_cell_text(cell, text, sizeof text), 3);
  assert_memory_equal(text, "a\0b", 3);
  cc_cell_write(cell, NULL, 0);
  assert_text("");
}

static void long_texts_are_cut(void **state) {
  (void)state;
  char given[256], text[192];
  memset(given, 'x', sizeof given);
  cc_cell_write(cell, given, 191);
  assert_int_equal(cc_cell_text(cell, text, sizeof text), 191);
  cc_cell_write(cell, given, 192);
  assert_int_equal(cc_cell_text(cell, text, sizeof text), 191);
  memcpy(given + 188, "\xf0\x9f\x98\x80", 4); // one character, across the cut
  cc_cell_write(cell, given, sizeof given);
  assert_int_equal(cc_cell_text(cell, text, sizeof text), 188);
  memset(given, 0x80, sizeof given); // no UTF-8 at all
  cc_cell_write(cell, given, sizeof given);
  assert_int_equal(cc_cell_text(cell, text, sizeof text), 191);
}

// A writer took the claim and died; it is not waited for.
static void a_dead_writer_wedges_nobody(void **state) {
  (void)state;
  write_text("before");
  struct cc_shared_cell *inside = cc_shared_cell(cell);
  atomic_fetch_or(&inside->text_state, 1);
  assert_text("before");
  write_text("after");
  assert_text("after");
  write_text("once more");
  assert_text("once more");
}

static void a_damaged_text_reads_empty(void **state) {
  (void)state;
  write_text("first");
  write_text("second");
  struct cc_shared_cell *inside = cc_shared_cell(cell);
  for (int copy = 0; copy < 2; copy++)
    atomic_fetch_xor(&inside->text[copy].words[0], 1u << 16);
  assert_text("");
  write_text("third");
  assert_text("third");
}

#ifdef STEP_SLOW
enum { THREADS = 4, ROUNDS = 2000 };
#else
enum { THREADS = 4, ROUNDS = 20000 };
#endif
static atomic_int wrong;

static void *add_ones(void *unused) {
  for (int i = 0; i < ROUNDS; i++)
    cc_cell_add(cell, 1);
  return unused;
}

static void *swap_up(void *unused) {
  for (int i = 0; i < ROUNDS; i++) {
    double seen;
    do
      seen = cc_cell_get(cell);
    while (!cc_cell_swap(cell, seen, seen + 1));
  }
  return unused;
}

// Texts are one letter, repeated as often as the letter says.
static void *write_and_read(void *argument) {
  char letter = (char)('A' + 7 * (intptr_t)argument), text[192];
  for (int i = 0; i < ROUNDS; i++, letter = letter == 'z' ? 'A' : (char)(letter + 1)) {
    memset(text, letter, (size_t)letter);
    if (i % 2) cc_cell_write(cell, text, (uint32_t)letter);
    int size = cc_cell_text(cell, text, sizeof text);
    for (int k = 0; k < size; k++)
      if (text[k] != text[0] || text[0] != size) wrong++;
  }
  return NULL;
}

static void in_threads(void *(*work)(void *)) {
  pthread_t threads[THREADS];
  for (intptr_t i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, work, (void *)i);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
}

static void no_addition_is_lost(void **state) {
  (void)state;
  in_threads(add_ones);
  assert_true(cc_cell_get(cell) == THREADS * ROUNDS);
  in_threads(swap_up);
  assert_true(cc_cell_get(cell) == 2 * THREADS * ROUNDS);
}

static void texts_are_never_mixed(void **state) {
  (void)state;
  wrong = 0;
  in_threads(write_and_read);
  assert_int_equal(wrong, 0);
  write_text("done");
  assert_text("done");
}

static void write_a_new_text(void) {
  cc_cell_write(cell, "a text of the one who dies", 26);
}

static void text_is_old_or_new(void) {
  char text[192];
  int size = cc_cell_text(cell, text, sizeof text);
  if (size == 8)
    assert_memory_equal(text, "survivor", 8);
  else
    assert_int_equal(size, 26);
  write_text("survivor");
  assert_text("survivor");
}

static void death_while_writing_is_harmless(void **state) {
  (void)state;
  write_text("survivor");
  step_through(write_a_new_text, NULL, text_is_old_or_new);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_new_cell_is_empty, fresh),
      cmocka_unit_test_setup(numbers_are_whole_and_saturate, fresh),
      cmocka_unit_test_setup(swap_wants_the_expected, fresh),
      cmocka_unit_test_setup(cells_that_do_not_exist_are_harmless, fresh),
      cmocka_unit_test_setup(policies_leave_room_for_the_relay, fresh),
      cmocka_unit_test_setup(texts_are_kept, fresh),
      cmocka_unit_test_setup(long_texts_are_cut, fresh),
      cmocka_unit_test_setup(a_dead_writer_wedges_nobody, fresh),
      cmocka_unit_test_setup(a_damaged_text_reads_empty, fresh),
      cmocka_unit_test_setup(no_addition_is_lost, fresh),
      cmocka_unit_test_setup(texts_are_never_mixed, fresh),
      cmocka_unit_test_setup(death_while_writing_is_harmless, fresh),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
