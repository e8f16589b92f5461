// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { NAP_MS = 10 };

static void nap(void) {
  nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
}

static int lock(int fd, const char *path, uint32_t patience_ms) {
  for (uint32_t waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += NAP_MS) {
    if (errno != EWOULDBLOCK && errno != EINTR) return cc_fail_errno(CC_ESYSTEM, path);
    if (waited >= patience_ms) return cc_fail(CC_EINUSE, "%s: another process changes it", path);
    nap();
  }
  return fd;
}

int cc_folder_lock(const char *path, bool make, uint32_t patience_ms) {
  int error = make ? cc_folder_make(path) : CC_OK;
  if (error != CC_OK) return error;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return cc_fail_errno(errno == ENOENT ? CC_ENOTFOUND : CC_ESYSTEM, path);
  int locked = lock(fd, path, patience_ms);
  if (locked < 0) close(fd);
  return locked;
}

void cc_folder_unlock(int lock) {
  close(lock);
}
