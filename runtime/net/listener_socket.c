// SPDX-License-Identifier: Apache-2.0
// Binds without SO_REUSEPORT first, to see that the address is free. Otherwise a second relay of the same
// user would silently take half of the connections of the first.
#include "net/listener_socket.h"
#include "base/error.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 511 };

static int parse(struct cc_slice host, uint32_t port, union cc_socket_address *out) {
  char text[INET6_ADDRSTRLEN + 1] = "";
  memset(out, 0, sizeof *out);
  if (!host.size || host.size >= sizeof text || port > 65535) return CC_EINVAL;
  memcpy(text, host.data, host.size);
  if (strcmp(text, "localhost") == 0) strcpy(text, "127.0.0.1");
  if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons((uint16_t)port);
    return CC_OK;
  }
  if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) != 1) return CC_EINVAL;
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons((uint16_t)port);
  return CC_OK;
}

static socklen_t size_of(const union cc_socket_address *address) {
  if (address->any.sa_family == AF_UNIX) return sizeof address->local;
  return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

static int fail(const char *what) {
  bool address = errno == EADDRINUSE || errno == EADDRNOTAVAIL || errno == EACCES;
  return cc_fail_errno(address ? CC_EADDRESS : CC_ESYSTEM, what);
}

static int open_one(const union cc_socket_address *address, bool shared, int *out) {
  int on = 1, error;
  int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return cc_fail_errno(CC_ESYSTEM, "socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
    error = fail("SO_REUSEPORT");
  else if (bind(fd, &address->any, size_of(address)) != 0)
    error = fail("bind");
  else if (listen(fd, BACKLOG) != 0)
    error = fail("listen");
  else
    error = CC_OK;
  if (error)
    close(fd);
  else
    *out = fd;
  return error;
}

static uint32_t port_of(int fd) {
  union cc_socket_address address;
  socklen_t size = sizeof address;
  if (getsockname(fd, &address.any, &size) != 0) return 0;
  return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

// Whether the address is free. Fills in the port when the system chose it.
static int try_alone(union cc_socket_address *address) {
  int fd;
  int error = open_one(address, false, &fd);
  if (error) return error;
  uint16_t port = htons((uint16_t)port_of(fd));
  close(fd);
  if (address->any.sa_family == AF_INET)
    address->v4.sin_port = port;
  else
    address->v6.sin6_port = port;
  return CC_OK;
}

int cc_socket_tcp(struct cc_slice host, uint32_t port, uint32_t copies, int *fds, uint32_t *bound) {
  union cc_socket_address address;
  if (parse(host, port, &address)) return cc_fail(CC_EINVAL, "not a numeric address");
  int error = copies > 1 ? try_alone(&address) : CC_OK;
  uint32_t opened = 0;
  while (!error && opened < copies) {
    error = open_one(&address, copies > 1, &fds[opened]);
    opened += !error;
  }
  if (error) {
    while (opened)
      close(fds[--opened]);
    return error;
  }
  *bound = port_of(fds[0]);
  return CC_OK;
}

static bool is_answered(const union cc_socket_address *address) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bool answered = fd >= 0 && (connect(fd, &address->any, size_of(address)) == 0 || errno == EAGAIN);
  if (fd >= 0) close(fd);
  return answered;
}

static int clear_path(const char *path, const union cc_socket_address *address) {
  struct stat found;
  if (lstat(path, &found) != 0) return errno == ENOENT ? CC_OK : cc_fail_errno(CC_EADDRESS, path);
  if (!S_ISSOCK(found.st_mode)) return cc_fail(CC_EADDRESS, "%s exists and is not a socket", path);
  if (is_answered(address)) return cc_fail(CC_EADDRESS, "%s is in use", path);
  return unlink(path) == 0 ? CC_OK : cc_fail_errno(CC_EADDRESS, path);
}

int cc_socket_unix(const char *path, int *fd) {
  union cc_socket_address address;
  memset(&address, 0, sizeof address);
  address.local.sun_family = AF_UNIX;
  if (!*path || strlen(path) >= sizeof address.local.sun_path)
    return cc_fail(CC_EINVAL, "the path of a unix socket has at most %zu bytes",
                   sizeof address.local.sun_path - 1);
  strcpy(address.local.sun_path, path);
  int error = clear_path(path, &address);
  if (error) return error;
  mode_t mask = umask(0177);
  error = open_one(&address, false, fd);
  umask(mask);
  return error;
}
