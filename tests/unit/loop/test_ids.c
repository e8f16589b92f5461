// SPDX-License-Identifier: Apache-2.0
#include "loop/ids.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int things[1000];

static void an_ended_id_finds_nothing_though_its_slot_is_used_again(void **state) {
  (void)state;
  struct cc_ids ids = {0};
  cc_id first = cc_ids_add(&ids, &things[0]);
  assert_ptr_equal(cc_ids_find(&ids, first), &things[0]);
  cc_ids_remove(&ids, first);
  assert_null(cc_ids_find(&ids, first));
  cc_id second = cc_ids_add(&ids, &things[1]);
  assert_true(second > first);
  assert_null(cc_ids_find(&ids, first));
  assert_ptr_equal(cc_ids_find(&ids, second), &things[1]);
  cc_ids_free(&ids);
}

static void numbers_that_are_no_id_find_nothing(void **state) {
  (void)state;
  struct cc_ids ids = {0};
  cc_id id = cc_ids_add(&ids, &things[0]);
  const cc_id none[] = {0, -1, 1, id + 1, 2 * id, 1e300, 0.0 / 0.0, 9007199254740992.0};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_null(cc_ids_find(&ids, none[i]));
  cc_ids_free(&ids);
}

static void all_things_are_walked_and_may_be_removed_meanwhile(void **state) {
  (void)state;
  struct cc_ids ids = {0};
  cc_id id[1000];
  for (int i = 0; i < 1000; i++)
    id[i] = cc_ids_add(&ids, &things[i]);
  cc_ids_remove(&ids, id[500]);
  assert_int_equal(ids.used, 999);
  uint32_t slot = 0;
  int count = 0;
  for (int *thing; (thing = cc_ids_next(&ids, &slot)); count++)
    cc_ids_remove(&ids, id[thing - things]);
  assert_int_equal(count, 999);
  assert_int_equal(ids.used, 0);
  cc_ids_free(&ids);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_ended_id_finds_nothing_though_its_slot_is_used_again),
      cmocka_unit_test(numbers_that_are_no_id_find_nothing),
      cmocka_unit_test(all_things_are_walked_and_may_be_removed_meanwhile),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
