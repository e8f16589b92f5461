// SPDX-License-Identifier: Apache-2.0
#include "base/process.h"
#include "api/crypto.h"
#include "base/error.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static char *title_start;
static size_t title_room;

void cc_process_init(int argc, char **argv) {
  if (argc <= 0) return;
  char *end = argv[0];
  for (int i = 0; i < argc && argv[i] == end; i++)
    end = argv[i] + strlen(argv[i]) + 1;
  title_start = argv[0];
  title_room = (size_t)(end - argv[0]);
}

static void forbid_dumps(void) {
  const char *allowed = getenv("CCRELAY_DUMPABLE");
  if (allowed && strcmp(allowed, "1") == 0) return;
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

void cc_process(const char *title) {
  prctl(PR_SET_NAME, title);
  size_t size = strlen(title);
  if (title_room) {
    if (size > title_room - 1) size = title_room - 1;
    memset(title_start, 0, title_room);
    memcpy(title_start, title, size);
  }
  forbid_dumps();
}

int cc_getpid(void) {
  return (int)getpid();
}

uint32_t cc_user(void) {
  return geteuid();
}

uint32_t cc_group(void) {
  return getegid();
}

bool cc_terminal(int fd) {
  return isatty(fd) == 1;
}

int cc_cpus(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int cc_random(void *out, uint32_t size) {
  for (uint32_t done = 0; done < size;) {
    ssize_t got = getrandom((char *)out + done, size - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cc_fail_errno(CC_ESYSTEM, "random bytes");
    done += (uint32_t)got;
  }
  return CC_OK;
}

static double clock_ms(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

double cc_now(void) {
  return clock_ms(CLOCK_MONOTONIC);
}

double cc_time(void) {
  return clock_ms(CLOCK_REALTIME);
}
