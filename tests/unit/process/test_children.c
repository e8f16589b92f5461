// SPDX-License-Identifier: Apache-2.0
// Child processes that are not workers: they are told to end, and leave nothing behind.
#include "api/process.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int idle_child(void) {
  alarm(60);
  int pid = cc_child();
  while (pid == 0)
    pause();
  return pid;
}

static void a_child_has_ended_once_it_is_killed(void **state) {
  (void)state;
  int pid = idle_child();
  assert_true(pid > 0);
  assert_false(cc_child_signal(pid, 0));
  cc_child_signal(pid, SIGKILL);
  while (!cc_child_signal(pid, 0))
    usleep(1000);
  assert_int_equal(waitpid(pid, NULL, WNOHANG), -1); // it has been reaped
  assert_int_equal(errno, ECHILD);
}

static void a_child_that_is_gone_has_ended(void **state) {
  (void)state;
  int pid = idle_child();
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  assert_true(cc_child_signal(pid, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_child_has_ended_once_it_is_killed),
      cmocka_unit_test(a_child_that_is_gone_has_ended),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
