// SPDX-License-Identifier: Apache-2.0
// Runs work in a child, instruction by instruction, and kills it after so many: the way to try out
// death at every point of a change to shared memory.
#ifndef TESTS_STEP_H
#define TESTS_STEP_H
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum step_end { STEP_KILLED, STEP_FINISHED, STEP_REFUSED };

// How many deaths are tried, evenly over the instructions of the work.
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STEP_SLOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STEP_SLOW 1
#endif
#ifdef STEP_SLOW
enum { STEP_DEATHS = 10 };
#else
enum { STEP_DEATHS = 100 };
#endif

static void step_child(void (*work)(void)) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(3);
  kill(getpid(), SIGSTOP);
  work();
  _exit(0);
}

// Kills work after *steps instructions; if it finishes before, says so and after how many.
static enum step_end step_and_kill(void (*work)(void), long *steps) {
  int status = 0;
  long done = 0;
  pid_t child = fork();
  if (child == 0) step_child(work);
  waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return STEP_REFUSED;
  for (; done < *steps && WIFSTOPPED(status); done++) {
    if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0) break;
    waitpid(child, &status, 0);
  }
  *steps = done;
  if (WIFEXITED(status)) return STEP_FINISHED;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return STEP_KILLED;
}

// Runs work once to its end to count its instructions, then kills it on its way, again and again;
// check runs after each death, and once when it has finished. Returns the number of deaths; 0
// with a printed reason when there is no tracing here.
static long step_through(void (*work)(void), void (*check)(void)) {
  long all = 1000000, deaths = 0;
  enum step_end end = STEP_REFUSED;
  if (!getenv("CCRELAY_NO_PTRACE")) end = step_and_kill(work, &all);
  if (end != STEP_FINISHED) {
    printf("not tried: a child cannot be traced here\n");
    return 0;
  }
  check();
  long stride = all / STEP_DEATHS + 1;
  for (long at = 1 + all % stride; at < all; at += stride, deaths++) {
    long steps = at;
    step_and_kill(work, &steps);
    check();
  }
  return deaths;
}
#endif
