// SPDX-License-Identifier: Apache-2.0
// The shared mapping: worker slots, the tables of names, and death at any point of making a name.
#include "api/error.h"
#include "api/log.h"
#include "api/process.h"
#include "api/util.h"
#include "shared/shared.h"
#include "step.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int fresh(void **state) {
  (void)state;
  cc_shared_close();
  return 0;
}

static int cell(const char *name) {
  return cc_shared_named(CC_TABLE_CELLS, name, (uint32_t)strlen(name));
}

static int numbered(enum cc_shared_table table, const char *stem, int i) {
  char name[64];
  int size = snprintf(name, sizeof name, "%s %d", stem, i);
  return cc_shared_named(table, name, (uint32_t)size);
}

static void slots_exist_after_sharing_only(void **state) {
  (void)state;
  struct cc_worker worker;
  assert_int_equal(cc_worker(0, &worker), CC_ENOTFOUND);
  assert_int_equal(cc_share(CC_WORKERS + 1), CC_EINVAL);
  assert_int_equal(cc_share(2), CC_OK);
  assert_int_equal(cc_share(3), CC_ESTATE);
  assert_int_equal(cc_worker(1, &worker), CC_OK);
  assert_int_equal(cc_worker(2, &worker), CC_ENOTFOUND);
  assert_int_equal(cc_kill(1, 0), CC_ENOTFOUND);
  assert_int_equal(cc_kill(2, 0), CC_ENOTFOUND);
}

static void sharing_keeps_what_was_there(void **state) {
  (void)state;
  int number = cell("before");
  atomic_store(&cc_shared_cell(number)->value, 7);
  assert_int_equal(cc_share(1), CC_OK);
  assert_int_equal(cell("before"), number);
  assert_int_equal(atomic_load(&cc_shared_cell(number)->value), 7);
}

static void too_long_for_the_log(void) {
  static char line[1 << 18];
  cc_log(line, sizeof line);
}

static void lines_that_a_worker_drops_are_counted_with_the_others(void **state) {
  (void)state;
  int status;
  double before = cc_log_dropped();
  too_long_for_the_log();
  assert_int_equal(cc_share(1), CC_OK);
  assert_true(cc_log_dropped() == before + 1);
  pid_t child = fork();
  if (child == 0) {
    too_long_for_the_log();
    _exit(cc_log_dropped() == before + 2 ? 0 : 1);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  assert_true(cc_log_dropped() == before + 2);
}

static void a_worker_is_seen_by_its_master(void **state) {
  (void)state;
  struct cc_worker worker;
  int status, ready[2], done[2];
  char byte = 0;
  assert_int_equal(cc_share(2), CC_OK);
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(pipe(done), 0);
  pid_t child = fork();
  if (child == 0) {
    cc_shared_this(1);
    cc_shared_busy(12);
    cc_shared_exchanges(5);
    cc_shared_exchanges(-2);
    cc_shared_script(true);
    if (write(ready[1], "x", 1) != 1 || read(done[0], &byte, 1) != 1) _exit(1);
    _exit(0);
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  cc_shared_slot_started(1, child);
  assert_int_equal(cc_worker(1, &worker), CC_OK);
  assert_int_equal(worker.pid, child);
  assert_true(worker.started > 0);
  assert_true(worker.busy == 12);
  assert_true(worker.exchanges == 3);
  assert_true(worker.script);
  assert_int_equal(cc_kill(1, SIGKILL), CC_OK);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(WTERMSIG(status), SIGKILL);
  assert_int_equal(cc_kill(1, 0), CC_ENOTFOUND); // gone, but the slot still has its pid
  cc_shared_slot_ended(1, -SIGKILL);
  assert_int_equal(cc_worker(1, &worker), CC_OK);
  assert_int_equal(worker.pid, 0);
  assert_int_equal(worker.status, -SIGKILL);
  assert_true(worker.busy == 0 && worker.exchanges == 0);
  assert_true(worker.script);
  cc_shared_this(1);
  assert_int_equal(cc_worker(1, &worker), CC_OK);
  assert_false(worker.script);
  cc_shared_this(-1);
  for (int i = 0; i < 2; i++)
    close(ready[i]), close(done[i]);
}

static void the_master_has_no_slot(void **state) {
  (void)state;
  struct cc_worker worker;
  cc_share(1);
  cc_shared_busy(1);
  cc_shared_exchanges(1);
  assert_int_equal(cc_worker(0, &worker), CC_OK);
  assert_true(worker.busy == 0 && worker.exchanges == 0);
}

static void names_have_numbers(void **state) {
  (void)state;
  char longest[64];
  memset(longest, 'n', sizeof longest);
  struct cc_slice name;
  assert_int_equal(cc_shared_names(CC_TABLE_CELLS), 0);
  assert_int_equal(cell("a"), 0);
  assert_int_equal(cell("b"), 1);
  assert_int_equal(cell("a"), 0);
  assert_int_equal(cc_shared_named(CC_TABLE_CELLS, "a\0", 2), 2);
  assert_int_equal(cc_shared_named(CC_TABLE_CELLS, longest, 63), 3);
  assert_int_equal(cc_shared_named(CC_TABLE_CELLS, longest, 62), 4);
  assert_int_equal(cc_shared_named(CC_TABLE_LIMITS, "b", 1), 0);
  assert_int_equal(cc_shared_named(CC_TABLE_CELLS, longest, 64), CC_EINVAL);
  assert_int_equal(cc_shared_named(CC_TABLE_CELLS, longest, 0), CC_EINVAL);
  assert_int_equal(cc_shared_names(CC_TABLE_CELLS), 5);
  assert_int_equal(cc_shared_name(CC_TABLE_CELLS, 3, &name), CC_OK);
  assert_int_equal(name.size, 63);
  assert_memory_equal(name.data, longest, 63);
  assert_int_equal(cc_shared_name(CC_TABLE_CELLS, 5, &name), CC_ENOTFOUND);
  assert_int_equal(name.size, 0);
  assert_int_equal(cc_shared_name(CC_TABLE_CELLS, -1, &name), CC_ENOTFOUND);
  assert_int_equal(cc_shared_name(CC_TABLE_CELLS, CC_CELLS, &name), CC_ENOTFOUND);
  assert_null(cc_shared_cell(-1));
  assert_null(cc_shared_cell(CC_CELLS));
  assert_null(cc_shared_limit(CC_LIMITS));
}

static void a_full_table_says_so(void **state) {
  (void)state;
  for (int i = 0; i < CC_LIMITS; i++)
    assert_int_equal(numbered(CC_TABLE_LIMITS, "limit", i), i);
  assert_int_equal(numbered(CC_TABLE_LIMITS, "limit", CC_LIMITS), CC_ELIMIT);
  assert_int_equal(numbered(CC_TABLE_LIMITS, "limit", 17), 17);
  assert_int_equal(cc_shared_names(CC_TABLE_LIMITS), CC_LIMITS);
  assert_int_equal(cell("elsewhere"), 0);
}

enum { THREADS = 4, NAMES = 2000 };
static int numbers[THREADS][NAMES];

static void *name_them(void *argument) {
  int thread = (int)(intptr_t)argument;
  for (int i = 0; i < NAMES; i++) {
    int n = thread / 2 ? NAMES - 1 - i : i;
    numbers[thread][n] = numbered(CC_TABLE_CELLS, "name", n);
  }
  return NULL;
}

static void threads_agree_on_names(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  static bool seen[CC_CELLS];
  for (intptr_t i = 0; i < THREADS; i++)
    pthread_create(&threads[i], NULL, name_them, (void *)i);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  for (int n = 0; n < NAMES; n++) {
    assert_in_range(numbers[0][n], 0, CC_CELLS - 1);
    assert_false(seen[numbers[0][n]]);
    seen[numbers[0][n]] = true;
    for (int i = 1; i < THREADS; i++)
      assert_int_equal(numbers[i][n], numbers[0][n]);
  }
  for (int n = NAMES; n < CC_CELLS; n++) // no room was lost where they met
    assert_in_range(numbered(CC_TABLE_CELLS, "name", n), 0, CC_CELLS - 1);
}

static int made;

static char next_name[64] = "stepped 0";

static void make_a_name(void) {
  cc_shared_named(CC_TABLE_LIMITS, next_name, (uint32_t)strlen(next_name));
}

static void name_is_sound(void) {
  struct cc_slice name;
  int number = numbered(CC_TABLE_LIMITS, "stepped", made++);
  assert_in_range(number, 0, CC_LIMITS - 1);
  assert_true(number < cc_shared_names(CC_TABLE_LIMITS));
  assert_int_equal(cc_shared_name(CC_TABLE_LIMITS, number, &name), CC_OK);
  assert_memory_equal(name.data, next_name, name.size);
  snprintf(next_name, sizeof next_name, "stepped %d", made);
}

static void death_at_any_point_loses_no_room(void **state) {
  (void)state;
  static bool seen[CC_LIMITS];
  numbered(CC_TABLE_LIMITS, "first", 0);
  made = 0;
  long deaths = step_through(make_a_name, NULL, name_is_sound);
  assert_true(deaths > 5);
  long all = step_count(make_a_name); // an entry is published and finished near the end
  name_is_sound();
  step_range(make_a_name, NULL, name_is_sound, all > 120 ? all - 120 : 1, all, STEP_LATE);
  for (int i = made; i < CC_LIMITS - 1; i++)
    assert_in_range(numbered(CC_TABLE_LIMITS, "stepped", i), 0, CC_LIMITS - 1);
  assert_int_equal(numbered(CC_TABLE_LIMITS, "stepped", CC_LIMITS), CC_ELIMIT);
  for (int i = 0; i < CC_LIMITS - 1; i++) {
    int number = numbered(CC_TABLE_LIMITS, "stepped", i);
    assert_in_range(number, 1, CC_LIMITS - 1);
    assert_false(seen[number]);
    seen[number] = true;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(slots_exist_after_sharing_only, fresh),
      cmocka_unit_test_setup(sharing_keeps_what_was_there, fresh),
      cmocka_unit_test_setup(lines_that_a_worker_drops_are_counted_with_the_others, fresh),
      cmocka_unit_test_setup(a_worker_is_seen_by_its_master, fresh),
      cmocka_unit_test_setup(the_master_has_no_slot, fresh),
      cmocka_unit_test_setup(names_have_numbers, fresh),
      cmocka_unit_test_setup(a_full_table_says_so, fresh),
      cmocka_unit_test_setup(threads_agree_on_names, fresh),
      cmocka_unit_test_setup(death_at_any_point_loses_no_room, fresh),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
