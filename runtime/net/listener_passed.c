// SPDX-License-Identifier: Apache-2.0
// Listening sockets that a service manager has opened and passes on, by the protocol of sd_listen_fds(3), without
// libsystemd.
#include "api/listen.h"
#include "base/error.h"
#include "net/listener_socket.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST = 64 };

// The decimal number in a variable; -1: none.
static long number_in(const char *name) {
  const char *text = getenv(name);
  char *end;
  if (!text || *text < '0' || *text > '9') return -1;
  long value = strtol(text, &end, 10);
  return *end ? -1 : value;
}

static void forget_variables(void) {
  static const char *const names[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    unsetenv(names[i]);
}

int cc_passed_sockets(void) {
  long count = number_in("LISTEN_FDS");
  if (number_in("LISTEN_PID") != getpid()) count = 0;
  forget_variables();
  if (count < 0 || count > MOST)
    return cc_fail(CC_EINVAL, "LISTEN_FDS is no number up to %d", MOST);
  for (int fd = CC_FIRST_PASSED; fd < CC_FIRST_PASSED + count; fd++)
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return cc_fail_errno(CC_ESYSTEM, "LISTEN_FDS");
  return (int)count;
}

static bool has_option(int fd, int option, int wanted) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

static int write_unix(const union cc_socket_address *address, socklen_t size, char *out,
                      uint32_t capacity) {
  const char *path = address->local.sun_path;
  if (size <= offsetof(struct sockaddr_un, sun_path) || !*path) return -1;
  return snprintf(out, capacity, "unix:%.*s", (int)sizeof address->local.sun_path, path);
}

static int write_address(const union cc_socket_address *address, socklen_t size, char *out,
                         uint32_t capacity) {
  char host[INET6_ADDRSTRLEN];
  switch (address->any.sa_family) {
  case AF_UNIX:
    return write_unix(address, size, out, capacity);
  case AF_INET:
    inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
    return snprintf(out, capacity, "%s:%u", host, ntohs(address->v4.sin_port));
  case AF_INET6:
    inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
    return snprintf(out, capacity, "[%s]:%u", host, ntohs(address->v6.sin6_port));
  default:
    return -1;
  }
}

int cc_passed_address(int fd, char *out, uint32_t capacity) {
  union cc_socket_address address;
  socklen_t size = sizeof address;
  memset(&address, 0, sizeof address);
  if (!has_option(fd, SO_TYPE, SOCK_STREAM) || !has_option(fd, SO_ACCEPTCONN, 1))
    return cc_fail(CC_EINVAL, "descriptor %d is no listening stream socket", fd);
  if (getsockname(fd, &address.any, &size) != 0) return cc_fail_errno(CC_ESYSTEM, "getsockname");
  int written = write_address(&address, size, out, capacity);
  if (written > 0 && (uint32_t)written < capacity) return CC_OK;
  return cc_fail(CC_EINVAL, "descriptor %d has neither an IP address nor a path", fd);
}

bool cc_socket_passed(int fd, uint32_t *port, char **path) {
  char text[CC_PASSED_ADDRESS];
  if (cc_passed_address(fd, text, sizeof text)) return false;
  if (strncmp(text, "unix:", 5) == 0)
    *path = cc_copy_text(text + 5, strlen(text) - 5);
  else
    *port = (uint32_t)strtoul(strrchr(text, ':') + 1, NULL, 10);
  return true;
}
