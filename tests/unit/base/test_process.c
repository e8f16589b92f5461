// SPDX-License-Identifier: Apache-2.0
#include "api/crypto.h"
#include "api/error.h"
#include "base/process.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void random_bytes_differ(void **state) {
  (void)state;
  unsigned char a[300] = {0}, b[300] = {0};
  assert_int_equal(cc_random(a, sizeof a), CC_OK);
  assert_int_equal(cc_random(b, sizeof b), CC_OK);
  assert_memory_not_equal(a, b, 32);
  assert_memory_not_equal(a + 268, b + 268, 32);
  assert_int_equal(cc_random(NULL, 0), CC_OK);
}

static void clocks_go_on(void **state) {
  (void)state;
  double now = cc_now();
  assert_true(cc_now() >= now && now > 0);
  assert_true(cc_time() > 1.6e12); // 2020
}

static void who_runs_this(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(cc_getpid(), getpid());
  assert_int_equal(cc_user(), geteuid());
  assert_false(cc_terminal(ends[0]));
  assert_false(cc_terminal(-1));
  close(ends[0]), close(ends[1]);
}

static char arguments[] = "program\0--secret\0value";

// In a child: gives itself a title, then exits with a bit for each thing that is as promised.
static int titled(const char *dumpable, const char *title) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    struct rlimit core = {5, 5};
    char *argv[] = {arguments, arguments + 8, arguments + 17, NULL};
    char name[17] = {0};
    setrlimit(RLIMIT_CORE, &core);
    setenv("CCRELAY_DUMPABLE", dumpable, 1);
    cc_process_init(3, argv);
    cc_process(title);
    prctl(PR_GET_NAME, name);
    getrlimit(RLIMIT_CORE, &core);
    int dump = prctl(PR_GET_DUMPABLE);
    bool wiped = !memmem(arguments, sizeof arguments, "secret", 6);
    bool shown = strncmp(arguments, title, sizeof arguments - 1) == 0;
    _exit((strncmp(name, title, 15) == 0) | wiped << 1 | shown << 2 | (dump == 0) << 3 |
          (core.rlim_max == 0) << 4);
  }
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void the_process_has_a_title_and_no_dumps(void **state) {
  (void)state;
  assert_int_equal(titled("", "ccrelay: worker"), 31);
  assert_int_equal(titled("1", "ccrelay: worker"), 7);
  assert_int_equal(titled("0", "a title longer than all arguments are"), 31);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_bytes_differ),
      cmocka_unit_test(clocks_go_on),
      cmocka_unit_test(who_runs_this),
      cmocka_unit_test(the_process_has_a_title_and_no_dumps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
