// SPDX-License-Identifier: Apache-2.0
// Watched folders: changes are told, other folders are not, and removal is survived.
#include "api/error.h"
#include "net/watch.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static uv_loop_t loop;
static uv_timer_t patience;
static struct cc_watch *list;
static char root[64];
static int told[64], told_to_remove = -1;
static bool out_of_patience;

static void on_change(void *data, int number) {
  assert_ptr_equal(data, &loop);
  assert_in_range(number, 0, 63);
  told[number]++;
  if (number == told_to_remove) cc_watch_remove(list, number);
}

static const char *in_root(const char *name) {
  static char path[4][128];
  static int next;
  next = (next + 1) % 4;
  snprintf(path[next], sizeof path[next], "%s/%s", root, name);
  return path[next];
}

static void touch(const char *name) {
  int fd = open(in_root(name), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "x", 1), 1);
  close(fd);
}

static int begin(void **state) {
  (void)state;
  strcpy(root, "/tmp/ccrelay-watch-XXXXXX");
  if (!mkdtemp(root) || mkdir(in_root("a"), 0700) || mkdir(in_root("b"), 0700)) return -1;
  uv_loop_init(&loop);
  uv_timer_init(&loop, &patience);
  list = cc_watch_new(&loop, on_change, &loop);
  memset(told, 0, sizeof told);
  told_to_remove = -1;
  out_of_patience = false;
  return 0;
}

static int end(void **state) {
  char command[128];
  (void)state;
  cc_watch_close(list);
  cc_watch_close(list);
  uv_close((uv_handle_t *)&patience, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  snprintf(command, sizeof command, "rm -rf '%s'", root);
  return uv_loop_close(&loop) || system(command);
}

static void give_up(uv_timer_t *timer) {
  (void)timer;
  out_of_patience = true;
}

// Runs the loop until number has been told of more than before.
static void await_change(int number, int before) {
  out_of_patience = false;
  uv_timer_start(&patience, give_up, 20000, 0);
  while (told[number] <= before && !out_of_patience)
    uv_run(&loop, UV_RUN_ONCE);
  uv_timer_stop(&patience);
  assert_true(told[number] > before);
}

static void take_what_is_there(void) {
  for (int i = 0; i < 20; i++)
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void changes_are_told(void **state) {
  (void)state;
  int a = cc_watch_add(list, in_root("a")), b = cc_watch_add(list, in_root("b"));
  assert_int_equal(a, 0);
  assert_int_equal(b, 1);
  touch("a/file");
  await_change(a, 0);
  take_what_is_there();
  int before = told[a];
  touch("a/file");
  await_change(a, before);
  take_what_is_there();
  before = told[a];
  touch("a/new");
  assert_int_equal(rename(in_root("a/new"), in_root("a/file")), 0);
  await_change(a, before);
  take_what_is_there();
  before = told[a];
  assert_int_equal(unlink(in_root("a/file")), 0);
  await_change(a, before);
  assert_int_equal(told[b], 0);
}

static void one_folder_has_one_number(void **state) {
  (void)state;
  assert_int_equal(symlink("a", in_root("link")), 0);
  int a = cc_watch_add(list, in_root("a"));
  assert_int_equal(cc_watch_add(list, in_root("a")), a);
  assert_int_equal(cc_watch_add(list, in_root("a/")), a);
  assert_int_equal(cc_watch_add(list, in_root("b/../a")), a);
  assert_int_equal(cc_watch_add(list, in_root("link")), a);
  assert_int_not_equal(cc_watch_add(list, in_root("b")), a);
}

static void only_folders_are_watched(void **state) {
  (void)state;
  touch("file");
  assert_int_equal(cc_watch_add(list, in_root("file")), CC_ENOTFOUND);
  assert_int_equal(cc_watch_add(list, in_root("missing")), CC_ENOTFOUND);
  assert_int_equal(cc_watch_add(list, ""), CC_ENOTFOUND);
}

static void a_removed_watch_is_silent(void **state) {
  (void)state;
  int a = cc_watch_add(list, in_root("a")), b = cc_watch_add(list, in_root("b"));
  cc_watch_remove(list, a);
  cc_watch_remove(list, a);
  cc_watch_remove(list, -1);
  cc_watch_remove(list, 64);
  touch("a/file");
  touch("b/file");
  await_change(b, 0);
  take_what_is_there();
  assert_int_equal(told[a], 0);
  assert_int_equal(cc_watch_add(list, in_root("a")), a);
  touch("a/file");
  await_change(a, 0);
}

static void a_watch_may_be_removed_when_told(void **state) {
  (void)state;
  told_to_remove = cc_watch_add(list, in_root("a"));
  touch("a/one");
  touch("a/two");
  await_change(told_to_remove, 0);
  take_what_is_there();
  assert_int_equal(told[told_to_remove], 1);
}

static void a_folder_that_goes_and_comes_is_watched_on(void **state) {
  (void)state;
  int a = cc_watch_add(list, in_root("a"));
  assert_int_equal(rmdir(in_root("a")), 0);
  await_change(a, 0);
  take_what_is_there();
  int before = told[a];
  assert_int_equal(mkdir(in_root("a"), 0700), 0);
  await_change(a, before);
  take_what_is_there();
  before = told[a];
  touch("a/file");
  await_change(a, before);
  assert_int_equal(cc_watch_add(list, in_root("a")), a);
}

static void a_folder_that_is_replaced_is_watched_on(void **state) {
  (void)state;
  int a = cc_watch_add(list, in_root("a"));
  assert_int_equal(rename(in_root("a"), in_root("old")), 0);
  assert_int_equal(rename(in_root("b"), in_root("a")), 0);
  await_change(a, 0);
  take_what_is_there();
  int before = told[a];
  await_change(a, before); // found again
  take_what_is_there();
  before = told[a];
  touch("old/file");
  take_what_is_there();
  assert_int_equal(told[a], before);
  touch("a/file");
  await_change(a, before);
}

static void a_lost_folder_can_be_given_up(void **state) {
  (void)state;
  int a = cc_watch_add(list, in_root("a"));
  assert_int_equal(rmdir(in_root("a")), 0);
  await_change(a, 0);
  cc_watch_remove(list, a);
  uv_run(&loop, UV_RUN_DEFAULT); // ends: nobody is waited for any more
  assert_int_equal(cc_watch_add(list, in_root("a")), CC_ENOTFOUND);
}

static void there_is_room_for_64(void **state) {
  (void)state;
  char name[16];
  for (int i = 0; i < 64; i++) {
    snprintf(name, sizeof name, "a/%d", i);
    assert_int_equal(mkdir(in_root(name), 0700), 0);
    assert_int_equal(cc_watch_add(list, in_root(name)), i);
  }
  assert_int_equal(cc_watch_add(list, in_root("b")), CC_ELIMIT);
  cc_watch_remove(list, 20);
  assert_int_equal(cc_watch_add(list, in_root("b")), 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(changes_are_told),
      TEST(one_folder_has_one_number),
      TEST(only_folders_are_watched),
      TEST(a_removed_watch_is_silent),
      TEST(a_watch_may_be_removed_when_told),
      TEST(a_folder_that_goes_and_comes_is_watched_on),
      TEST(a_folder_that_is_replaced_is_watched_on),
      TEST(a_lost_folder_can_be_given_up),
      TEST(there_is_room_for_64),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
