// SPDX-License-Identifier: Apache-2.0
// The limit of descriptors: raised for the process, put back for programs, shared out.
#include "base/descriptors.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void limit_to(rlim_t soft, rlim_t hard) {
  struct rlimit limit = {soft, hard};
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(100);
}

static rlim_t soft_limit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

// Runs a check in a process of its own, whose limits it may change; it returns 0, or what failed.
static void apart(int (*check)(void)) {
  int status;
  pid_t child = fork();
  if (child == 0) _exit(check());
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static int raise_and_lower(void) {
  limit_to(64, 200);
  cc_descriptors_raise();
  if (soft_limit() != 200) return 1;
  cc_descriptors_lower();
  if (soft_limit() != 64) return 2;
  cc_descriptors_restore();
  if (soft_limit() != 200) return 3;
  for (int i = 0; i < 100; i++)
    if (dup(0) < 0) return 4;
  cc_descriptors_lower(); // more are open than there were to be
  if (soft_limit() <= 100 || soft_limit() >= 200) return 5;
  if (dup(0) < 0) return 6; // and a program can be started
  return 0;
}

static int nothing_to_raise(void) {
  limit_to(64, 64);
  cc_descriptors_raise();
  if (soft_limit() != 64) return 1;
  cc_descriptors_lower();
  cc_descriptors_restore();
  return soft_limit() != 64;
}

static void the_soft_limit_is_raised_and_lowered_for_programs(void **state) {
  (void)state;
  apart(raise_and_lower);
  apart(nothing_to_raise);
}

static int check_shares(void) {
  static const struct {
    rlim_t limit;
    uint32_t clients, upstreams;
  } rows[] = {{17000, 8760, 8192}, {10000, 4976, 4976}, {256, 104, 104},
              {128, 40, 40},       {97, 24, 24},        {96, 24, 24},
              {64, 16, 16},        {5, 1, 1},           {2, 1, 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    limit_to(rows[i].limit, rows[i].limit);
    if (cc_descriptors_clients() != rows[i].clients) return (int)i + 1;
    if (cc_descriptors_upstreams() != rows[i].upstreams) return (int)i + 101;
  }
  return 0;
}

static void clients_and_upstreams_have_their_shares(void **state) {
  (void)state;
  apart(check_shares);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_soft_limit_is_raised_and_lowered_for_programs),
      cmocka_unit_test(clients_and_upstreams_have_their_shares),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
