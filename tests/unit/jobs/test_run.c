// SPDX-License-Identifier: Apache-2.0
// Programs run for credentials: what they write, how they end, and that nothing of them stays.
#include "api/error.h"
#include "api/job.h"
#include "api/listen.h"
#include "api/loop.h"
#include "api/process.h"
#include "base/descriptors.h"
#include "shared/shared.h"
#include "support/descriptors.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define RUN(...)      run(relay, (const char *[]){__VA_ARGS__, NULL}, 20000, 4096)
#define SHELL(script) RUN("sh", "-c", script)

struct result {
  int error, status;
  char body[8192], detail[512];
};

static struct cc_relay *relay;
static char root[64];

static int descriptors, inherited;

// Those that any program started from here has.
static int count_inherited(void) {
  int count = 0;
  for (int fd = 0; fd < 1024; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && !(flags & FD_CLOEXEC)) count++;
  }
  return count;
}

static int begin(void **state) {
  (void)state;
  alarm(100);
  strcpy(root, "/tmp/ccrelay-run-XXXXXX");
  if (!mkdtemp(root)) return -1;
  cc_close(cc_open()); // the library keeps a pipe for signals
  descriptors = count_descriptors();
  relay = cc_open();
  return 0;
}

static int end(void **state) {
  char command[96];
  (void)state;
  cc_close(relay);
  snprintf(command, sizeof command, "rm -rf '%s'", root);
  if (system(command) || count_descriptors() != descriptors) return -1;
  return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : -1; // no child is left
}

static cc_id start(struct cc_relay *on, const char *const *arguments, uint32_t timeout_ms,
                   uint32_t bytes) {
  char text[4096];
  uint32_t size = 0;
  for (; *arguments; arguments++) {
    size_t length = strlen(*arguments) + 1;
    memcpy(text + size, *arguments, length);
    size += (uint32_t)length;
  }
  struct cc_command spec = {{text, size}, timeout_ms, bytes};
  return cc_run(on, &spec);
}

static void copy(char *out, size_t capacity, struct cc_slice from) {
  assert_true(from.size < capacity);
  if (from.size) memcpy(out, from.data, from.size);
  out[from.size] = '\0';
}

static struct result result_of(struct cc_relay *on, cc_id id) {
  struct cc_fetched got;
  struct result result;
  assert_int_equal(cc_fetched(on, id, &got), CC_OK);
  result.error = got.error;
  result.status = got.status;
  copy(result.body, sizeof result.body, got.body);
  copy(result.detail, sizeof result.detail, got.detail);
  return result;
}

static struct result run(struct cc_relay *on, const char *const *arguments, uint32_t timeout_ms,
                         uint32_t bytes) {
  struct cc_event event;
  struct cc_fetched early;
  cc_id id = start(on, arguments, timeout_ms, bytes);
  assert_true(id > 0);
  int at_once = cc_fetched(on, id, &early);
  assert_true(at_once == CC_ESTATE || early.error == CC_ENOTFOUND || early.error == CC_ESYSTEM);
  do
    assert_true(cc_next(on, &event));
  while (event.type != CC_EVENT_FETCH);
  assert_true(event.id == id);
  return result_of(on, id);
}

static const char *in_root(const char *name) {
  static char path[96];
  snprintf(path, sizeof path, "%s/%s", root, name);
  return path;
}

static int pid_in(const char *name) {
  int pid = 0;
  FILE *file = fopen(in_root(name), "r");
  if (!file) return 0;
  if (fscanf(file, "%d", &pid) != 1) pid = 0;
  fclose(file);
  return pid;
}

// Ended, or about to be: nobody here waits for what a program of ours has started.
static bool is_gone(int pid) {
  char path[64], line[512] = "";
  for (int i = 0; i < 500; i++) {
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return true;
    bool zombie = fgets(line, sizeof line, file) && strstr(line, ") Z");
    fclose(file);
    if (zombie) return true;
    usleep(10000);
  }
  return false;
}

// ---- How it ends -------------------------------------------------------------------------------

static void output_and_code_are_told(void **state) {
  (void)state;
  struct result got = SHELL("printf CANARY7f3a9d; echo warning >&2; exit 3");
  assert_int_equal(got.error, CC_OK);
  assert_int_equal(got.status, 3);
  assert_string_equal(got.body, "CANARY7f3a9d");
  assert_string_equal(got.detail, "warning\n");
  got = RUN("true");
  assert_int_equal(got.error, CC_OK);
  assert_int_equal(got.status, 0);
  assert_string_equal(got.body, "");
  assert_string_equal(got.detail, "");
  got = RUN("printf", "%s|%s|%s", "", "two words", "$HOME;*"); // no shell
  assert_string_equal(got.body, "|two words|$HOME;*");
}

static void it_has_its_event_and_then_is_gone(void **state) {
  (void)state;
  struct cc_fetched got;
  struct cc_event event;
  struct cc_slice value;
  const char *const program[] = {"true", NULL};
  cc_id id = start(relay, program, 20000, 10);
  assert_int_equal(cc_fetched(relay, id, &got), CC_ESTATE);
  assert_true(cc_next(relay, &event));
  assert_int_equal(cc_fetched(relay, id, &got), CC_OK);
  assert_int_equal(cc_fetched_header(relay, id, "x", 1, &value), CC_ENOTFOUND);
  assert_false(cc_next(relay, &event)); // nothing is left
  assert_int_equal(cc_fetched(relay, id, &got), CC_ESTALE);
}

static void nonsense_is_refused(void **state) {
  (void)state;
  struct cc_command spec = {{"", 0}, 1000, 10};
  assert_true(cc_run(relay, &spec) == CC_EINVAL);
  spec.arguments = (struct cc_slice){"", 1};
  assert_true(cc_run(relay, &spec) == CC_EINVAL);
  spec.arguments = (struct cc_slice){"\0x", 3};
  assert_true(cc_run(relay, &spec) == CC_EINVAL);
  spec.arguments = (struct cc_slice){"true", 4}; // not ended
  assert_true(cc_run(relay, &spec) == CC_EINVAL);
}

static void what_cannot_be_started_says_why(void **state) {
  (void)state;
  struct result got = RUN("ccrelay-no-such-program", "x");
  assert_int_equal(got.error, CC_ENOTFOUND);
  assert_string_equal(got.detail, "ccrelay-no-such-program: no such file or directory");
  got = RUN(in_root("missing"));
  assert_int_equal(got.error, CC_ENOTFOUND);
  FILE *file = fopen(in_root("plain"), "w");
  fputs("#!/bin/sh\n", file);
  fclose(file);
  chmod(in_root("plain"), 0600);
  got = RUN(in_root("plain"));
  assert_int_equal(got.error, CC_ESYSTEM);
  assert_non_null(strstr(got.detail, "/plain: permission denied"));
}

static void a_signal_is_told(void **state) {
  (void)state;
  struct result got = SHELL("printf half; kill -9 $$");
  assert_int_equal(got.error, CC_ESYSTEM);
  assert_int_equal(got.status, -SIGKILL);
  assert_string_equal(got.detail, "killed by signal 9");
  got = SHELL("echo why >&2; kill -15 $$");
  assert_int_equal(got.error, CC_ESYSTEM);
  assert_string_equal(got.detail, "why\n");
}

// ---- Bounds ------------------------------------------------------------------------------------

static void output_has_a_bound(void **state) {
  (void)state;
  char script[256];
  const char *const exact[] = {"printf", "12345", NULL};
  struct result got = run(relay, exact, 20000, 5);
  assert_int_equal(got.error, CC_OK);
  assert_string_equal(got.body, "12345");
  got = run(relay, exact, 20000, 4);
  assert_int_equal(got.error, CC_EBODY_SIZE);
  snprintf(script, sizeof script, "echo $$ >%s; yes", in_root("pid"));
  got = SHELL(script);
  assert_int_equal(got.error, CC_EBODY_SIZE);
  assert_true(is_gone(pid_in("pid")));
}

static void the_rest_of_stderr_is_dropped(void **state) {
  (void)state;
  struct result got =
      SHELL("i=0; while [ $i -lt 20000 ]; do echo 1234567890 >&2; i=$((i+1)); done; "
            "printf done");
  assert_int_equal(got.error, CC_OK);
  assert_string_equal(got.body, "done");
  assert_int_equal(strlen(got.detail), 400);
  assert_memory_equal(got.detail, "1234567890\n1234567890\n", 22);
}

static void time_is_up_for_the_whole_tree(void **state) {
  (void)state;
  char script[256];
  snprintf(script, sizeof script,
           "echo $$ >%s; sleep 100 & echo $! >%s/child; echo so far >&2; printf part; sleep 100",
           in_root("pid"), root);
  const char *const arguments[] = {"sh", "-c", script, NULL};
  struct result got = run(relay, arguments, 400, 100);
  assert_int_equal(got.error, CC_ETOTAL_TIMEOUT);
  assert_string_equal(got.detail, "so far\n");
  assert_true(pid_in("pid") && is_gone(pid_in("pid")));
  assert_true(pid_in("child") && is_gone(pid_in("child")));
}

static void a_child_with_stdout_does_not_hang_it(void **state) {
  (void)state;
  char script[256];
  snprintf(script, sizeof script, "sleep 100 & echo $! >%s; printf whole", in_root("child"));
  const char *const arguments[] = {"sh", "-c", script, NULL};
  struct result got = run(relay, arguments, 400, 100);
  assert_int_equal(got.error, CC_ETOTAL_TIMEOUT);
  assert_true(pid_in("child") && is_gone(pid_in("child")));
}

static void a_child_without_stdout_is_not_waited_for(void **state) {
  (void)state;
  char script[256];
  snprintf(script, sizeof script, "sleep 100 >/dev/null & echo $! >%s; echo last >&2; printf whole",
           in_root("child")); // it has stderr
  struct result got = SHELL(script);
  assert_int_equal(got.error, CC_OK);
  assert_string_equal(got.body, "whole");
  assert_string_equal(got.detail, "last\n");
  assert_int_equal(kill(pid_in("child"), SIGKILL), 0); // still there, as it was wanted
}

static void stdout_may_end_early(void **state) {
  (void)state;
  struct result got = SHELL("printf early; exec >&-; sleep 0.2; echo late >&2; exit 5");
  assert_int_equal(got.error, CC_OK);
  assert_int_equal(got.status, 5);
  assert_string_equal(got.body, "early");
  assert_string_equal(got.detail, "late\n");
}

// ---- Its surroundings --------------------------------------------------------------------------

static void it_starts_afresh(void **state) {
  (void)state;
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  void (*before)(int) = signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  cc_signal(relay, SIGINT);
  struct result got = RUN("grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status");
  sigprocmask(SIG_UNBLOCK, &blocked, NULL);
  signal(SIGHUP, before);
  assert_int_equal(got.status, 0);
  uint64_t mask[3];
  assert_int_equal(
      sscanf(got.body, "SigBlk: %lx SigIgn: %lx SigCgt: %lx", &mask[0], &mask[1], &mask[2]), 3);
  for (int i = 0; i < 2; i++)
    assert_true((mask[i] & 0x7fffffff) == 0);
}

static void it_has_no_other_descriptor(void **state) {
  (void)state;
  struct cc_listen listen = {.host = {"127.0.0.1", 9}, .copies = 2};
  assert_int_equal(cc_listen(relay, &listen), 0);
  assert_int_equal(cc_accept(relay, 0, 0), CC_OK);
  struct result got = RUN("ls", "-l", "/proc/self/fd");
  assert_non_null(strstr(got.body, " 0 -> /dev/null\n"));
  assert_non_null(strstr(got.body, " 1 -> pipe:"));
  assert_non_null(strstr(got.body, " 2 -> pipe:"));
  int open = -1; // that of the folder it lists
  for (const char *at = got.body; (at = strstr(at, " -> ")); at++)
    open++;
  assert_in_range(open, 3, inherited);
}

static void it_may_open_its_stdout(void **state) {
  (void)state;
  struct result got = SHELL("cat; echo out >/dev/stdout; echo err >/dev/stderr");
  assert_string_equal(got.body, "out\n");
  assert_string_equal(got.detail, "err\n");
}

static void it_has_the_environment_and_its_own_session(void **state) {
  (void)state;
  setenv("CCRELAY_TEST_RUN", "inherited", 1);
  struct result got =
      SHELL("printf \"$CCRELAY_TEST_RUN \"; cut -d' ' -f5,6 /proc/$$/stat; echo $$");
  unsetenv("CCRELAY_TEST_RUN");
  char expected[128];
  int group, session, pid;
  assert_int_equal(sscanf(got.body, "inherited %d %d %d", &group, &session, &pid), 3);
  assert_int_equal(group, pid);
  assert_int_equal(session, pid);
  snprintf(expected, sizeof expected, "inherited %d %d\n%d\n", pid, pid, pid);
  assert_string_equal(got.body, expected);
}

// ---- Many, and the end of the relay ------------------------------------------------------------

enum { MANY = 50 };

// Its own soft limit is raised; programs that use select() count on the usual one.
static void it_has_the_limit_of_descriptors_of_the_start(void **state) {
  struct rlimit before, limit;
  (void)state;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  limit = (struct rlimit){before.rlim_max > 512 ? 256 : before.rlim_max / 2, before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  cc_descriptors_raise();
  char expected[32];
  snprintf(expected, sizeof expected, "%lu\n", (unsigned long)limit.rlim_cur);
  assert_string_equal(SHELL("ulimit -Sn").body, expected);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(limit.rlim_cur, before.rlim_max);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void many_at_a_time(void **state) {
  (void)state;
  cc_id ids[MANY];
  struct cc_event event;
  for (int i = 0; i < MANY; i++) {
    char number[16];
    snprintf(number, sizeof number, "%d", i);
    const char *const arguments[] = {"sh", "-c", "printf \"$0\"; exit \"$0\"", number, NULL};
    ids[i] = start(relay, arguments, 60000, 100);
  }
  for (int done = 0; done < MANY; done++) {
    assert_true(cc_next(relay, &event));
    assert_int_equal(event.type, CC_EVENT_FETCH);
    int i = 0;
    while (ids[i] != event.id)
      i++;
    struct result got = result_of(relay, event.id);
    assert_int_equal(got.error, CC_OK);
    assert_int_equal(got.status, i);
    assert_int_equal(atoi(got.body), i);
  }
}

static void closing_kills_what_runs(void **state) {
  (void)state;
  char script[256];
  snprintf(script, sizeof script,
           "echo $$ >%s; sleep 100 & echo $! >%s/child; printf CANARY7f3a9d; sleep 100",
           in_root("pid"), root);
  const char *const arguments[] = {"sh", "-c", script, NULL};
  struct cc_event event;
  start(relay, arguments, 0, 100);
  do {
    cc_timer(relay, 0, 5);
    assert_true(cc_next(relay, &event));
  } while (!pid_in("child"));
  start(relay, arguments, 20000, 100); // has hardly begun
  int pid = pid_in("pid"), child = pid_in("child");
  cc_close(relay);
  relay = cc_open();
  assert_true(is_gone(pid) && is_gone(child));
}

// A master reaps its workers and runs programs of its own; so does the worker it forks then.
static void master_and_worker_learn_of_their_own(void **state) {
  (void)state;
  struct cc_event event;
  cc_shared_close();
  assert_int_equal(cc_share(1), CC_OK);
  assert_int_equal(cc_signal(relay, SIGCHLD), CC_OK);
  assert_int_equal(SHELL("exit 3").status, 3);
  if (cc_fork(&relay, 0) == 1) {
    struct result got = SHELL("printf from the worker; exit 4");
    _exit(got.error == CC_OK && got.status == 4 && got.body[0] == 'f' ? 7 : 8);
  }
  assert_int_equal(SHELL("sleep 0.1; exit 5").status, 5);
  struct cc_worker worker;
  do {
    cc_timer(relay, 0, 5);
    assert_true(cc_next(relay, &event));
    cc_worker(0, &worker);
  } while (worker.pid);
  assert_int_equal(worker.status, 7);
  assert_int_equal(SHELL("exit 6").status, 6);
  int helper = cc_child();
  if (helper == 0) _exit(0);
  while (kill(helper, 0) == 0) { // until it has been reaped
    cc_timer(relay, 0, 5);
    assert_true(cc_next(relay, &event));
  }
  cc_shared_close();
}

// What runs for the master when a worker is forked stays the master's.
static void a_worker_forked_meanwhile_changes_nothing(void **state) {
  (void)state;
  struct cc_event event;
  struct cc_worker worker;
  cc_id ids[2];
  cc_shared_close();
  assert_int_equal(cc_share(1), CC_OK);
  assert_int_equal(cc_signal(relay, SIGCHLD), CC_OK);
  const char *const quick[] = {"sh", "-c", "printf quick; sleep 0.2; exit 3", NULL};
  const char *const slow[] = {"sh", "-c", "printf slow; sleep 0.6; exit 4", NULL};
  ids[0] = start(relay, quick, 20000, 100);
  ids[1] = start(relay, slow, 20000, 100);
  if (cc_fork(&relay, 0) == 1) {
    bool good = true;
    for (int i = 0; i < 20 && good; i++)
      good = SHELL("printf own; exit 5").status == 5;
    _exit(good ? 7 : 8);
  }
  for (int done = 0; done < 2; done += event.type == CC_EVENT_FETCH) {
    assert_true(cc_next(relay, &event));
    if (event.type != CC_EVENT_FETCH) continue;
    struct result got = result_of(relay, event.id);
    assert_true(event.id == ids[done]);
    assert_int_equal(got.error, CC_OK);
    assert_int_equal(got.status, 3 + done);
    assert_string_equal(got.body, done ? "slow" : "quick");
  }
  for (cc_worker(0, &worker); worker.pid; cc_worker(0, &worker)) {
    cc_timer(relay, 0, 5);
    assert_true(cc_next(relay, &event));
  }
  assert_int_equal(worker.status, 7);
  assert_int_equal(SHELL("exit 6").status, 6);
  cc_shared_close();
}

int main(void) {
  inherited = count_inherited();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(output_and_code_are_told, begin, end),
      cmocka_unit_test_setup_teardown(it_has_its_event_and_then_is_gone, begin, end),
      cmocka_unit_test_setup_teardown(nonsense_is_refused, begin, end),
      cmocka_unit_test_setup_teardown(what_cannot_be_started_says_why, begin, end),
      cmocka_unit_test_setup_teardown(a_signal_is_told, begin, end),
      cmocka_unit_test_setup_teardown(output_has_a_bound, begin, end),
      cmocka_unit_test_setup_teardown(the_rest_of_stderr_is_dropped, begin, end),
      cmocka_unit_test_setup_teardown(time_is_up_for_the_whole_tree, begin, end),
      cmocka_unit_test_setup_teardown(a_child_with_stdout_does_not_hang_it, begin, end),
      cmocka_unit_test_setup_teardown(a_child_without_stdout_is_not_waited_for, begin, end),
      cmocka_unit_test_setup_teardown(stdout_may_end_early, begin, end),
      cmocka_unit_test_setup_teardown(it_starts_afresh, begin, end),
      cmocka_unit_test_setup_teardown(it_has_no_other_descriptor, begin, end),
      cmocka_unit_test_setup_teardown(it_may_open_its_stdout, begin, end),
      cmocka_unit_test_setup_teardown(it_has_the_environment_and_its_own_session, begin, end),
      cmocka_unit_test_setup_teardown(it_has_the_limit_of_descriptors_of_the_start, begin, end),
      cmocka_unit_test_setup_teardown(many_at_a_time, begin, end),
      cmocka_unit_test_setup_teardown(closing_kills_what_runs, begin, end),
      cmocka_unit_test_setup_teardown(master_and_worker_learn_of_their_own, begin, end),
      cmocka_unit_test_setup_teardown(a_worker_forked_meanwhile_changes_nothing, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
