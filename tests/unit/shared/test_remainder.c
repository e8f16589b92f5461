// SPDX-License-Identifier: Apache-2.0
// What remains until a reset, with threads that take, give back and learn, and with one standing still
// at every instruction: nothing is taken that was not there, nothing is lost, and what belongs to one
// reset never reaches the next.
#include "shared/remainder.h"
#include "step.h"
#include <pthread.h>
#include <sys/mman.h>

enum { NOW = 1000, RESET = 60, GIVEN = 100000, THREADS = 4, ROUNDS = 200000 };

static _Atomic uint64_t word;
static _Atomic int64_t taken;
static atomic_int wrong;

static uint64_t word_of(uint64_t reset, uint64_t amount) {
  return reset << 32 | amount;
}

static uint64_t next(uint64_t *random) {
  *random = *random * 2862933555777941757u + 3037000493u;
  return *random >> 40;
}

static pthread_barrier_t start;
static void *(*work_of_all)(void *);

static void *begin_together(void *argument) {
  pthread_barrier_wait(&start);
  return work_of_all(argument);
}

static void in_threads(void *(*work)(void *)) {
  pthread_t threads[THREADS];
  pthread_barrier_init(&start, NULL, THREADS);
  work_of_all = work;
  atomic_store(&wrong, 0);
  atomic_store(&taken, 0);
  for (intptr_t i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, begin_together, (void *)i);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&start);
  assert_int_equal(wrong, 0);
}

// ---- Alone -------------------------------------------------------------------------------------

static void what_is_not_in_force_is_not_taken_from(void **state) {
  (void)state;
  uint32_t reset = 7;
  atomic_store(&word, 0);
  assert_true(cc_remainder_take(&word, NOW, 5, &reset));
  assert_int_equal(reset, 0);
  atomic_store(&word, word_of(1, 3)); // it ends as the second ends
  assert_false(cc_remainder_in_force(atomic_load(&word), NOW));
  assert_true(cc_remainder_take(&word, NOW, 5, &reset));
  assert_int_equal(reset, 0);
  assert_false(cc_remainder_take(&word, NOW - 1, 5, &reset));
  assert_true(cc_remainder_take(&word, NOW - 1, 3, &reset));
  assert_int_equal(reset, 1);
  assert_true(atomic_load(&word) == word_of(1, 0));
}

static void a_change_stays_within_the_word(void **state) {
  (void)state;
  atomic_store(&word, word_of(RESET, 10));
  cc_remainder_change(&word, RESET, -11);
  assert_true(atomic_load(&word) == word_of(RESET, 0));
  cc_remainder_change(&word, RESET + 1, 1e18); // the same reset, told a second later
  assert_true(atomic_load(&word) == word_of(RESET, UINT32_MAX));
  cc_remainder_change(&word, RESET + 2, -5);
  cc_remainder_change(&word, 0, -5);
  assert_true(atomic_load(&word) == word_of(RESET, UINT32_MAX));
}

static void a_report_of_a_later_reset_replaces_the_earlier(void **state) {
  (void)state;
  atomic_store(&word, word_of(RESET, 3));
  cc_remainder_learn(&word, NOW, 2 * RESET * 1000, 500, 0, 0);
  assert_true(atomic_load(&word) == word_of(2 * RESET, 500));
  cc_remainder_learn(&word, NOW, RESET * 1000, 700, 0, 0); // old news
  assert_true(atomic_load(&word) == word_of(2 * RESET, 500));
  cc_remainder_learn(&word, NOW, 2 * RESET * 1000 - 999, 800, 0, 0);
  assert_true(atomic_load(&word) == word_of(2 * RESET, 500));
}

// ---- Threads -----------------------------------------------------------------------------------

static void *take_and_give_back(void *argument) {
  uint64_t random = (uint64_t)(intptr_t)argument + 1;
  int64_t own = 0;
  for (int i = 0; i < ROUNDS; i++) {
    uint32_t reset;
    uint64_t amount = next(&random) % 40;
    if (!cc_remainder_take(&word, NOW, amount, &reset)) continue;
    if (reset != RESET) wrong++;
    uint64_t back = next(&random) % 3 ? amount : amount / 2;
    cc_remainder_change(&word, reset, (double)back);
    own += (int64_t)(amount - back);
  }
  atomic_fetch_add(&taken, own);
  return NULL;
}

static void what_threads_take_and_give_back_adds_up(void **state) {
  (void)state;
  atomic_store(&word, word_of(RESET, GIVEN));
  in_threads(take_and_give_back);
  assert_true(atomic_load(&word) == word_of(RESET, (uint64_t)(GIVEN - taken)));
}

static void *take_until_there_is_none(void *argument) {
  uint64_t random = (uint64_t)(intptr_t)argument + 1;
  for (uint64_t most = 40; most > 0;) {
    uint32_t reset;
    uint64_t amount = 1 + next(&random) % most;
    if (cc_remainder_take(&word, NOW, amount, &reset))
      atomic_fetch_add(&taken, (int64_t)amount);
    else
      most = amount - 1;
  }
  return NULL;
}

static void threads_take_all_there_is_and_no_more(void **state) {
  (void)state;
  for (int round = 0; round < 20; round++) {
    atomic_store(&word, word_of(RESET, GIVEN));
    in_threads(take_until_there_is_none);
    assert_int_equal(taken, GIVEN);
    assert_true(atomic_load(&word) == word_of(RESET, 0));
  }
}

// Reports of others about the same reset, each of less: they never give anything.
static void *take_and_learn(void *argument) {
  int thread = (int)(intptr_t)argument;
  for (int i = 0; i < ROUNDS; i++) {
    uint32_t reset;
    if (cc_remainder_take(&word, NOW, 3, &reset)) atomic_fetch_add(&taken, 3);
    uint64_t told = GIVEN - (uint64_t)i * 5 % GIVEN, second = RESET + (uint64_t)(thread + i) % 2;
    if (thread % 2) cc_remainder_learn(&word, NOW, second * 1000, (double)told, 0, 0);
    if ((uint32_t)atomic_load(&word) > told && thread % 2) wrong++;
  }
  return NULL;
}

static void reports_of_one_reset_give_nothing(void **state) {
  (void)state;
  atomic_store(&word, word_of(RESET, GIVEN));
  in_threads(take_and_learn);
  assert_in_range(taken, 3, GIVEN);
  assert_true((uint32_t)atomic_load(&word) <= GIVEN - taken);
}

static _Atomic uint64_t clock_ms;

// Each minute has its reset and an amount that tells which: more than that is never there.
static uint64_t amount_of(uint64_t reset) {
  return 1000 + reset % 7 * 100;
}

static uint64_t due_at(uint64_t now) {
  return (now / RESET / 1000 + 1) * RESET;
}

static void *go_from_reset_to_reset(void *argument) {
  uint64_t random = (uint64_t)(intptr_t)argument + 1;
  for (int i = 0; i < ROUNDS; i++) {
    uint64_t now = atomic_fetch_add(&clock_ms, 50), due = due_at(now);
    uint32_t reset;
    cc_remainder_learn(&word, now, due * 1000, (double)amount_of(due), 0, 0);
    uint64_t amount = next(&random) % 20;
    if (!cc_remainder_take(&word, now, amount, &reset)) continue;
    if (reset && reset % RESET) wrong++;
    cc_remainder_change(&word, reset, (double)amount / 2);
    uint64_t seen = atomic_load(&word);
    if ((uint32_t)seen > amount_of(seen >> 32)) wrong++;
  }
  return NULL;
}

static void what_belongs_to_one_reset_never_reaches_the_next(void **state) {
  (void)state;
  atomic_store(&word, 0);
  atomic_store(&clock_ms, 0);
  in_threads(go_from_reset_to_reset);
  uint64_t now = atomic_load(&clock_ms) + RESET * 1000; // who was late may have reported last
  cc_remainder_learn(&word, now, due_at(now) * 1000, (double)amount_of(due_at(now)), 0, 0);
  assert_true(atomic_load(&word) == word_of(due_at(now), amount_of(due_at(now))));
}

// ---- One stands still at every instruction, another one does something meanwhile -----------------

static struct {
  _Atomic uint64_t word;
  atomic_int took;
} *both;
static int also_took;

static void begin_with(uint64_t amount) {
  atomic_store(&both->word, word_of(RESET, amount));
  atomic_store(&both->took, 0);
  also_took = 0;
}

static void take_three(void) {
  uint32_t reset;
  atomic_store(&both->took, cc_remainder_take(&both->word, NOW, 3, &reset));
}

static void take_four_too(void) {
  uint32_t reset;
  also_took += cc_remainder_take(&both->word, NOW, 4, &reset);
}

static void at_every_instruction(void (*work)(void), void (*between)(void), void (*check)(void)) {
  long all = step_count(work);
  between();
  check();
  step_range(work, between, check, 1, all, 1);
}

static void both_were_counted(void) {
  assert_true(also_took && atomic_load(&both->took));
  assert_true(atomic_load(&both->word) == word_of(RESET, 93));
  begin_with(100);
}

static void two_takes_at_once_add_up(void **state) {
  (void)state;
  begin_with(100);
  at_every_instruction(take_three, take_four_too, both_were_counted);
}

static void one_got_it(void) {
  assert_int_equal(also_took + atomic_load(&both->took), 1);
  assert_true(atomic_load(&both->word) == word_of(RESET, also_took ? 1 : 2));
  begin_with(5);
}

static void the_last_is_taken_once(void **state) {
  (void)state;
  begin_with(5);
  at_every_instruction(take_three, take_four_too, one_got_it);
}

static void learn_of_less(void) {
  cc_remainder_learn(&both->word, NOW, RESET * 1000, 98, 0, 0);
}

static void the_take_was_counted(void) {
  uint64_t amount = (uint32_t)atomic_load(&both->word);
  assert_true(also_took && (amount == 96 || amount == 94));
  begin_with(100);
}

static void a_report_loses_no_take(void **state) {
  (void)state;
  begin_with(100);
  at_every_instruction(learn_of_less, take_four_too, the_take_was_counted);
}

static void give_ten_back(void) {
  cc_remainder_change(&both->word, RESET, 10);
}

static void learn_of_the_next_reset(void) {
  cc_remainder_learn(&both->word, NOW, 2 * RESET * 1000, 500, 0, 0);
}

static void the_next_is_untouched(void) {
  assert_true(atomic_load(&both->word) == word_of(2 * RESET, 500));
  begin_with(100);
}

static void what_comes_back_late_is_not_of_the_next(void **state) {
  (void)state;
  begin_with(100);
  at_every_instruction(give_ten_back, learn_of_the_next_reset, the_next_is_untouched);
}

int main(void) {
  both = mmap(NULL, sizeof *both, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (both == MAP_FAILED) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_not_in_force_is_not_taken_from),
      cmocka_unit_test(a_change_stays_within_the_word),
      cmocka_unit_test(a_report_of_a_later_reset_replaces_the_earlier),
      cmocka_unit_test(what_threads_take_and_give_back_adds_up),
      cmocka_unit_test(threads_take_all_there_is_and_no_more),
      cmocka_unit_test(reports_of_one_reset_give_nothing),
      cmocka_unit_test(what_belongs_to_one_reset_never_reaches_the_next),
      cmocka_unit_test(two_takes_at_once_add_up),
      cmocka_unit_test(the_last_is_taken_once),
      cmocka_unit_test(a_report_loses_no_take),
      cmocka_unit_test(what_comes_back_late_is_not_of_the_next),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
