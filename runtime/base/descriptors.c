// SPDX-License-Identifier: Apache-2.0
#include "base/descriptors.h"
#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  RESERVED =
      48, // an idle worker has about 20 open; the rest is for DNS, files and the queue of listeners
  SPAWN = 16, // in use for a moment while a program starts
  MOST_UPSTREAMS = 8192
};

static rlim_t original; // soft limit at the start; 0: it was not raised

static bool set_soft(rlim_t soft) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

void cc_descriptors_raise(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  if (set_soft(limit.rlim_max)) original = limit.rlim_cur;
}

void cc_descriptors_lower(void) {
  if (!original) return;
  int lowest = open("/", O_PATH | O_CLOEXEC);
  if (lowest < 0) return;
  close(lowest);
  rlim_t needed = (rlim_t)lowest + SPAWN;
  set_soft(original > needed ? original : needed);
}

void cc_descriptors_restore(void) {
  if (original) set_soft(RLIM_INFINITY);
}

// Twice the share of clients, when clients and upstreams have the same.
static uint32_t shared(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > UINT32_MAX) return UINT32_MAX;
  rlim_t all = limit.rlim_cur;
  return (uint32_t)(all > 2 * RESERVED ? all - RESERVED : all / 2);
}

uint32_t cc_descriptors_upstreams(void) {
  uint32_t half = shared() / 2;
  if (half > MOST_UPSTREAMS) return MOST_UPSTREAMS;
  return half ? half : 1;
}

uint32_t cc_descriptors_clients(void) {
  uint32_t half = shared() / 2;
  if (half > MOST_UPSTREAMS) return shared() - MOST_UPSTREAMS;
  return half ? half : 1;
}
