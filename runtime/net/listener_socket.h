// SPDX-License-Identifier: Apache-2.0
// Opens listening sockets. Part of listener.c; no other file includes this.
#ifndef CC_NET_LISTENER_SOCKET_H
#define CC_NET_LISTENER_SOCKET_H
#include "base/buffer.h"
#include <netinet/in.h>
#include <sys/un.h>

union cc_socket_address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_un local;
};

// Opens sockets that listen on a numeric address and share its port, which is filled into *bound. CC_EINVAL
// for no address, CC_EADDRESS when it is taken, not of this machine or not allowed; then none is open.
int cc_socket_tcp(struct cc_slice host, uint32_t port, uint32_t copies, int *fds, uint32_t *bound);

// Opens a unix socket that only this user can connect to. A socket file that nobody listens on is replaced;
// any other file, or one that is in use, is CC_EADDRESS.
int cc_socket_unix(const char *path, int *fd);

// Fills in port or path (allocated) of a socket that the service manager has passed. False with cc_system_error()
// when it is no listening stream socket.
bool cc_socket_passed(int fd, uint32_t *port, char **path);
#endif
