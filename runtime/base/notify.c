// SPDX-License-Identifier: Apache-2.0
// The protocol of sd_notify(3) without libsystemd: one datagram to the socket that NOTIFY_SOCKET names.
#include "api/process.h"
#include "base/error.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int cc_notify(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  size_t size = path ? strlen(path) : 0;
  if (!size) return CC_ENOTFOUND;
  if ((path[0] != '/' && path[0] != '@') || size >= sizeof to.sun_path) return CC_EINVAL;
  memcpy(to.sun_path, path, size);
  if (path[0] == '@') to.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return cc_fail_errno(CC_ESYSTEM, "socket");
  socklen_t room = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
  ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                        (const struct sockaddr *)&to, room);
  int result = sent < 0 ? cc_fail_errno(CC_ESYSTEM, path) : CC_OK;
  close(fd);
  return result;
}
