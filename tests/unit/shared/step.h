// SPDX-License-Identifier: Apache-2.0
// Runs work in a child, instruction by instruction, and stops it after so many: the way to try out
// death, and the doings of others, at every point of a change to shared memory. With CCRELAY_STEP=N
// in the environment it is stopped at each N-th instruction, else at some, evenly over all.
#ifndef TESTS_STEP_H
#define TESTS_STEP_H
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum step_end { STEP_STOPPED, STEP_FINISHED, STEP_REFUSED };

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define STEP_SLOW 1
#endif
#if __has_feature(thread_sanitizer)
#define STEP_NEVER 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define STEP_SLOW 1
#endif
#ifdef __SANITIZE_THREAD__
#define STEP_NEVER 1
#endif
#ifdef STEP_NEVER
#define STEP_SLOW 1
#endif

// At how many points it is stopped.
#ifdef STEP_SLOW
enum { STEP_STOPS = 10, STEP_LATE = 20 };
#else
enum { STEP_STOPS = 24, STEP_LATE = 2 };
#endif

static void step_child(void (*work)(void)) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(3);
  syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
  work();
  syscall(SYS_exit_group, 0); // known to the linker by now: few instructions behind work
}

// Starts work in a child and stops it after *steps instructions; if it finishes before, says so
// and after how many.
static enum step_end step_to(void (*work)(void), long *steps, pid_t *child) {
  int status = 0;
  long done = 0;
  fflush(NULL);
  *child = fork();
  if (*child == 0) step_child(work);
  waitpid(*child, &status, 0);
  if (!WIFSTOPPED(status)) return STEP_REFUSED;
  for (; done < *steps && WIFSTOPPED(status); done++) {
    if (ptrace(PTRACE_SINGLESTEP, *child, NULL, NULL) != 0) break;
    waitpid(*child, &status, 0);
  }
  *steps = done;
  return WIFEXITED(status) ? STEP_FINISHED : STEP_STOPPED;
}

static void step_kill(pid_t child) {
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

static void step_on(pid_t child) {
  int status = 0;
  ptrace(PTRACE_CONT, child, NULL, NULL);
  waitpid(child, &status, 0);
  if (!WIFEXITED(status)) step_kill(child);
}

static void step_unless(bool hindered, const char *why) {
  if (!hindered) return;
  printf("left out: %s\n", why);
  skip();
}

// The number of instructions of work. Where it cannot be stepped through the test ends here, skipped,
// with the reason printed.
static long step_count(void (*work)(void)) {
  long all = 1000000;
  pid_t child;
  const char *loaded = getenv("LD_PRELOAD");
#ifdef STEP_NEVER
  step_unless(true, "ThreadSanitizer sees nothing of what a child does, and has it take minutes");
#endif
  step_unless(loaded && strstr(loaded, "vgpreload"), "valgrind runs instructions of its own");
  enum step_end end = step_to(work, &all, &child);
  if (end == STEP_STOPPED) step_kill(child);
  step_unless(end != STEP_FINISHED, "a child cannot be traced here");
  return all;
}

// How many instructions to go on each time, unless the environment says so.
static long step_stride(long otherwise) {
  const char *given = getenv("CCRELAY_STEP");
  long stride = given ? strtol(given, NULL, 10) : 0;
  return stride > 0 ? stride : otherwise;
}

// Stops work at every stride-th instruction from first to before last, one run for each. With
// between: runs that while work stands still, then lets it go on to its end; without: kills it.
// check runs after each. Returns the number of runs.
static long step_range(void (*work)(void), void (*between)(void), void (*check)(void), long first,
                       long last, long stride) {
  long runs = 0;
  for (long at = first; at < last; at += stride, runs++) {
    pid_t child;
    long steps = at;
    enum step_end end = step_to(work, &steps, &child);
    if (between) between();
    if (end == STEP_STOPPED && between)
      step_on(child);
    else if (end == STEP_STOPPED)
      step_kill(child);
    check();
  }
  return runs;
}

// The same over all of its way, and once to its end.
static inline long step_through(void (*work)(void), void (*between)(void), void (*check)(void)) {
  long all = step_count(work);
  check();
  long stride = step_stride(all / STEP_STOPS + 1);
  long runs = step_range(work, between, check, 1 + all % stride, all, stride);
  printf("stopped at %ld of %ld instructions\n", runs, all);
  return runs;
}
#endif
